"""Pickle files of numpy arrays, as detectron2 keeps its weights: read without running code, and written."""

import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

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
    """
    with Path(path).open('rb') as file:
        return _plain(_ArrayUnpickler(file, encoding='latin1').load())


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
        self.code, self.order = str(code), '='

    def __setstate__(self, state: tuple) -> None:
        self.order = str(state[1])

    def resolve(self) -> np.dtype:
        if not _NUMBERS.fullmatch(self.code):
            raise pickle.UnpicklingError(f'array of `{self.code[:40]}`: only numbers are read')
        kind = np.dtype(self.code)
        return kind.newbyteorder(self.order) if self.order in '<>' else kind


class _Array:
    """Stands in for numpy.ndarray and takes its state."""

    def __init__(self, shape: tuple = (0,), kind: Any = 'b', data: bytes = b'', order: str = 'C') -> None:
        self.shape, self.kind, self.data, self.order = shape, kind, data, order

    def __setstate__(self, state: tuple) -> None:
        _, self.shape, self.kind, fortran, self.data = state
        self.order = 'F' if fortran else 'C'

    def resolve(self) -> np.ndarray:
        kind = self.kind if isinstance(self.kind, _Type) else _Type(self.kind)
        data = self.data.encode('latin1') if isinstance(self.data, str) else self.data
        return np.frombuffer(data, kind.resolve()).reshape(self.shape, order=self.order).copy()


def _scalar(kind: _Type, data: bytes) -> _Array:
    return _Array((), kind, data)


def _frombuffer(data: bytes, kind: _Type, shape: tuple, order: str) -> _Array:
    return _Array(shape, kind, data, order)


def _bytes(text: str = '', encoding: str = 'latin1') -> bytes:
    return text if isinstance(text, bytes) else str(text).encode('latin1')


_STAND_INS = {
    ('numpy', 'ndarray'): _Array,
    ('numpy', 'dtype'): _Type,
    ('collections', 'OrderedDict'): OrderedDict,
    ('_codecs', 'encode'): _bytes,
}
for _module in ('builtins', '__builtin__'):
    _STAND_INS |= {(_module, 'bytearray'): _bytes, (_module, 'bytes'): _bytes}
for _core in ('numpy.core', 'numpy._core'):
    _STAND_INS[f'{_core}.multiarray', '_reconstruct'] = lambda *_: _Array()
    _STAND_INS[f'{_core}.multiarray', 'scalar'] = _scalar
    _STAND_INS[f'{_core}.numeric', '_frombuffer'] = _frombuffer


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f'GLOBAL {module}.{name}') from None


def _plain(value: Any) -> Any:
    """Replace the stand-ins, in nested containers too."""
    if isinstance(value, _Array):
        return value.resolve()
    if isinstance(value, dict):
        return {_plain(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(entry) for entry in value)
    return value
