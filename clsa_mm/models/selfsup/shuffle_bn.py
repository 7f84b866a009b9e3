"""Shuffling of a batch, so that BatchNorm does not leak which keys belong together."""

import torch
from mmengine.dist import all_gather, get_rank, get_world_size
from torch import Tensor, nn

from clsa_mm.models.split_batch_norm import SplitBN


class BatchShuffle:
    """One random permutation of the samples of the global batch.

    Every rank draws the same permutation from the same seed, which saves the broadcast of the official
    code. A single process shuffles only what has statistics of parts of its batch; else nothing is copied.

    Args:
        batch_size: Samples per process N, the same on every rank.
        seed: Seed of the permutation, the same on every rank.
        splits: Whether the encoder of the images normalises parts of a process's batch, see
            :func:`has_split_norm`. Defaults to False.

    Source: section 3.3 of MoCo (arXiv 1911.05722); ``_batch_shuffle_ddp`` of the official code.
    """

    def __init__(self, batch_size: int, seed: int, splits: bool = False) -> None:
        self.rank, self.world_size = get_rank(), get_world_size()
        self.batch_size = batch_size
        self.needed = splits or self.world_size > 1
        generator = torch.Generator().manual_seed(seed)
        self.order = torch.randperm(batch_size * self.world_size, generator=generator)

    @property
    def own(self) -> slice:
        """This rank's samples in the global batch in its original order."""
        return slice(self.rank * self.batch_size, (self.rank + 1) * self.batch_size)

    def shuffle(self, images: Tensor) -> Tensor:
        """Exchange this rank's images (N, ...) for N random ones of the global batch."""
        if not self.needed:
            return images
        return torch.cat(all_gather(images))[self.order[self.own].to(images.device)]

    def gather_unshuffled(self, features: Tensor) -> Tensor:
        """Features (N, C) of the shuffled images -> those of the global batch in original order."""
        if not self.needed:
            return features
        return torch.cat(all_gather(features))[torch.argsort(self.order).to(features.device)]


def has_split_norm(module: nn.Module) -> bool:
    """Whether a module normalises parts of a process's batch, so that a single process has to shuffle."""
    return any(isinstance(layer, SplitBN) and layer.num_splits > 1 for layer in module.modules())
