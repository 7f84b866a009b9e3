"""The queue of keys of former batches."""

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import broadcast
from torch import Tensor, nn

from clsa_mm.given_numbers import check_numbers

NO_LABEL = -1


class KeyQueue(nn.Module):
    """Ring buffer of the last ``length`` keys, in float32 and in a checkpoint.

    Every rank enqueues the keys of the whole global batch in the same order, so the queues of all ranks
    stay identical. Batches of any size fit: they wrap around, and of one larger than the queue the last
    ``length`` keys remain (the official code asserts that the batch divides the length).

    Until it has been filled once, the queue holds random unit vectors, as in MoCo; the same on every
    rank, whatever the ranks' own seeds.

    Args:
        length: Number of keys K. Defaults to 65536.
        feat_dim: Dimension C of a key. Defaults to 128.
        labelled: Keep a label beside each key. Keys of before, of the random start or of a checkpoint without
            labels, have ``NO_LABEL``. Defaults to False.

    Attributes:
        keys (Tensor): Buffer of shape (K, C).
        num_enqueued (Tensor): Buffer, the number of keys ever enqueued, int64, shape ().
        labels (Tensor): Buffer of shape (K,), int64, where there are labels.

    Source: ``_dequeue_and_enqueue`` of the official ``model/CLSA.py`` (there transposed, with a pointer).
    """

    def __init__(self, length: int = 65536, feat_dim: int = 128, labelled: bool = False) -> None:
        super().__init__()
        check_numbers('KeyQueue', whole=True, length=length, feat_dim=feat_dim)
        if length < 1 or feat_dim < 1:
            raise ValueError(f'a queue needs length and feat_dim >= 1, got {length} and {feat_dim}')
        self.register_buffer('keys', _random_keys(length, feat_dim))
        self.register_buffer('num_enqueued', torch.zeros((), dtype=torch.int64))
        if labelled:
            self.register_buffer('labels', torch.full((length,), NO_LABEL))
        self.labelled = labelled
        # Mirrors the buffer on the host, so that reading it does not wait for the GPU.
        self._total: int | None = 0

    def __len__(self) -> int:
        return self.keys.shape[0]

    @property
    def total(self) -> int:
        """Number of keys ever enqueued."""
        if self._total is None:
            self._total = int(self.num_enqueued)
        return self._total

    @property
    def pointer(self) -> int:
        """Slot that the next key goes to, in [0, K)."""
        return self.total % len(self)

    @property
    def fill(self) -> float:
        """Share of the queue that holds keys of images instead of its random start, in [0, 1]."""
        return min(1.0, self.total / len(self))

    @torch.no_grad()
    def enqueue(self, keys: Tensor, labels: Tensor | None = None) -> None:
        """Replace the oldest keys.

        Args:
            keys: Shape (N, C) with any N, the same on every rank.
            labels: Theirs, int64 of shape (N,), if the queue keeps labels. Defaults to None.

        Raises:
            ValueError: If the shapes do not fit, or labels lack or come uncalled for.
        """
        if keys.dim() != 2 or keys.shape[1] != self.keys.shape[1]:
            raise ValueError(
                f'keys must be (N, {self.keys.shape[1]}) for this queue, got {tuple(keys.shape)}; make '
                "feat_dim equal to the neck's out_channels"
            )
        if self.labelled != (labels is not None) or (self.labelled and labels.shape != keys.shape[:1]):
            shape = None if labels is None else tuple(labels.shape)
            raise ValueError(
                f'a queue with labelled={self.labelled} got {len(keys)} keys with labels of shape {shape}: '
                'give one label for each key to a queue with labelled=True, and none to another'
            )
        first = max(0, len(keys) - len(self))
        slots = self.num_enqueued + torch.arange(first, len(keys), device=self.keys.device)
        self.keys.index_copy_(0, slots % len(self), keys[first:].to(self.keys))
        if self.labelled:
            self.labels.index_copy_(0, slots % len(self), labels[first:])
        self._total = self.total + len(keys)
        self.num_enqueued += len(keys)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        keys = state_dict.get(f'{prefix}keys')
        if keys is not None and keys.shape != self.keys.shape:
            # Another length: the keys will not be taken over (torch says so), nor may their count.
            state_dict[f'{prefix}num_enqueued'] = torch.zeros_like(self.num_enqueued)
        if not self.labelled:
            state_dict.pop(f'{prefix}labels', None)
        elif keys is not None:  # of a training without labels, or of one before there were any
            state_dict.setdefault(f'{prefix}labels', torch.full((len(keys),), NO_LABEL))
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._total = None

    def extra_repr(self) -> str:
        """Length and dimension, for ``print(model)``."""
        return f'length={len(self)}, feat_dim={self.keys.shape[1]}, labelled={self.labelled}'


def _random_keys(length: int, feat_dim: int) -> Tensor:
    seed = torch.randint(2**63 - 1, ())
    broadcast(seed)
    generator = torch.Generator().manual_seed(seed.item())
    return F.normalize(torch.randn(length, feat_dim, generator=generator), dim=1)
