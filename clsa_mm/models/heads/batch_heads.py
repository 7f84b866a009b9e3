"""Heads that compare all features of a batch with one another, by their labels."""

import math
from abc import abstractmethod

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

from clsa_mm.given_numbers import check_numbers
from clsa_mm.models.losses import max_margin_loss, supcon_loss
from clsa_mm.models.losses.supcon_loss import PLACES


class BatchHead(BaseModule):
    """A loss of the features of all views of a global batch and their labels."""

    @abstractmethod
    def loss(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Loss terms of one batch.

        Args:
            features: Unit-length, shape (M, C): every view of every image.
            labels: Theirs, int64 of shape (M,).

        Returns:
            Scalars. Those whose name holds ``loss`` are added up; ``chance_level`` is what
            ``loss_contrastive`` is of features that are all the same.
        """

    def forward(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """See :meth:`loss`."""
        return self.loss(features, labels)


@MODELS.register_module()
class SupConHead(BatchHead):
    r"""Supervised contrastive loss; without labels SimCLR's.

    The loss is the mean of :func:`~clsa_mm.models.losses.supcon_loss` over the anchors that have positives,
    times :math:`\tau / \tau_b`. An anchor without positives, possible with one view per image, is left out;
    ``anchors_without_positives`` counts them. (The official code's mean is over all anchors.)

    Args:
        temperature: Divides the similarities. Defaults to 0.1 (paper; official CIFAR command).
        base_temperature: :math:`\tau_b`. With 1 the loss is scaled by the temperature (paper, section 4.5),
            with 0.07 as in the official PyTorch code. Defaults to None: not scaled, the equations.
        place: Of the sum over positives, ``'out'`` of the logarithm or ``'in'`` it. Defaults to ``'out'``.
        init_cfg: Unused, for OpenMMLab's interface.

    Raises:
        ValueError: If a temperature is not positive or ``place`` is not as above.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        base_temperature: float | None = None,
        place: str = 'out',
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_numbers('SupConHead', temperature=temperature, base_temperature=base_temperature)
        if temperature <= 0 or (base_temperature is not None and base_temperature <= 0):
            raise ValueError(
                f'temperatures must be positive, got temperature={temperature} and '
                f'base_temperature={base_temperature}; base_temperature=None leaves the loss unscaled'
            )
        if place not in PLACES:
            raise ValueError(f"place must be 'out' or 'in' (of the logarithm), got {place!r}")
        self.temperature = temperature
        self.scale = 1.0 if base_temperature is None else temperature / base_temperature
        self.place = place

    def loss(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Loss terms of one batch, see :class:`BatchHead`."""
        losses, counts = supcon_loss(features, labels, self.temperature, self.place)
        anchors = (counts > 0).sum()
        chance = self.scale * math.log(max(len(labels) - 1, 1))
        return dict(
            loss_contrastive=self.scale * losses.sum() / anchors.clamp(min=1),
            chance_level=losses.new_full((), chance),
            anchors_without_positives=(len(labels) - anchors).to(losses),
        )


@MODELS.register_module()
class MaxMarginHead(BatchHead):
    """Max-margin contrastive loss, :func:`~clsa_mm.models.losses.max_margin_loss`.

    Args:
        margin: Squared distance beyond which features of other labels are left alone. Defaults to 1.0.
        init_cfg: Unused, for OpenMMLab's interface.

    Raises:
        ValueError: If the margin is not positive.
    """

    def __init__(self, margin: float = 1.0, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        check_numbers('MaxMarginHead', margin=margin)
        if margin <= 0:
            raise ValueError(f'margin must be positive, got {margin}: 0 would push nothing apart')
        self.margin = margin

    def loss(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Loss terms of one batch, see :class:`BatchHead`."""
        return dict(
            loss_contrastive=max_margin_loss(features, labels, self.margin),
            chance_level=max_margin_loss(torch.zeros_like(features), labels, self.margin),
        )
