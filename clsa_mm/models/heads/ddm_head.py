"""Temperatures and weights of the CLSA loss."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

from clsa_mm.models.losses import info_nce_loss, multi_view_ddm_loss


@MODELS.register_module()
class DDMHead(BaseModule):
    r"""The objective of CLSA, :math:`L = L_{contrastive} + \beta L_{DDM}` (paper, equation 4).

    The contrastive term is the sum over weak views, the DDM term the sum over all pairs of a weak and a
    strong view, as in the official code. Without strong views it is MoCo v2's head.

    Args:
        temperature: Temperature of the contrastive loss. Defaults to 0.2.
        ddm_temperature: Temperature of both distributions in the DDM loss (``--clsa_t`` of the official
            code). Defaults to 0.2.
        beta: Weight of the DDM loss (``--alpha`` of the official code). With 0 the DDM loss is not
            computed. Defaults to 1.0.
        init_cfg: Unused, for OpenMMLab's interface.

    Raises:
        ValueError: If a temperature is not positive or beta is negative.
    """

    def __init__(
        self,
        temperature: float = 0.2,
        ddm_temperature: float = 0.2,
        beta: float = 1.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if temperature <= 0 or ddm_temperature <= 0:
            raise ValueError(
                f'temperatures must be positive, got temperature={temperature} and '
                f'ddm_temperature={ddm_temperature}'
            )
        if beta < 0:
            raise ValueError(f'beta must not be negative, got {beta}; 0 switches the DDM loss off')
        self.temperature = temperature
        self.ddm_temperature = ddm_temperature
        self.beta = beta

    def loss(
        self,
        weak_similarities: Sequence[Tensor],
        strong_similarities: Sequence[Tensor],
        labels: Tensor,
    ) -> dict[str, Tensor]:
        """Weighted loss terms of one batch.

        Args:
            weak_similarities: W tensors (N, M): cosine similarities of weak queries and bank.
            strong_similarities: S tensors (N, M), the same for strong queries; may be empty.
            labels: Index of each sample's positive in the bank, shape (N,).

        Returns:
            ``loss_contrastive`` and, with strong views and ``beta > 0``, ``loss_ddm`` (times beta).
        """
        losses = dict(
            loss_contrastive=sum(
                info_nce_loss(similarity, labels, self.temperature) for similarity in weak_similarities
            )
        )
        if strong_similarities and self.beta > 0:
            losses['loss_ddm'] = self.beta * multi_view_ddm_loss(
                strong_similarities, weak_similarities, self.ddm_temperature, self.ddm_temperature
            )
        return losses
