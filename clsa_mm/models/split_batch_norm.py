"""BatchNorm over parts of the batch: what several GPUs do to a batch, in one process."""

from typing import Any

import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class SplitBN(nn.BatchNorm2d):
    """BatchNorm2d whose training statistics are those of ``num_splits`` parts of the batch.

    ``norm_cfg=dict(type='SplitBN', num_splits=8)`` gives each image the statistics of an eighth of its
    process's batch, as eight GPUs would. Image ``n`` belongs to part ``n % num_splits``, so that no pixel
    has to be moved. Parameters, buffers and evaluation are BatchNorm's: weights load from it and into it.
    The running statistics move towards the means of the parts' statistics, each over the parts.

    ``CLSA`` shuffles the keys of a process where its key encoder has such layers: otherwise a key would
    share its part, and so its statistics, with just the queries that it has to be told by.

    Args:
        num_features: Channels C of the images (N, C, H, W).
        num_splits: Parts of the batch; in training N must be a multiple of it. 1 is BatchNorm.
            Defaults to 8.
        **kwargs: Further arguments of :class:`torch.nn.BatchNorm2d`.

    Raises:
        ValueError: If ``num_splits`` is less than 1, and in training if N is no multiple of it.

    Source: section 3.3 of MoCo (arXiv 1911.05722) for the reason; ``SplitBatchNorm`` of its authors'
    CIFAR-10 notebook for one process.
    """

    def __init__(self, num_features: int, num_splits: int = 8, **kwargs: Any) -> None:
        super().__init__(num_features, **kwargs)
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
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        momentum = 1 / float(self.num_batches_tracked or 1) if self.momentum is None else self.momentum

        # A part's channels become channels of their own: all parts in one pass of BatchNorm's kernel.
        mean, var, weight, bias = (
            None if values is None else values.repeat(splits)
            for values in (self.running_mean, self.running_var, self.weight, self.bias)
        )
        parts = input.reshape(size // splits, -1, *input.shape[2:])
        output = F.batch_norm(parts, mean, var, weight, bias, True, momentum, self.eps)
        if mean is not None:
            self.running_mean.copy_(mean.view(splits, -1).mean(dim=0))
            self.running_var.copy_(var.view(splits, -1).mean(dim=0))
        return output.view(input.shape)

    def extra_repr(self) -> str:
        """BatchNorm's arguments and ``num_splits``."""
        return f'{super().extra_repr()}, num_splits={self.num_splits}'
