"""Features and labels of the global batch, on every rank."""

from collections.abc import Sequence

import torch
from mmengine.dist import all_gather, get_rank, get_world_size
from mmpretrain.structures import DataSample
from torch import Tensor
from torch.autograd.function import FunctionCtx


def gather_features(features: Tensor) -> Tensor:
    """Features of all ranks (N_global, ...) in the order of the ranks, with gradient for this rank's.

    A loss of them is that of the whole batch, the same on every rank. The gradient that reaches this rank's
    features is multiplied by the number of ranks, since DistributedDataParallel averages over ranks: so the
    parameters get the loss's gradient, as one process with the whole batch would give.

    Args:
        features: This rank's, shape (N, ...), the same on every rank.
    """
    return _GatherFeatures.apply(features) if get_world_size() > 1 else features


def gather_labels(data_samples: Sequence[DataSample] | None, device: torch.device) -> Tensor:
    """Labels of the images of all ranks, int64 of shape (N_global,), in the order of the ranks.

    Args:
        data_samples: This rank's, with one ``gt_label`` each; N the same on every rank.
        device: Where the labels are wanted.

    Raises:
        ValueError: If a sample has no label.
    """
    labels = [sample.gt_label for sample in data_samples or () if 'gt_label' in sample]
    if not labels or len(labels) < len(data_samples):
        raise ValueError(
            f'{len(labels)} of {len(data_samples or ())} images have a label, but the model learns from '
            'labels: set train_dataloader.dataset.labels=True, which takes them from the folders of images'
        )
    own = torch.cat(labels).to(device)
    return torch.cat(all_gather(own))


class _GatherFeatures(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, features: Tensor) -> Tensor:
        ctx.size = len(features)
        return torch.cat(all_gather(features))

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        return gradient[get_rank() * ctx.size :][: ctx.size] * get_world_size()
