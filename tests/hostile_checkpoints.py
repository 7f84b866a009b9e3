"""Files made to do harm to whoever reads them as a checkpoint, one of each kind.

Every maker gets a folder, the name of a folder that code in the file would make, and writes a file there.
"""

import io
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

WEIGHTS = {'backbone.conv1.weight': torch.ones(64, 3, 7, 7)}


class Call:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


class Named:
    """Pickled as a name that need not exist."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Names(pickle._Pickler):
    """Writes names of the caller's choosing, and storages by any claim."""

    def persistent_id(self, value: Any) -> Any:
        return value.claim if isinstance(value, Storage) else None

    def save_named(self, value: Named) -> None:
        self.write(b'c' + value.name.replace(':', '\n').encode() + b'\n')

    def save_changed(self, value: 'Changed') -> None:
        self.save(value.value)
        self.save(value.state)
        self.write(pickle.BUILD)

    def save_rebuilt(self, value: 'Rebuilt') -> None:
        self.save(Named(value.name))
        self.save(value.arguments)
        self.write(pickle.REDUCE)
        if value.state is not None:
            self.save(value.state)
            self.write(pickle.BUILD)

    dispatch = dict(pickle._Pickler.dispatch)
    dispatch[Named] = save_named


class Storage:
    """A storage by what the pickle claims of it."""

    def __init__(self, number: Any, key: Any = '0', kind: str = 'torch:FloatStorage', *more: Any) -> None:
        self.claim = ('storage', Named(kind), key, 'cpu', number, *more)


class Rebuilt:
    """What a named function makes of arguments."""

    def __init__(self, name: str, *arguments: Any, state: Any = None) -> None:
        self.name, self.arguments, self.state = name, arguments, state


class Changed:
    """A value that is given a state."""

    def __init__(self, value: Any, state: Any) -> None:
        self.value, self.state = value, state


_Names.dispatch[Changed] = _Names.save_changed
_Names.dispatch[Rebuilt] = _Names.save_rebuilt


def pickled(content: Any, protocol: int = 2) -> bytes:
    """A pickle with such names and claims in it."""
    stream = io.BytesIO()
    _Names(stream, protocol).dump(content)
    return stream.getvalue()


def tensor(storage: Any, offset: Any = 0, size: Any = (4,), stride: Any = (1,)) -> Rebuilt:
    """A tensor by what the pickle claims of it."""
    return Rebuilt('torch._utils:_rebuild_tensor_v2', storage, offset, size, stride, False, {})


def archive(
    path: Path, pickle_bytes: bytes, data: bytes = bytes(16), packing: int = zipfile.ZIP_STORED, *more: tuple
) -> Path:
    """An archive as torch writes it, with one storage."""
    with zipfile.ZipFile(path, 'w', packing) as file:
        for name, content in (('data.pkl', pickle_bytes), ('byteorder', b'little'), ('data/0', data),
                              ('version', b'3\n'), *more):  # fmt: skip
            file.writestr(f'a/{name}', content)
    return path


def state(value: Any) -> dict:
    """A checkpoint with one weight."""
    return dict(state_dict={'backbone.conv1.weight': value}, meta={})


def _code(path: Path, mark: Path) -> None:
    torch.save(dict(state_dict=WEIGHTS, meta=Call(os.mkdir, str(mark))), path)


def _code_before_torch_16(path: Path, mark: Path) -> None:
    content = dict(state_dict=WEIGHTS, meta=Call(os.mkdir, str(mark)))
    torch.save(content, path, _use_new_zipfile_serialization=False)


def _code_in_a_weight(path: Path, mark: Path) -> None:
    torch.save(state(Call(os.mkdir, str(mark))), path)


def _module_by_name(path: Path, mark: Path) -> None:
    path.with_name('evil_module.py').write_text(f'import os\nos.mkdir({str(mark)!r})\n')
    archive(path, pickled(dict(state(1), meta=Named('evil_module:Thing'))))


def _codec_by_name(path: Path, mark: Path) -> None:
    archive(path, pickled(state(Rebuilt('_codecs:encode', 'x', 'evil_module'))))


def _method_of_a_log(path: Path, mark: Path) -> None:
    archive(path, pickled(state(Rebuilt('builtins:getattr', Named('torch:Size'), '__subclasses__'))))


def _nested_file(path: Path, mark: Path) -> None:
    stream = io.BytesIO()
    torch.save(dict(meta=Call(os.mkdir, str(mark))), stream)
    archive(path, pickled(state(Rebuilt('torch.storage:_load_from_bytes', stream.getvalue()))))


def _bomb(path: Path, mark: Path) -> None:
    """A thousand times its size, in zeros."""
    claim = pickled(state(tensor(Storage(1 << 24), 0, (1 << 24,))))
    archive(path, claim, bytes(1 << 26), zipfile.ZIP_DEFLATED)


def _overlapping_entries(path: Path, mark: Path) -> None:
    """One record that stands for hundred in the table of contents."""
    archive(path, pickled(state(tensor(Storage(1 << 18), 0, (1 << 18,)))), bytes(1 << 20))
    content = path.read_bytes()
    start = int.from_bytes(content[-6:-2], 'little')
    table, end = content[start:-22], content[-22:]
    at = table.index(b'a/data/0') - 46
    entry = table[at : at + 46 + len(b'a/data/0')]
    copies = b''.join(entry.replace(b'a/data/0', b'a/data/%c' % (65 + i)) for i in range(24))
    table += copies
    counts = struct.pack('<HHII', 28, 28, len(table), start)
    path.write_bytes(content[:start] + table + end[:8] + counts + end[20:])


def _two_of_a_name(path: Path, mark: Path) -> None:
    harmless, harmful = pickled(state(tensor(Storage(4)))), pickled(state(Call(os.mkdir, str(mark))))
    archive(path, harmful, bytes(16), zipfile.ZIP_STORED, ('data.pkl', harmless))


def _storage_of_petabytes(path: Path, mark: Path) -> None:
    archive(path, pickled(state(tensor(Storage(1 << 50), 0, (1 << 50,)))))


def _storage_beyond_its_record(path: Path, mark: Path) -> None:
    """Whoever believed it would take other memory of the process for weights."""
    archive(path, pickled(state(tensor(Storage(1 << 20), 0, (1 << 20,)))))


def _petabytes_before_torch_16(path: Path, mark: Path) -> None:
    claim = Storage(1 << 50, '0', 'torch:FloatStorage', None)
    parts = (0x1950A86A20F9469CFC6C, 1001, dict(little_endian=True), state(tensor(claim)), ['0'])
    path.write_bytes(b''.join(map(pickled, parts)))


def _strides_beyond_the_storage(path: Path, mark: Path) -> None:
    archive(path, pickled(state(tensor(Storage(4), 0, (2, 2), (1 << 40, 1)))))


def _offset_beyond_the_storage(path: Path, mark: Path) -> None:
    archive(path, pickled(state(tensor(Storage(4), 1 << 40))))


def _negative_size(path: Path, mark: Path) -> None:
    archive(path, pickled(state(tensor(Storage(4), 0, (-4,)))))


def _negative_storage(path: Path, mark: Path) -> None:
    archive(path, pickled(state(tensor(Storage(-4)))))


def _repeated_without_end(path: Path, mark: Path) -> None:
    """A petabyte out of one number."""
    archive(path, pickled(state(tensor(Storage(4), 0, (1 << 50,), (0,)))))


def _claim_of_another_kind(path: Path, mark: Path) -> None:
    odd = Storage(4)
    odd.claim = ('module', Named('torch.nn:Linear'), 'file.py', 'source')
    archive(path, pickled(state(tensor(odd))))


def _claim_that_is_no_tuple(path: Path, mark: Path) -> None:
    odd = Storage(4)
    odd.claim = '../../etc/passwd'
    archive(path, pickled(state(tensor(odd))))


def _key_that_leaves_the_archive(path: Path, mark: Path) -> None:
    archive(path, pickled(state(tensor(Storage(4, '../../0')))))


def _bytes_without_end(path: Path, mark: Path) -> None:
    archive(path, pickled(state(Rebuilt('builtins:bytearray', 1 << 40))))


def _storage_made_by_a_call(path: Path, mark: Path) -> None:
    archive(path, pickled(state(Rebuilt('torch.storage:UntypedStorage', 1 << 40))))


def _array_without_numbers(path: Path, mark: Path) -> None:
    arguments = (Named('numpy:ndarray'), (1 << 40,), b'b')
    archive(path, pickled(state(Rebuilt('numpy._core.multiarray:_reconstruct', *arguments))))


def _array_by_new(path: Path, mark: Path) -> None:
    stream = pickled(state(0)).replace(b'K\x00', b'cnumpy\nndarray\n' + pickle.BINPUT + b'\xf0'
                                       + pickled(((1 << 40,), 'f8'))[2:-1] + pickle.NEWOBJ)  # fmt: skip
    archive(path, stream)


def _laughs(levels: int) -> tuple:
    value: tuple = ('ha',)
    for _ in range(levels):
        value = (value, value)
    return value


def _written_out_without_end(path: Path, mark: Path) -> None:
    torch.save(dict(state(1), meta=dict(cfg=_laughs(60))), path)


def _key_hashed_without_end(path: Path, mark: Path) -> None:
    """Of a pickle that nobody could write by dumping the dictionary."""
    key = pickle.dumps(_laughs(60), 2)[2:-1]
    archive(path, b'\x80\x02}' + key + b'K\x01s.')


def _keys_that_collide(path: Path, mark: Path) -> None:
    """Time that grows with the square of their number."""
    prime = (1 << 61) - 1  # of Python's hash of numbers
    keys = b''.join(pickle.dumps(i * prime, 2)[2:-1] + b'N' for i in range(200_000))
    archive(path, b'\x80\x02}(' + keys + b'u.')


def _shape_written_without_end(path: Path, mark: Path) -> None:
    """In a message, if anyone wrote it in one."""
    archive(path, pickled(state(tensor(Storage(4), 0, _laughs(60)))))


def _type_written_without_end(path: Path, mark: Path) -> None:
    archive(path, pickled(state(Rebuilt('numpy:dtype', _laughs(60)))))


def _storage_with_another_size(path: Path, mark: Path) -> None:
    """Claimed rightly, and changed afterwards."""
    archive(path, pickled(state(tensor(Changed(Storage(4), dict(bytes=1 << 50)), 0, (1 << 40,)))))


def _nested_without_end(path: Path, mark: Path) -> None:
    archive(path, b'\x80\x02' + b']' * 100_000 + b'a' * 99_999 + b'.')


def _in_itself(path: Path, mark: Path) -> None:
    content = state(1)
    content['meta']['meta'] = content
    torch.save(content, path)


def _memo_without_end(path: Path, mark: Path) -> None:
    """A .pkl, which Python's own unpickler would reserve 32 GB for."""
    path.write_bytes(b'\x80\x02}r\xff\xff\xff\x7f.')


def _length_without_end(path: Path, mark: Path) -> None:
    path.write_bytes(b'\x80\x05\x96' + struct.pack('<Q', 1 << 40) + b'.')


def _operations_without_end(path: Path, mark: Path) -> None:
    archive(path, b'\x80\x02' + b'N0' * 1_100_000 + b'}.')


def _before_torch_01(path: Path, mark: Path) -> None:
    with tarfile.open(path, 'w') as file:
        for name in ('storages', 'tensors', 'pickle', '../outside'):
            content = pickle.dumps(Call(os.mkdir, str(mark)))
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))


def _torchscript(path: Path, mark: Path) -> None:
    module = torch.jit.script(torch.nn.Linear(1, 1))
    module.save(str(path))


def _another_archive(path: Path, mark: Path) -> None:
    np.savez(path.open('wb'), weight=np.ones(3))


def _text(path: Path, mark: Path) -> None:
    path.write_text(f'import os; os.mkdir({str(mark)!r})')


def _cut_off(path: Path, mark: Path) -> None:
    torch.save(dict(state_dict=WEIGHTS, meta={}), path)
    path.write_bytes(path.read_bytes()[:-500])


def _empty(path: Path, mark: Path) -> None:
    path.touch()


def _folder(path: Path, mark: Path) -> None:
    path.mkdir()


def _pipe(path: Path, mark: Path) -> None:
    """Whoever opens it to read waits for a writer."""
    os.mkfifo(path)


def _link_to_a_device(path: Path, mark: Path) -> None:
    """That gives zeros without end."""
    path.symlink_to('/dev/zero')


def _link_to_itself(path: Path, mark: Path) -> None:
    path.symlink_to(path)


_MAKERS = {
    name.removeprefix('_').replace('_', ' '): maker
    for name, maker in list(globals().items())
    if name.startswith('_') and not name.startswith('__') and callable(maker)
    and getattr(maker, '__code__', None) and maker.__code__.co_varnames[:2] == ('path', 'mark')
}  # fmt: skip
KINDS = tuple(_MAKERS)
PICKLES = ('memo without end', 'length without end')  # of detectron2's format


def make_hostile(kind: str, folder: Path, mark: Path) -> Path:
    """Write a file of a kind.

    Args:
        kind: One of :data:`KINDS`.
        folder: Where to.
        mark: A folder that code in the file makes where it is run.
    """
    path = folder / ('hostile.pkl' if kind in PICKLES else 'hostile.pth')
    _MAKERS[kind](path, mark)
    return path
