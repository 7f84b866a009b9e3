"""A sampler whose indices carry the randomness of their sample."""

from collections.abc import Iterator
from functools import partial

from mmengine.dataset import DefaultSampler
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import Dataset

from clsa_mm.given_numbers import check_numbers

SeedKey = tuple[int, int, int]


class SeededIndex(int):
    """A data set index that remembers ``(seed, epoch, index)``.

    It is an ``int`` in every respect. ``+``, ``-`` and ``%`` with a number on the right keep the
    key, so it survives the index arithmetic of mmengine's ``ConcatDataset`` and
    ``RepeatDataset``. Wrappers that look the index up in a table (``ClassBalancedDataset``,
    ``KFoldDataset``) lose the key.

    Args:
        value: The index.
        seed_key: ``(seed, epoch, index)`` as the sampler drew it, each >= 0.
    """

    seed_key: SeedKey

    def __new__(cls, value: int, seed_key: SeedKey) -> 'SeededIndex':
        """Make the index."""
        self = super().__new__(cls, value)
        self.seed_key = seed_key
        return self

    def __add__(self, other: int) -> 'SeededIndex':
        """Shift the index, keep the key."""
        return SeededIndex(int(self) + other, self.seed_key)

    __radd__ = __add__

    def __sub__(self, other: int) -> 'SeededIndex':
        """Shift the index, keep the key."""
        return SeededIndex(int(self) - other, self.seed_key)

    def __mod__(self, other: int) -> 'SeededIndex':
        """Wrap the index around, keep the key."""
        return SeededIndex(int(self) % other, self.seed_key)

    def __reduce__(self) -> tuple[type['SeededIndex'], tuple[int, SeedKey]]:
        """Pickle with the key, as indices travel to worker processes."""
        return SeededIndex, (int(self), self.seed_key)


def _seeded(index: int, seed: int, epoch: int) -> SeededIndex:
    return SeededIndex(index, (seed, epoch, index))


@DATA_SAMPLERS.register_module()
class SeededSampler(DefaultSampler):
    """mmengine's ``DefaultSampler``, yielding :class:`SeededIndex`.

    Same arguments, order and length. With :class:`MakeViews` in the pipeline, what a sample
    looks like depends on (seed, epoch, index) alone: not on the number of workers or ranks, the
    batch size, or where the run was resumed. The seed must be the same in every rank (mmengine's
    runner passes its own) and, to resume a run exactly, the same as before: set
    ``randomness=dict(seed=...)`` in the config.

    Args:
        dataset: The data set.
        shuffle: Draw a new order each epoch. Defaults to True.
        seed: Seed >= 0 of the order and of the samples; ``None`` draws one that all
            ranks share. Defaults to None.
        round_up: Repeat samples so that every rank has as many. Defaults to True.

    Raises:
        ValueError: If the seed is not as above, or the data set has no samples.
    """

    def __init__(
        self, dataset: Dataset, shuffle: bool = True, seed: int | None = None, round_up: bool = True
    ) -> None:
        check_numbers('SeededSampler', whole=True, low=0, seed=seed)
        if not len(dataset):
            raise ValueError('SeededSampler: the data set is empty; check its folder.')
        super().__init__(dataset, shuffle, seed, round_up)

    def __iter__(self) -> Iterator[SeededIndex]:
        """Iterate over the indices of this rank, in the order of the current epoch."""
        # The epoch is read now, not when the index is: set_epoch() may come in between.
        return map(partial(_seeded, seed=self.seed, epoch=self.epoch), super().__iter__())
