"""The loss of the VOC07 linear evaluation."""

import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class SummedBCELoss(nn.Module):
    """Binary cross-entropy with logits, summed over classes and images.

    mmpretrain's heads average over images. With a sum each image weighs the same, also in an epoch's
    last batch where that is smaller.

    Source: ``BCEWithLogitsLoss(reduction='sum')`` in ``VOC_CLF/train.py`` of the official code.
    """

    def forward(self, cls_score: Tensor, target: Tensor, avg_factor: float | None = None) -> Tensor:
        """Sum the loss of a batch.

        Args:
            cls_score: Logits, shape (N, number of classes).
            target: 1 where an image shows a class, else 0; the same shape.
            avg_factor: Number of images, which mmpretrain's heads give. Unused.

        Returns:
            The sum, a scalar.
        """
        return F.binary_cross_entropy_with_logits(cls_score, target, reduction='sum')
