"""What a checkpoint claims to hold, checked against its file before torch believes it.

``torch.load(weights_only=True)`` runs no code, but takes a file's word for sizes: it inflates whatever is
packed, calls some constructors with any numbers, and hashes keys that take for ever. So the pickle is read
once with stand-ins that only compare numbers, and by torch after that.
"""

import io
import math
import pickle
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from clsa_mm.checkpoints.plain_pickle import (
    ClaimError,
    PlainUnpickler,
    brief,
    check_keys,
    latin_bytes,
    ordered_dict,
)
from clsa_mm.checkpoints.safe_pickle import ARRAYS

_ZIP = b'PK\x03\x04'  # by which torch tells its archives from what it wrote before
_LEGACY = 0x1950A86A20F9469CFC6C  # torch.serialization.MAGIC_NUMBER
# A tensor can repeat elements of its storage, as torch.expand makes them, up to so many.
_MOST_REPEATED = 1 << 20
_MOST_DIMENSIONS = 64


def check_claims(path: Path) -> None:
    """Compare what a file of ``torch.save`` claims with what is there; nothing of it is kept.

    Args:
        path: A regular file.

    Raises:
        ClaimError: If it is packed, has two entries of a name, claims more than is there, or is of a size or
            depth that no checkpoint has.
        pickle.UnpicklingError: If it is not a file of torch, or names (``GLOBAL name``) what is neither a
            tensor nor plain data.
        Exception: Of another kind, if it is damaged.
    """
    if is_archive(path):
        sizes, content = read_archive(path)
        _ClaimUnpickler(io.BytesIO(content), sizes.get).load()
        return
    with path.open('rb') as file:
        if file.read(1) != pickle.PROTO:
            raise pickle.UnpicklingError('it is neither an archive of torch nor of the format before')
        file.seek(0)
        if _ClaimUnpickler(file, None, operations=100).load() != _LEGACY:
            raise pickle.UnpicklingError('it is neither an archive of torch nor of the format before')
        for _ in range(2):  # version, machine
            _ClaimUnpickler(file, None, operations=100).load()
        claimed = _ClaimUnpickler(file, None)
        claimed.load()
        _ClaimUnpickler(file, None).load()  # the storages' names
        total = sum(claimed.storages.values())
        if total > path.stat().st_size:
            raise ClaimError(f'its tensors claim {total} bytes, and the file has {path.stat().st_size}')


def is_archive(path: Path) -> bool:
    """Whether torch takes a file for an archive; other readers look at its end."""
    with path.open('rb') as file:
        return file.read(len(_ZIP)) == _ZIP


def read_archive(path: Path) -> tuple[dict[str, int], bytes]:
    """Look at the entries of an archive of ``torch.save``, of which none is unpacked.

    Returns:
        The storages' sizes in bytes by their keys, and the pickle.

    Raises:
        ClaimError: If it is no archive that torch writes.
        zipfile.BadZipFile: If it is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = {entry.filename.casefold() for entry in entries}
        total = sum(entry.file_size for entry in entries)
        if len(names) < len(entries):
            raise ClaimError('two entries of its archive have the same name')
        if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
            raise ClaimError('its archive is packed or locked, and torch packs none')
        if total > path.stat().st_size:
            raise ClaimError(f'its archive claims {total} bytes, and the file has {path.stat().st_size}')
        if archive.comment or not entries or entries[0].header_offset:
            raise ClaimError('there is something before or behind its archive')
        folder = entries[0].filename.partition('/')[0]
        if f'{folder}/data.pkl' not in archive.namelist():
            raise ClaimError('its archive has no data.pkl, so torch did not write it')
        prefix = f'{folder}/data/'
        sizes = {
            entry.filename.removeprefix(prefix): entry.file_size
            for entry in entries
            if entry.filename.startswith(prefix)
        }
        return sizes, archive.read(f'{folder}/data.pkl')


@dataclass(frozen=True)
class _Storage:
    """Stands in for a storage of so many bytes."""

    bytes: int
    element: int


class _ClaimUnpickler(PlainUnpickler):
    """Compares each tensor with its storage, and each storage with ``size_of`` its key, if that is given."""

    def __init__(
        self, file: Any, size_of: Callable[[str], int | None] | None, operations: int | None = None
    ) -> None:
        super().__init__(file, _STAND_INS, *([operations] if operations else []))
        self._size_of = size_of
        self.storages: dict[str, int] = {}

    def persistent_load(self, claim: Any) -> _Storage:
        """The stand-in for a storage that the pickle names."""
        length = 6 if self._size_of is None else 5
        if not (type(claim) is tuple and len(claim) == length and claim[0] == 'storage'):
            raise ClaimError('it refers to something that is no storage of a tensor')
        _, kind, key, location, number, *view = claim
        if not (type(kind) is int and type(key) is str and type(location) is str and _natural(number)):
            raise ClaimError(f'it refers to a storage by {brief(claim)}')
        if view and view[0] is not None:
            raise ClaimError('a storage of it is part of another')
        size = number * kind
        if self._size_of is not None and size > (held := self._size_of(key) or 0):
            raise ClaimError(f'a storage claims {size} bytes, and the file has {held} of it')
        self.storages[key] = max(size, self.storages.get(key, 0))
        return _Storage(size, kind)


def _natural(*values: Any) -> bool:
    return all(type(value) is int and 0 <= value < 1 << 62 for value in values)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> str:
    """Compare a tensor with its storage."""
    if type(storage) is not _Storage:
        raise ClaimError('a tensor has no storage')
    return _elements(storage.bytes // storage.element, offset, size, stride)


def _tensor_of(
    storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, dtype: Any, *rest: Any
) -> str:
    """Of untyped storage."""
    if type(storage) is not _Storage or not isinstance(dtype, torch.dtype):
        raise ClaimError('a tensor has no storage or no type')
    return _elements(storage.bytes // dtype.itemsize, offset, size, stride)


def _elements(held: int, offset: Any, size: Any, stride: Any) -> str:
    whole = type(size) is tuple and type(stride) is tuple and len(size) == len(stride) <= _MOST_DIMENSIONS
    if not (whole and _natural(offset, *size, *stride)):
        raise ClaimError(
            f'a tensor claims the shape {brief(size)} with strides {brief(stride)} at {brief(offset)}'
        )
    number = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) if number else 0
    if last >= held and number or number > max(held, _MOST_REPEATED):
        raise ClaimError(f'a tensor claims {number} elements, up to number {last} of a storage of {held}')
    return 'a tensor'


def _parameter(data: Any, *rest: Any) -> str:
    if data != 'a tensor':
        raise ClaimError('a parameter is no tensor')
    return data


def _set(content: Any = ()) -> list:
    if type(content) not in (list, tuple, set):
        raise ClaimError(f'a set is made of a {type(content).__name__}')
    check_keys(content)
    return list(content)


def _size(content: Any) -> tuple:
    if type(content) is not tuple or not _natural(*content):
        raise ClaimError('a size is made of something else than numbers')
    return content


def _device(*names: Any) -> str:
    if not all(type(name) in (str, int) for name in names):
        raise ClaimError('a device has no name')
    return 'a device'


def _complex(real: Any, imaginary: Any = 0.0) -> complex:
    if not all(type(part) is float for part in (real, imaginary)):
        raise ClaimError('a complex number is made of something else than two')
    return complex(real, imaginary)


class _History:
    """Stands in for mmengine's HistoryBuffer, and takes its numbers."""

    children: Sequence = ()

    def __setstate__(self, state: Any) -> None:
        if type(state) is not dict:
            raise ClaimError('the log has no numbers')
        self.children = list(state.values())


def _statistic(owner: Any, name: Any) -> str:
    """By which a HistoryBuffer names its methods."""
    if owner is not _History or type(name) is not str or name.startswith('_'):
        raise pickle.UnpicklingError(f'{name if type(name) is str else type(name)} of a refused object')
    return name


def _storages() -> Mapping[tuple[str, str], int]:
    """The kinds of storages, and how many bytes an element of each has."""
    kinds = {name: dtype.itemsize for dtype, name in torch.storage._dtype_to_storage_type_map().items()}
    named = {(module, name): size for name, size in kinds.items() for module in ('torch', 'torch.cuda')}
    return named | {(module, 'UntypedStorage'): 1 for module in ('torch', 'torch.storage')}


_STAND_INS = {
    **_storages(),
    **{('torch', name): dtype for name, dtype in vars(torch).items() if isinstance(dtype, torch.dtype)},
    ('torch._utils', '_rebuild_tensor'): _tensor,
    ('torch._utils', '_rebuild_tensor_v2'): _tensor,
    ('torch._utils', '_rebuild_tensor_v3'): _tensor_of,
    ('torch._utils', '_rebuild_parameter'): _parameter,
    ('torch', 'Size'): _size,
    ('torch', 'device'): _device,
    ('collections', 'OrderedDict'): ordered_dict,
    ('collections', 'Counter'): ordered_dict,
    ('_codecs', 'encode'): latin_bytes,
    ('mmengine.logging.history_buffer', 'HistoryBuffer'): _History,
    **{key: value for key, value in ARRAYS.items() if key[0].startswith('numpy')},
}
for _module in ('builtins', '__builtin__'):
    _STAND_INS |= {
        (_module, 'set'): _set,
        (_module, 'bytearray'): latin_bytes,
        (_module, 'complex'): _complex,
        (_module, 'getattr'): _statistic,
    }
