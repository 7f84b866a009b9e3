"""From images to the features that a loss compares."""

import torch.nn.functional as F
from mmpretrain.models.selfsup.base import BaseSelfSupervisor
from torch import Tensor

from clsa_mm.models.losses.precision import at_least_float32


def encode(model: BaseSelfSupervisor, images: Tensor) -> Tensor:
    """Features of backbone and projection, of unit length, at least float32, with gradient.

    Args:
        model: With a backbone, a neck and its ``memory_format``.
        images: Normalised, shape (N, 3, H, W).

    Returns:
        Shape (N, C).
    """
    images = images.contiguous(memory_format=model.memory_format)
    return F.normalize(at_least_float32(model.neck(model.backbone(images))[0]), dim=1)
