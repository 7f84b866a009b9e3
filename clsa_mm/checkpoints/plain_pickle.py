"""Unpickling that calls nothing of a file's choosing, and refuses what would take endless time or memory."""

import pickle
import reprlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO

# A checkpoint of a training has some ten thousand of either, and is nested 7 levels deep.
MOST_OPERATIONS = 2_000_000
MOST_VALUES = 2_000_000
DEEPEST = 100
LARGEST_KEY = 1 << 60  # below it, numbers that differ have hashes that differ


class ClaimError(ValueError):
    """A file claims to hold what it does not, or what nobody would save."""


brief = reprlib.Repr().repr  # what a message says of a value, of which only the start is looked at


def check_keys(keys: Iterable) -> None:
    """Refuse keys of a dictionary, or entries of a set, that could take endless time to hash or compare.

    Raises:
        ClaimError: For any but texts, bytes, None, truth values and numbers below :data:`LARGEST_KEY`.
    """
    for key in keys:
        if type(key) is int and abs(key) < LARGEST_KEY or key is None:
            continue
        if type(key) not in (str, bytes, bool, float):
            raise ClaimError(f'a key of a dictionary is a {type(key).__name__}, not a text or a small number')


def ordered_dict(content: Any = ()) -> OrderedDict:
    """Stand in for a kind of dictionary, made of nothing, a dictionary or pairs."""
    pairs = list(content.items()) if isinstance(content, dict) else content
    if type(pairs) not in (list, tuple) or any(type(p) not in (list, tuple) or len(p) != 2 for p in pairs):
        raise ClaimError(f'a dictionary is made of a {type(content).__name__}')
    check_keys(key for key, _ in pairs)
    return OrderedDict(pairs)


def latin_bytes(content: Any = b'', encoding: Any = 'latin1') -> bytes:
    """Stand in for `_codecs.encode` and types of bytes; other encodings would be looked up and imported."""
    if type(content) not in (str, bytes, bytearray) or encoding not in ('latin1', 'latin-1'):
        raise ClaimError(f'bytes are made of a {type(content).__name__} by {brief(encoding)}')
    return content.encode('latin1') if type(content) is str else bytes(content)


def _guarded(operation: bytes, keys: Callable[[list], Iterable]) -> Callable:
    """An operation that hashes values of the file, which are looked at first."""
    unguarded = pickle._Unpickler.dispatch[operation[0]]

    def guarded(unpickler: 'PlainUnpickler') -> None:
        check_keys(keys(unpickler.stack))
        unguarded(unpickler)

    return guarded


class PlainUnpickler(pickle._Unpickler):
    """Builds plain containers, texts, numbers and what a table of stand-ins makes of the rest.

    Python's own unpickler written in C reserves memory by numbers in the file; this is the one in Python.

    Args:
        file: Where the pickle starts. Nothing is read beyond its end.
        stand_ins: What takes the place of the classes and functions that a pickle names; whatever they do,
            they are all that is ever called.
        operations: How many the pickle may take.

    Raises:
        pickle.UnpicklingError: By ``load``, for a name that the table lacks.
        ClaimError: By ``load``, for what is too much.
    """

    dispatch = dict(pickle._Unpickler.dispatch)

    def __init__(
        self,
        file: BinaryIO,
        stand_ins: Mapping[tuple[str, str], Any],
        operations: int = MOST_OPERATIONS,
    ) -> None:
        super().__init__(_Rest(file), encoding='latin1')
        self._stand_ins = stand_ins
        self.dispatch = _Counted(self.dispatch, operations)

    def load(self) -> Any:
        """The pickled value, whose size and depth are bounded when it is written out in full."""
        value = super().load()
        _measure(value, 0, {})
        return value

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a name."""
        try:
            return self._stand_ins[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f'GLOBAL {module}.{name}') from None

    def _instantiate(self, kind: Any, arguments: Any) -> None:
        """As Python's, which its oldest operations call too; that passes over what a stand-in checks."""
        self.append(kind(*arguments))

    def _new(self) -> None:
        arguments, kind = self.stack.pop(), self.stack.pop()
        self._instantiate(kind, arguments)

    def _build(self) -> None:
        """Give a value its state; a stand-in that has none would have its attributes replaced."""
        value = self.stack[-2]
        if type(value) is not OrderedDict and not hasattr(type(value), '__setstate__'):
            raise ClaimError(f'a {type(value).__name__} gets a state, of which it has none')
        self.load_build()

    def _memorise(self) -> None:
        """Number what comes, in order: a reader that keeps a list would reserve it up to the number."""
        number = int.from_bytes(self.read(4), 'little')
        if number > MOST_OPERATIONS:
            raise ClaimError(f'it numbers its values up to {number}')
        self.memo[number] = self.stack[-1]

    def _bytearray(self) -> None:
        """Read what there is; Python's own reserves the length that the file claims."""
        length = int.from_bytes(self.read(8), 'little')
        self.append(bytearray(self.read(length)))

    dispatch[pickle.SETITEM[0]] = _guarded(pickle.SETITEM, lambda stack: stack[-2:-1])
    dispatch[pickle.SETITEMS[0]] = _guarded(pickle.SETITEMS, lambda stack: stack[::2])
    dispatch[pickle.DICT[0]] = _guarded(pickle.DICT, lambda stack: stack[::2])
    dispatch[pickle.ADDITEMS[0]] = _guarded(pickle.ADDITEMS, lambda stack: stack)
    dispatch[pickle.FROZENSET[0]] = _guarded(pickle.FROZENSET, lambda stack: stack)
    dispatch[pickle.NEWOBJ[0]] = _new
    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.LONG_BINPUT[0]] = _memorise
    dispatch[pickle.BYTEARRAY8[0]] = _bytearray
    del dispatch[pickle.NEWOBJ_EX[0]], dispatch[pickle.NEXT_BUFFER[0]]


class _Counted(dict):
    """A table of operations with a limit on how many are looked up."""

    def __init__(self, table: dict, most: int) -> None:
        super().__init__(table)
        self.left = most

    def __getitem__(self, key: int) -> Callable:
        self.left -= 1
        if self.left < 0:
            raise ClaimError('its pickle takes more operations than that of any checkpoint')
        return super().__getitem__(key)


class _Rest:
    """A file of which nobody can ask more than is there."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        start = file.tell()
        self.end = file.seek(0, 2)
        file.seek(start)

    def read(self, length: int = -1) -> bytes:
        """So many bytes, or as many as there are."""
        left = self.end - self.file.tell()
        return self.file.read(left if length < 0 else min(length, left))

    def readline(self) -> bytes:
        """A line."""
        return self.file.readline()


def _measure(value: Any, depth: int, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Number of values and of levels, as if each that is met twice were there twice."""
    if type(value) is OrderedDict and vars(value).keys() - {'_metadata'}:
        raise ClaimError('a dictionary has attributes, which torch gives none')
    children = _children(value)
    if not children:
        return 1, 0
    if id(value) in known:
        size, levels = known[id(value)]
    else:
        if depth > DEEPEST:
            raise ClaimError(f'it is nested deeper than {DEEPEST} levels')
        measures = [_measure(child, depth + 1, known) for child in children]
        size = 1 + sum(size for size, _ in measures)
        levels = 1 + max(levels for _, levels in measures)
        known[id(value)] = size, levels
    if size > MOST_VALUES or depth + levels > DEEPEST:
        raise ClaimError(
            f'written out it would be {size} values on {depth + levels} levels; at most {MOST_VALUES} values '
            f'on {DEEPEST} levels are read'
        )
    return size, levels


def _children(value: Any) -> list:
    if isinstance(value, dict):
        return (
            [*value.values(), *vars(value).values()] if type(value) is OrderedDict else list(value.values())
        )
    return list(value if isinstance(value, (list, tuple)) else getattr(value, 'children', ()))
