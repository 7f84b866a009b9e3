"""Starting a data loader at a batch within its pass."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, Sampler


class FromBatch(Sampler):
    """A batch sampler whose next pass begins at a batch; the passes after it are whole.

    The batches before are drawn as indices and dropped, so that no image is read for them, and whatever the
    batch sampler keeps from batch to batch (images grouped by shape) is as if they had been used. In all
    else, its length among it, it is the batch sampler that it stands for.

    Args:
        batches: The batch sampler.
        first: Number of the batch to begin at, >= 0.
    """

    def __init__(self, batches: BatchSampler, first: int) -> None:
        self.batches = batches
        self.first = first

    def __iter__(self) -> Iterator[list[int]]:
        """Iterate over lists of indices."""
        # A generator, since torch's loader with workers makes two iterators and draws from the second alone.
        first, self.first = self.first, 0
        yield from islice(self.batches, first, None)

    def __len__(self) -> int:
        """Batches of a whole pass."""
        return len(self.batches)

    def __getattr__(self, name: str) -> Any:
        """What the batch sampler has: ``sampler``, ``batch_size`` and the like."""
        if name == 'batches':  # not set yet, where a copy is made
            raise AttributeError(name)
        return getattr(self.batches, name)


def start_at(loader: DataLoader, first: int) -> None:
    """Let the next iteration over a loader begin at a batch, with any number of workers.

    Args:
        loader: Of batches; changed in place.
        first: Number of the batch, >= 0.
    """
    # torch lets nobody set the attribute of a loader that exists, and has no other way in.
    vars(loader)['batch_sampler'] = FromBatch(loader.batch_sampler, first)


def sampler_of(loader: DataLoader) -> Sampler:
    """What draws a loader's indices, also behind a batch sampler of its own.

    Args:
        loader: Any; where it was given a batch sampler, torch's ``loader.sampler`` is a placeholder.
    """
    return getattr(loader.batch_sampler, 'sampler', loader.sampler)
