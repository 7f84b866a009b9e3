"""Feature transformation of positives and negatives (Zhu et al., ICCV 2021, arXiv 2108.02982)."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor

from clsa_mm.models.bank import Bank
from clsa_mm.models.heads.ddm_head import DDMHead
from clsa_mm.models.heads.start_epoch import has_started

POSITIVES = ('extrapolate', 'interpolate', None)
NEGATIVES = ('replace', 'append', None)
LEVELS = ('batch', 'sample', 'dimension')


@MODELS.register_module()
class FeatureTransformHead(DDMHead):
    r"""Contrasts transformed features: harder positives, more diverse negatives.

    A query :math:`z` and its positive :math:`k` move apart, and each negative of the queue is mixed with
    another one, :math:`\pi` being a random permutation (equation 5 of the paper):

    .. math::
        \hat z = \lambda z + (1 - \lambda) k, \quad \hat k = \lambda k + (1 - \lambda) z, \quad
        \lambda \sim \mathrm{Beta}(\alpha_{ex}, \alpha_{ex}) + 1, \qquad
        \hat n_j = \lambda' n_j + (1 - \lambda') n_{\pi(j)}, \quad
        \lambda' \sim \mathrm{Beta}(\alpha_{in}, \alpha_{in})

    The contrastive loss is that of :math:`\hat z` against :math:`\hat k` and the :math:`\hat n_j`. Nothing is
    normalised anew, and the gradient reaches :math:`z` in both :math:`\hat z` and :math:`\hat k`, as in the
    official code. The keys of the bank and of the queue stay as they are, so do the DDM loss and what it
    compares. Shares and permutation are each process's own.

    Args:
        positive: ``'extrapolate'``; ``'interpolate'``: :math:`\lambda` without the 1 (Table 3); None leaves
            positives and queries as they are. Defaults to ``'extrapolate'``.
        negative: ``'replace'``: mixed negatives in place of the queue's; ``'append'``: both (Table 5); None:
            the queue's. Defaults to ``'replace'``.
        positive_alpha: :math:`\alpha_{ex}`. Defaults to 2.0.
        negative_alpha: :math:`\alpha_{in}`. Defaults to 1.6.
        level: What has a :math:`\lambda` of its own: a ``'batch'`` (a view of all samples, and the whole
            queue), a ``'sample'`` (a pair, a negative), or each ``'dimension'`` of a sample. Defaults to
            ``'batch'``.
        start_epoch: First epoch of the transformation, from 0 (Table 6). Defaults to 0.
        **kwargs: Of :class:`DDMHead`.

    Raises:
        ValueError: If an argument is not as above, or nothing is to be transformed.
    """

    def __init__(
        self,
        positive: str | None = 'extrapolate',
        negative: str | None = 'replace',
        positive_alpha: float = 2.0,
        negative_alpha: float = 1.6,
        level: str = 'batch',
        start_epoch: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value, choices in (
            ('positive', positive, POSITIVES),
            ('negative', negative, NEGATIVES),
            ('level', level, LEVELS),
        ):
            if value not in choices:
                raise ValueError(f'{name} must be one of {choices}, got {value!r}')
        if positive is None and negative is None:
            raise ValueError("positive and negative are both None: take type='DDMHead', which is the same")
        if min(positive_alpha, negative_alpha) <= 0:
            raise ValueError(
                f'positive_alpha and negative_alpha must be positive, got {positive_alpha}, {negative_alpha}'
            )
        self.positive = positive
        self.negative = negative
        self.positive_alpha = positive_alpha
        self.negative_alpha = negative_alpha
        self.level = level
        self.start_epoch = start_epoch

    def contrastive_terms(
        self, queries: Sequence[Tensor], log_partitions: Tensor, bank: Bank
    ) -> dict[str, Tensor]:
        """InfoNCE of transformed features, from ``start_epoch`` on.

        Args:
            queries: Unit-length queries of V views, each (N, C).
            log_partitions: Those of the features as they are, at ``temperature``, shape (V, N).
            bank: What they belong to, with positives apart from the negatives (``model.bank='own'``).

        Raises:
            ValueError: If the positives are among the shared keys.
        """
        negatives = bank.negatives
        if not has_started(self.start_epoch):
            return super().contrastive_terms(queries, log_partitions, bank)
        queries, keys = torch.stack(tuple(queries)), bank.positives
        if self.positive:
            queries, keys = self._transform_pairs(queries, keys)
        if self.negative:
            mixed = self._mix_negatives(torch.cat(negatives))
            negatives = (mixed,) if self.negative == 'replace' else (mixed, *negatives)
        transformed = Bank(bank.positives, negatives, holds_positives=False)
        _, log_partitions = transformed.attention(queries, self.temperature)
        similarities = (queries * keys).sum(dim=-1)
        log_partitions = torch.logaddexp(log_partitions, similarities / self.temperature)
        return self.info_nce(log_partitions, similarities, 1 + len(transformed))

    def _transform_pairs(self, queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (V, N, C) and their keys (N, C) -> both as (V, N, C), apart or nearer to each other."""
        share = self._draw(self.positive_alpha, queries) + (self.positive == 'extrapolate')
        return share * queries + (1 - share) * keys, share * keys + (1 - share) * queries

    def _mix_negatives(self, negatives: Tensor) -> Tensor:
        share = self._draw(self.negative_alpha, negatives)
        others = negatives[torch.randperm(len(negatives), device=negatives.device)]
        return torch.lerp(others, negatives, share)

    def _draw(self, alpha: float, features: Tensor) -> Tensor:
        """Shares from Beta(alpha, alpha) that broadcast over features (..., N, C)."""
        kept = dict(batch=0, sample=1, dimension=2)[self.level]
        *views, samples, channels = features.shape
        shape = (*views, samples if kept else 1, channels if kept == 2 else 1)
        concentration = features.new_tensor(alpha)
        return torch.distributions.Beta(concentration, concentration, validate_args=False).sample(shape)
