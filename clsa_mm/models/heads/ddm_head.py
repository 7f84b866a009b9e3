"""The losses of CLSA, their temperatures and weight."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

from clsa_mm.models.bank import Bank


@MODELS.register_module()
class DDMHead(BaseModule):
    r"""The objective of CLSA, :math:`L = L_C + \beta L_D` (Algorithm 1 of the paper).

    With the log-partition :math:`l` and the expected key :math:`o` of
    :func:`~clsa_mm.models.losses.bank_attention`, the contrastive loss (equation 1) is summed over W weak
    views :math:`w`, and the distributional divergence (equation 4) over all pairs of a weak and a strong
    view :math:`s`, as in the official code; both are means over samples:

    .. math::
        L_C = \sum_w l(z'_w) - z'_w \cdot k_+ / \tau, \qquad
        L_D = \sum_s \Big( W \, l(z''_s) - z''_s \cdot \sum_w o(z'_w) / \tau \Big)

    Without strong views it is MoCo v2's head.

    Args:
        temperature: Temperature of the contrastive loss. Defaults to 0.2.
        ddm_temperature: Temperature of the strong views' distributions in the DDM loss (``--clsa_t`` of the
            official code). Defaults to 0.2.
        beta: Weight of the DDM loss (``--alpha`` of the official code). With 0 the DDM loss is not
            computed. Defaults to 1.0.
        teacher_temperature: Temperature of the weak views' distributions in the DDM loss. Defaults to
            ``ddm_temperature``.
        init_cfg: Unused, for OpenMMLab's interface.

    Raises:
        ValueError: If a temperature is not positive or beta is negative.
    """

    def __init__(
        self,
        temperature: float = 0.2,
        ddm_temperature: float = 0.2,
        beta: float = 1.0,
        teacher_temperature: float | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if teacher_temperature is None:
            teacher_temperature = ddm_temperature
        if min(temperature, ddm_temperature, teacher_temperature) <= 0:
            raise ValueError(
                f'temperatures must be positive, got temperature={temperature}, ddm_temperature='
                f'{ddm_temperature} and teacher_temperature={teacher_temperature}'
            )
        if beta < 0:
            raise ValueError(f'beta must not be negative, got {beta}; 0 switches the DDM loss off')
        self.temperature = temperature
        self.ddm_temperature = ddm_temperature
        self.teacher_temperature = teacher_temperature
        self.beta = beta

    def loss(self, weak: Sequence[Tensor], strong: Sequence[Tensor], bank: Bank) -> dict[str, Tensor]:
        """Weighted loss terms of one batch.

        Args:
            weak: Unit-length queries of W weak views, each (N, C).
            strong: The same of S strong views; may be empty.
            bank: What the queries are compared with.

        Returns:
            ``loss_contrastive`` and, with strong views and ``beta > 0``, ``loss_ddm`` (times beta).
        """
        strong = strong if self.beta > 0 else ()
        # One pass over the bank for all views; the teachers have it twice if at another temperature.
        teachers = weak if strong and self.teacher_temperature != self.temperature else ()
        expected_keys, log_partitions = bank.attention(
            torch.stack([*weak, *strong, *(queries.detach() for queries in teachers)]),
            [
                *(self.temperature for _ in weak),
                *(self.ddm_temperature for _ in strong),
                *(self.teacher_temperature for _ in teachers),
            ],
        )
        sizes = [len(weak), len(strong), len(teachers)]
        weak_keys, _, teacher_keys = expected_keys.split(sizes)
        weak_logs, strong_logs, _ = log_partitions.split(sizes)
        losses = weak_logs - bank.positive_similarity(torch.stack(tuple(weak))) / self.temperature
        terms = dict(loss_contrastive=losses.mean(dim=1).sum())
        if strong:
            divergence = self._divergence(strong, strong_logs, teacher_keys if teachers else weak_keys)
            terms['loss_ddm'] = self.beta * divergence
        return terms

    def divergence(self, weak: Sequence[Tensor], strong: Sequence[Tensor], bank: Bank) -> Tensor:
        """Distributional divergence of strong views from weak ones, for any framework that has a bank.

        Args:
            weak: Unit-length queries of W weak views, each (N, C); no gradient reaches them.
            strong: The same of S >= 1 strong views.
            bank: What the queries are compared with.

        Returns:
            The sum over pairs of views of the means over samples (equation 4), a scalar, without ``beta``.

        Raises:
            ValueError: If there is no weak or no strong view.
        """
        if not len(weak) or not len(strong):
            raise ValueError(
                f'a divergence needs at least one weak and one strong view, got {len(weak)} and '
                f'{len(strong)}; leave it out where a batch has none'
            )
        temperatures = [self.teacher_temperature] * len(weak) + [self.ddm_temperature] * len(strong)
        queries = torch.stack([*(view.detach() for view in weak), *strong])
        expected_keys, log_partitions = bank.attention(queries, temperatures)
        return self._divergence(strong, log_partitions[len(weak) :], expected_keys[: len(weak)])

    def _divergence(self, strong: Sequence[Tensor], log_partitions: Tensor, teachers: Tensor) -> Tensor:
        agreements = (torch.stack(tuple(strong)) * teachers.sum(dim=0)).sum(dim=-1) / self.ddm_temperature
        return (len(teachers) * log_partitions - agreements).mean(dim=1).sum()
