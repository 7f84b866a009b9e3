"""Data sets of other libraries that go on where an image is corrupt."""

from collections.abc import Iterator

import cv2
import numpy as np
from mmengine.dataset import BaseDataset
from torch.utils.data import Dataset

from clsa_mm.datasets.corrupt_files import CorruptFiles, CorruptImageError, kind_of, reason_of

UNREADABLE = (CorruptImageError, OSError, AssertionError, cv2.error)
"""What our LoadImage and mmcv's LoadImageFromFile raise for a file that is missing or broken. Anything else
is a fault of the pipeline and goes through."""

_BLANK = (256, 256)


def make_tolerant(dataset: Dataset, limit: int | None = None) -> None:
    """Let the data sets in a data set skip corrupt images, as :class:`ImageFolder` does of itself.

    In training another image takes the place of a corrupt one. In ``test_mode`` a black image with the labels
    of the corrupt one does, so that the number of images stays, and what cannot be read does not count as
    right. What is no ``BaseDataset`` is left alone.

    Args:
        dataset: Changed in place; of wrappers (``ConcatDataset``, ``RepeatDataset``, ...) what is in them.
        limit: Corrupt files to tolerate. Defaults to None: 1 % of the images, at least 10.
    """
    for part in innermost(dataset):
        if not isinstance(part, BaseDataset) or isinstance(part.__dict__.get('prepare_data'), _Tolerant):
            continue
        if part.test_mode or not hasattr(part, 'corrupt'):
            part.full_init()
            part.corrupt = CorruptFiles(part, limit)
            part.prepare_data = _Tolerant(part)


def innermost(dataset: Dataset) -> Iterator[Dataset]:
    """The data sets that wrappers hold, in their order; a data set itself if it is no wrapper.

    Args:
        dataset: Any.
    """
    inner = getattr(dataset, 'datasets', None) or [d for d in (getattr(dataset, 'dataset', None),) if d]
    if hasattr(dataset, 'corrupt') or not inner:
        yield dataset
        return
    for part in inner:
        yield from innermost(part)


class _Tolerant:
    """Stands in place of a data set's ``prepare_data``; an object, so that it travels to spawned workers."""

    def __init__(self, dataset: BaseDataset) -> None:
        self.dataset = dataset

    def __call__(self, idx: int) -> dict | None:
        """The sample, or what takes its place."""
        if not self.dataset.test_mode:
            return self.dataset.corrupt.read(self._prepare, idx, self.dataset.max_refetch + 1)
        try:
            return self._prepare(idx)
        except CorruptImageError as error:
            self.dataset.corrupt.record(int(idx), error)
        return self._blank(idx)

    def _prepare(self, idx: int) -> dict | None:
        try:
            return type(self.dataset).prepare_data(self.dataset, idx)
        except CorruptImageError:
            raise
        except UNREADABLE as error:
            raise CorruptImageError(reason_of(self.dataset, idx, error), kind_of(error)) from error

    def _blank(self, idx: int) -> dict | None:
        """The sample of a black image; the pipeline's first step, which loads, is left out."""
        results = self.dataset.get_data_info(idx)
        results |= dict(img=np.zeros((*_BLANK, 3), np.uint8), img_shape=_BLANK, ori_shape=_BLANK)
        for transform in self.dataset.pipeline.transforms[1:]:
            if results is not None:
                results = transform(results)
        return results
