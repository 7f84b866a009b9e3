"""The losses of CLSA, their temperatures and weights."""

import math
from collections.abc import Sequence

import torch
from mmengine.registry import MODELS
from torch import Tensor

from clsa_mm.given_numbers import check_numbers
from clsa_mm.models.bank import Bank
from clsa_mm.models.heads.bank_head import BankHead

TEACHERS = ('weak', 'key')


@MODELS.register_module()
class DDMHead(BankHead):
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
        teacher_temperature: Temperature of the teachers' distributions in the DDM loss. Defaults to
            ``ddm_temperature``.
        contrastive_weight: Weight of the contrastive loss. With 0 it is not computed. Defaults to 1.0.
        teacher: Whose distribution the strong views learn: ``'weak'``, the weak views' (the paper), or
            ``'key'``, that of the sample's key. Defaults to ``'weak'``.
        teacher_gradient: Whether gradients of the DDM loss reach the weak views. Takes a tensor of shape
            (W, N, M). Defaults to False (the official code).
        init_cfg: Unused, for OpenMMLab's interface.

    Raises:
        ValueError: If a temperature is not positive, a weight is negative or both are 0, or ``teacher`` is
            not as above.
    """

    def __init__(
        self,
        temperature: float = 0.2,
        ddm_temperature: float = 0.2,
        beta: float = 1.0,
        teacher_temperature: float | None = None,
        contrastive_weight: float = 1.0,
        teacher: str = 'weak',
        teacher_gradient: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if teacher_temperature is None:
            teacher_temperature = ddm_temperature
        check_numbers(
            'DDMHead',
            temperature=temperature,
            ddm_temperature=ddm_temperature,
            teacher_temperature=teacher_temperature,
            beta=beta,
            contrastive_weight=contrastive_weight,
        )
        if min(temperature, ddm_temperature, teacher_temperature) <= 0:
            raise ValueError(
                f'temperatures must be positive, got temperature={temperature}, ddm_temperature='
                f'{ddm_temperature} and teacher_temperature={teacher_temperature}'
            )
        if beta < 0:
            raise ValueError(f'beta must not be negative, got {beta}; 0 switches the DDM loss off')
        if contrastive_weight < 0 or not contrastive_weight + beta:
            raise ValueError(
                f'contrastive_weight must not be negative, and not 0 where beta is, got {contrastive_weight} '
                f'and beta={beta}: one of the two losses has to train the model'
            )
        if teacher not in TEACHERS or (teacher_gradient and teacher == 'key'):
            raise ValueError(
                f"teacher must be 'weak' or 'key', and with teacher_gradient=True 'weak' (keys have no "
                f'gradient), got {teacher!r}'
            )
        self.temperature = temperature
        self.ddm_temperature = ddm_temperature
        self.teacher_temperature = teacher_temperature
        self.beta = beta
        self.contrastive_weight = contrastive_weight
        self.teacher = teacher
        self.teacher_gradient = teacher_gradient

    def loss(self, weak: Sequence[Tensor], strong: Sequence[Tensor], bank: Bank) -> dict[str, Tensor]:
        """Weighted loss terms of one batch.

        Args:
            weak: Unit-length queries of W weak views, each (N, C).
            strong: The same of S strong views; may be empty.
            bank: What the queries are compared with.

        Returns:
            ``loss_contrastive`` and ``chance_level`` unless ``contrastive_weight`` is 0;
            ``loss_ddm`` where there are strong views and ``beta > 0``.

        Raises:
            ValueError: If a loss lacks its views.
        """
        contrasted = weak if self.contrastive_weight > 0 else ()
        strong = strong if self.beta > 0 else ()
        self._check_views(weak, strong, bank)
        teachers = () if not strong else weak if self.teacher == 'weak' else [bank.positives]
        reuse = bool(contrasted) and self.teacher == 'weak' and self.teacher_temperature == self.temperature
        apart = () if reuse or self.teacher_gradient else [queries.detach() for queries in teachers]
        # One pass over the bank for all views; the teachers have it twice if at another temperature.
        expected_keys, log_partitions = bank.attention(
            torch.stack([*contrasted, *strong, *apart]),
            [
                *(self.temperature for _ in contrasted),
                *(self.ddm_temperature for _ in strong),
                *(self.teacher_temperature for _ in apart),
            ],
        )
        sizes = [len(contrasted), len(strong), len(apart)]
        weak_keys, _, teacher_keys = expected_keys.split(sizes)
        weak_logs, strong_logs, _ = log_partitions.split(sizes)
        terms = self.contrastive_terms(contrasted, weak_logs, bank) if contrasted else {}
        if strong:
            if self.teacher_gradient:
                teacher_keys = bank.expected_key(torch.stack(tuple(teachers)), self.teacher_temperature)
            elif reuse:
                teacher_keys = weak_keys
            terms['loss_ddm'] = self.beta * self._divergence(strong, strong_logs, teacher_keys)
        return terms

    def contrastive_terms(
        self, queries: Sequence[Tensor], log_partitions: Tensor, bank: Bank
    ) -> dict[str, Tensor]:
        """InfoNCE (equation 1), summed over views, and its value for a model that knows nothing.

        Args:
            queries: Unit-length queries of V views, each (N, C).
            log_partitions: Theirs at ``temperature``, shape (V, N).
            bank: What they belong to.
        """
        positives = bank.positive_similarity(torch.stack(tuple(queries)))
        return self.info_nce(log_partitions, positives, len(bank))

    def info_nce(self, log_partitions: Tensor, positives: Tensor, num_keys: int) -> dict[str, Tensor]:
        """The same from what a head with positives or negatives of its own has computed.

        Args:
            log_partitions: Over all keys, positives included, at ``temperature``, shape (V, N).
            positives: Similarities of queries and their positives, shape (V, N).
            num_keys: Number of keys that one query meets.
        """
        losses = log_partitions - positives / self.temperature
        chance = self.contrastive_weight * len(losses) * math.log(num_keys)
        return dict(
            loss_contrastive=self.contrastive_weight * losses.mean(dim=1).sum(),
            chance_level=log_partitions.new_full((), chance),
        )

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

    def _check_views(self, weak: Sequence[Tensor], strong: Sequence[Tensor], bank: Bank) -> None:
        if not weak and (self.contrastive_weight > 0 or self.teacher == 'weak'):
            raise ValueError(
                'there is no weak view for the contrastive loss, or to teach strong ones: set views.weak in '
                "train_dataloader.dataset, or contrastive_weight=0 and teacher='key' in model.head"
            )
        if not weak and not strong:
            raise ValueError(
                'there is no view to train with: set views.weak or, with beta > 0, views.strong in '
                'train_dataloader.dataset'
            )
        if self.contrastive_weight > 0 and not bank.holds_positives:
            raise ValueError(
                'the contrastive loss needs the positives in the bank: set model.bank to another than '
                "'queue', or model.head.contrastive_weight to 0"
            )
