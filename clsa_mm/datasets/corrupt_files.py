"""Image files that cannot be used: why, how many of a data set, and what takes their place."""

import errno
import logging
import os
import stat
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.logging import print_log
from PIL import Image
from torch.utils.data import Dataset, Subset

from clsa_mm.printable import printable

KINDS = ('missing', 'no file', 'unreadable', 'empty', 'no image', 'too large', 'damaged')
"""All causes: not there, or a link to nothing or to itself; a folder, pipe or device; refused by the system
(permissions, hardware); of zero bytes; in no known format; above the limit of pixels; cut short or broken."""

REPORT = 'corrupt_files.json'
"""The file in a work dir that lists them."""


class CorruptImageError(ValueError):
    """A file that cannot be read or decoded.

    Args:
        message: Names the file and the reason.
        kind: One of ``KINDS``. Defaults to 'damaged'.
    """

    def __init__(self, message: str, kind: str = 'damaged') -> None:
        super().__init__(message)
        self.kind = kind


class CorruptFile(NamedTuple):
    """A file and what is wrong with it, one of ``KINDS``."""

    path: str
    kind: str


def kind_of(error: BaseException) -> str:
    """The cause, one of ``KINDS``, that an error of reading or decoding tells of.

    Args:
        error: What a file back end or a decoder raised.
    """
    match error:
        case CorruptImageError():
            return error.kind
        case FileNotFoundError() | NotADirectoryError() | OSError(errno=errno.ELOOP):
            return 'missing'
        case IsADirectoryError():
            return 'no file'
        case Image.UnidentifiedImageError():
            return 'no image'
        case Image.DecompressionBombError() | MemoryError():
            return 'too large'
        case OSError(errno=number) if number is not None:
            return 'unreadable'
    return 'damaged'


def check_regular(path: str, max_bytes: int) -> None:
    """Refuse what reading would wait for or never end at: a pipe, a device, a file of absurd size.

    Args:
        path: Local.
        max_bytes: Largest size.

    Raises:
        CorruptImageError: It is no regular file, or too large.
        OSError: There is none, or it cannot be looked at.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise CorruptImageError('a folder, pipe, socket or device, no file', 'no file')
    if status.st_size > max_bytes:
        raise CorruptImageError(f'{status.st_size} bytes are more than the {max_bytes} allowed', 'too large')


class CorruptFiles:
    """The corrupt files of a data set, known to this process and all its workers.

    There is one number per image in shared memory: whether workers are forked, spawned or persistent, all of
    them and this process see the same, and setting one twice does no harm. The first file of each kind is
    warned of; the others are counted.

    Args:
        dataset: Has ``get_data_info``, or is a ``Subset`` of one that has.
        limit: Corrupt files to tolerate, >= 0. Defaults to None: 1 % of the images, at least 10.
        where: What messages call the data. Defaults to the data set's class.
    """

    def __init__(self, dataset: Dataset, limit: int | None = None, where: str = '') -> None:
        self.dataset = dataset
        self.limit = max(10, len(dataset) // 100) if limit is None else limit
        self.where = where or type(dataset).__name__
        self._rank = get_rank()
        self._kinds = torch.zeros(len(dataset), dtype=torch.uint8).share_memory_()

    def __len__(self) -> int:
        """Number of corrupt files found so far."""
        return int(self._kinds.count_nonzero())

    def __contains__(self, index: int) -> bool:
        """Whether an image is known to be corrupt."""
        return bool(self._kinds[index])

    def __iter__(self) -> Iterator[CorruptFile]:
        """The files, in the data set's order."""
        for index in self._kinds.nonzero().flatten().tolist():
            yield CorruptFile(path_of(self.dataset, index), KINDS[int(self._kinds[index]) - 1])

    def note(self, index: int, error: BaseException) -> bool:
        """Remember a file; whether it is the first of its kind.

        Args:
            index: Of the image.
            error: What reading it raised.
        """
        code = KINDS.index(kind_of(error)) + 1
        first = not (self._kinds == code).any()
        self._kinds[index] = code
        return first

    def record(self, index: int, error: BaseException) -> None:
        """Remember a file, warn of it if it is the first of its kind, and hold to the limit.

        Args:
            index: Of the image.
            error: What reading it raised.

        Raises:
            RuntimeError: If there are more than the limit, or no other images.
        """
        if index in self:
            return  # another worker has met it meanwhile
        first = self.note(index, error)
        count, size = len(self), len(self.dataset)
        if first:
            message = (
                f'Skipped corrupt image {count} (limit {self.limit}, {size} images in all), the first of '
                f'kind {kind_of(error)!r}: {error}. Others of this kind are counted, and listed in {REPORT}.'
            )
            if self._rank == 0:
                print_log(message, logger='current', level=logging.WARNING)
            else:  # mmengine's logger is silent there
                print(f'[rank {self._rank}] {message}', file=sys.stderr)
        if count > self.limit or count == size:
            some = '\n  '.join(f'{printable(file.path)} ({file.kind})' for file in islice(self, 5))
            raise RuntimeError(
                f'{count} of {size} images in {self.where} are corrupt, the limit is {self.limit}. '
                f'Some of them:\n  {some}\nFind all with tools/check_data.py, mend or remove them, or raise '
                'max_corrupt.'
            ) from error

    def read(self, prepare: Callable[[int], dict | None], index: int, attempts: int) -> dict:
        """A sample, or that of another image in place of one that is corrupt.

        Args:
            prepare: Makes the sample of an index.
            index: Plain, or a ``SeededIndex``, whose key the replacement keeps.
            attempts: Images to try.

        Raises:
            RuntimeError: If none of the attempts gives a sample, or as :meth:`record`.
        """
        source = index
        for attempt in range(attempts):
            if source not in self:
                try:
                    if (sample := prepare(source)) is not None:
                        return sample
                except CorruptImageError as error:
                    self.record(int(source), error)
            # The difference is added so that a SeededIndex keeps its key.
            source = source + (self._replacement(int(index), attempt) - int(source))
        raise RuntimeError(
            f'{attempts} images tried in place of number {int(index)} of '
            f'{self.where} are all corrupt or dropped by the pipeline: see the warnings above.'
        )

    def _replacement(self, index: int, attempt: int) -> int:
        """Another image, by index and attempt alone."""
        size = len(self.dataset)
        words = np.random.SeedSequence((index % size, attempt)).generate_state(1, np.uint64)
        return int(words[0] % np.uint64(size))


def reason_of(dataset: Dataset, index: int, error: BaseException) -> str:
    """The file and what is wrong with it, in one line that a terminal shows as it stands.

    Args:
        dataset: Any.
        index: Of the image.
        error: What reading it raised; that of ``LoadImage`` names the file itself.
    """
    if isinstance(error, CorruptImageError):
        return printable(error)
    return printable(f'{path_of(dataset, index)}: {type(error).__name__}: {str(error).strip()}')


def path_of(dataset: Dataset, index: int) -> str:
    """The file of an image, or its number where the data set does not tell.

    Args:
        dataset: Any.
        index: Of the image.
    """
    while isinstance(dataset, Subset):
        dataset, index = dataset.dataset, dataset.indices[index]
    info = dataset.get_data_info(index) if hasattr(dataset, 'get_data_info') else {}
    return str(info.get('img_path', f'image number {index}'))
