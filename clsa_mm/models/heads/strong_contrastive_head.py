"""The contrastive loss in place of DDM: an ablation of CLSA."""

import math
from collections.abc import Sequence

import torch
from mmengine.registry import MODELS
from torch import Tensor

from clsa_mm.given_numbers import check_numbers
from clsa_mm.models.bank import Bank
from clsa_mm.models.heads.bank_head import BankHead


@MODELS.register_module()
class StrongContrastiveHead(BankHead):
    r"""Strong views are contrasted with the bank as weak ones are ("CLSA-Single with contrastive loss").

    Table 4 of the paper's submission: the contrastive loss (equation 1) takes the place of the DDM loss, with
    its weight. With the log-partition :math:`l` of :func:`~clsa_mm.models.losses.bank_attention`, over weak
    views :math:`w` and strong views :math:`s`, as means over samples:

    .. math::
        L = \sum_w l(z'_w) - z'_w \cdot k_+ / \tau + \beta \sum_s l(z''_s) - z''_s \cdot k_+ / \tau

    Args:
        temperature: Temperature of both losses. Defaults to 0.2.
        beta: Weight of the strong views' loss. Defaults to 1.0.
        init_cfg: Unused, for OpenMMLab's interface.

    Raises:
        ValueError: If ``temperature`` is not positive or ``beta`` is negative.
    """

    def __init__(self, temperature: float = 0.2, beta: float = 1.0, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        check_numbers('StrongContrastiveHead', temperature=temperature, beta=beta)
        if temperature <= 0:
            raise ValueError(f'temperature must be positive, got {temperature}')
        if beta < 0:
            raise ValueError(f'beta must not be negative, got {beta}; 0 leaves the strong views out')
        self.temperature = temperature
        self.beta = beta

    def loss(self, weak: Sequence[Tensor], strong: Sequence[Tensor], bank: Bank) -> dict[str, Tensor]:
        """Weighted loss terms of one batch.

        Args:
            weak: Unit-length queries of W weak views, each (N, C).
            strong: The same of S strong views; may be empty.
            bank: What the queries are compared with.

        Returns:
            ``loss_contrastive`` and ``chance_level`` of the weak views; ``loss_strong`` where there are
            strong views and ``beta > 0``.

        Raises:
            ValueError: If there is no weak view, or the bank does not hold the positives.
        """
        if not weak:
            raise ValueError('there is no weak view to contrast: set views.weak in train_dataloader.dataset')
        if not bank.holds_positives:
            raise ValueError(
                "the contrastive loss needs the positives in the bank: set model.bank to 'batch' or 'own'"
            )
        strong = strong if self.beta > 0 else ()
        queries = torch.stack([*weak, *strong])
        _, log_partitions = bank.attention(queries, self.temperature)
        losses = (log_partitions - bank.positive_similarity(queries) / self.temperature).mean(dim=1)
        terms = dict(
            loss_contrastive=losses[: len(weak)].sum(),
            chance_level=losses.new_full((), len(weak) * math.log(len(bank))),
        )
        if strong:
            terms['loss_strong'] = self.beta * losses[len(weak) :].sum()
        return terms
