"""Pickle files of numpy arrays, as detectron2 keeps its weights: read without running code, and written."""

import pickle
import re
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from clsa_mm.checkpoints.plain_pickle import PlainUnpickler, latin_bytes, ordered_dict

_NUMBERS = re.compile(r'[<>|=]?(\?|[biufc]\d{1,2}|[bBhHiIlLqQefd])')


def load_arrays(path: str | Path) -> Any:
    """Unpickle plain containers, texts, numbers and numpy arrays of numbers; nothing else.

    No class or function of the file's choosing is ever called: stand-ins of this module collect what
    numpy wrote, and make the arrays of it.

    Args:
        path: A file that ``pickle.dump`` wrote, with any protocol, under numpy 1 or 2.

    Returns:
        What was pickled; its arrays are copies of their own.

    Raises:
        pickle.UnpicklingError: If the file needs more than the above (its text names what), or is damaged.
        ClaimError: If it is of a size or depth that no checkpoint has.
    """
    with Path(path).open('rb') as file:
        return _plain(PlainUnpickler(file, ARRAYS).load())


def dump_arrays(content: Any, file: BinaryIO) -> None:
    """Pickle plain containers and numpy arrays so that numpy 1 as well as 2 can read them.

    Args:
        content: What to write.
        file: Where to, opened for writing bytes.
    """
    _ArrayPickler(file, protocol=4).dump(content)


class _ArrayPickler(pickle.Pickler):
    """By default numpy 2 writes names of private modules that numpy 1 does not have."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is not np.ndarray:
            return NotImplemented
        return np.ndarray, (value.shape, value.dtype.str, bytearray(np.ascontiguousarray(value).data))


class _Type:
    """Stands in for numpy.dtype; knows numbers only."""

    def __init__(self, code: Any, *options: Any) -> None:
        if type(code) is not str:
            raise pickle.UnpicklingError('a type of numbers without a name')
        self.code, self.order = code, '='

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1] if state[1] in ('<', '>', '=', '|') else '='

    def resolve(self) -> np.dtype:
        if not _NUMBERS.fullmatch(self.code):
            raise pickle.UnpicklingError(f'array of `{self.code[:40]}`: only numbers are read')
        kind = np.dtype(self.code)
        return kind.newbyteorder(self.order) if self.order in '<>' else kind


class _Array:
    """Stands in for numpy.ndarray; takes its state, and makes an array of a copy of it."""

    def __init__(self, shape: tuple = (0,), kind: Any = 'b', data: bytes = b'', order: str = 'C') -> None:
        kind = kind if isinstance(kind, _Type) else _Type(kind)
        data = data.encode('latin1') if isinstance(data, str) else data
        self.value = np.frombuffer(data, kind.resolve()).reshape(shape, order=order).copy()

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, fortran, data = state
        self.__init__(shape, kind, data, 'F' if fortran else 'C')


def _scalar(kind: _Type, data: bytes) -> _Array:
    return _Array((), kind, data)


def _frombuffer(data: bytes, kind: _Type, shape: tuple, order: str) -> _Array:
    return _Array(shape, kind, data, order)


def _reconstruct(kind: type, shape: tuple, code: Any) -> _Array:
    """By which numpy makes an array that gets its shape later."""
    if kind is not _Array or shape != (0,):
        raise pickle.UnpicklingError('an array has a shape before it has numbers')
    return _Array()


ARRAYS = {
    ('numpy', 'ndarray'): _Array,
    ('numpy', 'dtype'): _Type,
    ('collections', 'OrderedDict'): ordered_dict,
    ('_codecs', 'encode'): latin_bytes,
}
for _module in ('builtins', '__builtin__'):
    ARRAYS |= {(_module, 'bytearray'): latin_bytes, (_module, 'bytes'): latin_bytes}
for _core in ('numpy.core', 'numpy._core'):
    ARRAYS[f'{_core}.multiarray', '_reconstruct'] = _reconstruct
    ARRAYS[f'{_core}.multiarray', 'scalar'] = _scalar
    ARRAYS[f'{_core}.numeric', '_frombuffer'] = _frombuffer


def _plain(value: Any) -> Any:
    """Replace the stand-ins, in nested containers too."""
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, dict):
        return {_plain(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(entry) for entry in value)
    return value
