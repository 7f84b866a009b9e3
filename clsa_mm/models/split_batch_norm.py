"""BatchNorm over parts of the batch: what several GPUs do to a batch, in one process."""

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from clsa_mm.given_numbers import check_numbers


@MODELS.register_module()
class SplitBN(nn.BatchNorm2d):
    """BatchNorm2d whose training statistics are those of ``num_splits`` parts of the batch.

    ``norm_cfg=dict(type='SplitBN', num_splits=8)`` normalises each eighth of a process's batch by itself,
    as eight GPUs would. Parameters, buffers and evaluation are BatchNorm's: weights load from it and into
    it. The running statistics are the mean of those that the parts would have.

    ``CLSA`` shuffles the keys of a process where its key encoder has such layers: otherwise a key would
    share its part, and so its statistics, with just the queries that it has to be told by.

    Args:
        num_features: Channels C of the images (N, C, H, W).
        num_splits: Parts of the batch; in training N must be a multiple of it. 1 is BatchNorm.
            Defaults to 8.
        **kwargs: Further arguments of :class:`torch.nn.BatchNorm2d`.

    Raises:
        ValueError: If ``num_splits`` is less than 1, and in training if N is no multiple of it, or a
            part has a single value per channel.

    Source: section 3.3 of MoCo (arXiv 1911.05722) for the reason; ``SplitBatchNorm`` of its authors'
    CIFAR-10 notebook for one process.
    """

    def __init__(self, num_features: int, num_splits: int = 8, **kwargs: Any) -> None:
        super().__init__(num_features, **kwargs)
        check_numbers('SplitBN', whole=True, num_splits=num_splits)
        if num_splits < 1:
            raise ValueError(f'SplitBN: num_splits must be at least 1, got {num_splits}')
        self.num_splits = num_splits

    def forward(self, input: Tensor) -> Tensor:
        """Normalise images (N, C, H, W)."""
        if not self.training or self.num_splits == 1:
            return super().forward(input)
        self._check_input_dim(input)
        size, splits = len(input), self.num_splits
        if size % splits:
            raise ValueError(
                f'SplitBN cannot split a batch of {size} images into num_splits={splits} equal parts: make '
                'the batch size a multiple of num_splits (with drop_last=True), or change num_splits'
            )
        if input.numel() == splits * input.shape[1]:
            raise ValueError(
                f'SplitBN has one value per channel in each of num_splits={splits} parts of inputs '
                f'{tuple(input.shape)}, which is its own mean: use fewer splits, larger batches or images'
            )
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        momentum = 1 / float(self.num_batches_tracked or 1) if self.momentum is None else self.momentum

        # One call per part: merging parts into channels would copy images in the channels-last format.
        statistics = self.running_mean, self.running_var
        means, variances = (
            [None] * splits if values is None else values.repeat(splits, 1) for values in statistics
        )
        parts = [
            F.batch_norm(part, mean, variance, self.weight, self.bias, True, momentum, self.eps)
            for part, mean, variance in zip(input.chunk(splits), means, variances, strict=True)
        ]
        if self.track_running_stats:
            self.running_mean.copy_(means.mean(dim=0))
            self.running_var.copy_(variances.mean(dim=0))
        return torch.cat(parts)

    def extra_repr(self) -> str:
        """BatchNorm's arguments and ``num_splits``."""
        return f'{super().extra_repr()}, num_splits={self.num_splits}'
