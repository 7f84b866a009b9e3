"""Hard negative mixing, MoCHi (Kalantidis et al., NeurIPS 2020, arXiv 2010.01028)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from clsa_mm.given_numbers import check_numbers
from clsa_mm.models.bank import Bank
from clsa_mm.models.heads.ddm_head import DDMHead
from clsa_mm.models.heads.start_epoch import has_started
from clsa_mm.models.losses import own_attention
from clsa_mm.models.losses.precision import full_precision

CHUNK = 8192  # keys whose similarities are formed at once


@MODELS.register_module()
class MoCHiHead(DDMHead):
    r"""Adds synthetic negatives to the contrastive loss, mixed out of the hardest ones of each query.

    Of a query :math:`z`, with pairs and single ones drawn from its :math:`N` most similar negatives
    :math:`n` (section 4 of the paper; both are normalised to unit length):

    .. math::
        h \propto \alpha n_i + (1 - \alpha) n_j, \quad \alpha \sim U(0, 1), \qquad
        h' \propto \beta z + (1 - \beta) n_i, \quad \beta \sim U(0, 0.5)

    The synthetic negatives are constants: no gradient flows through the query within them. The DDM loss
    stays as it is.

    Args:
        num_hard: :math:`N`, negatives to mix from. Defaults to 1024.
        num_mixed: :math:`s`, mixtures of two of them. Defaults to 1024.
        num_query_mixed: :math:`s'`, mixtures of one of them and the query. Defaults to 128.
        max_query_share: Largest share of the query, in (0, 1). Defaults to 0.5.
        start_epoch: First epoch with synthetic negatives, from 0. Defaults to 0.
        **kwargs: Of :class:`DDMHead`.

    Raises:
        ValueError: If an argument is not as above.
    """

    def __init__(
        self,
        num_hard: int = 1024,
        num_mixed: int = 1024,
        num_query_mixed: int = 128,
        max_query_share: float = 0.5,
        start_epoch: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_numbers(
            'MoCHiHead', whole=True, num_hard=num_hard, num_mixed=num_mixed, num_query_mixed=num_query_mixed
        )
        check_numbers('MoCHiHead', whole=True, low=0, start_epoch=start_epoch)
        check_numbers('MoCHiHead', max_query_share=max_query_share)
        if num_hard < 2 or min(num_mixed, num_query_mixed) < 0 or not num_mixed + num_query_mixed:
            raise ValueError(
                'num_hard must be at least 2, and num_mixed or num_query_mixed at least 1, got '
                f"{num_hard}, {num_mixed} and {num_query_mixed}; without synthetic negatives take 'DDMHead'"
            )
        if not 0 < max_query_share < 1:
            raise ValueError(
                f'max_query_share must be in (0, 1), got {max_query_share}: with 1 a mixture could be the '
                'query itself'
            )
        self.num_hard = num_hard
        self.num_mixed = num_mixed
        self.num_query_mixed = num_query_mixed
        self.max_query_share = max_query_share
        self.start_epoch = start_epoch

    def contrastive_terms(
        self, queries: Sequence[Tensor], log_partitions: Tensor, bank: Bank
    ) -> dict[str, Tensor]:
        """InfoNCE with synthetic negatives, from ``start_epoch`` on.

        Args:
            queries: Unit-length queries of V views, each (N, C).
            log_partitions: Theirs over the bank at ``temperature``, shape (V, N).
            bank: What they belong to, with positives apart from the negatives (``model.bank='own'``).

        Raises:
            ValueError: If the positives are among the shared keys, or there are fewer negatives than
                ``num_hard``.
        """
        negatives = bank.negatives
        if not has_started(self.start_epoch):
            return super().contrastive_terms(queries, log_partitions, bank)
        queries = torch.stack(tuple(queries))
        synthetic = self.synthesise(queries.flatten(0, 1), torch.cat(negatives))
        _, synthetic_logs = own_attention(queries.flatten(0, 1), synthetic, self.temperature)
        log_partitions = torch.logaddexp(log_partitions, synthetic_logs.view(log_partitions.shape))
        num_keys = len(bank) + self.num_mixed + self.num_query_mixed
        return self.info_nce(log_partitions, bank.positive_similarity(queries), num_keys)

    @torch.no_grad()
    def synthesise(self, queries: Tensor, negatives: Tensor) -> Tensor:
        """Synthetic negatives of each query.

        Args:
            queries: Unit-length queries (N, C).
            negatives: Unit-length keys (K, C) with K >= ``num_hard``.

        Returns:
            Unit-length vectors (N, ``num_mixed + num_query_mixed``, C), those out of two negatives first.
        """
        hardest = hardest_keys(queries, negatives, self.num_hard)
        first, single = (
            torch.randint(self.num_hard, (len(queries), number), device=hardest.device)
            for number in (self.num_mixed, self.num_query_mixed)
        )
        # Another one than the first.
        second = (first + torch.randint_like(first, 1, self.num_hard)) % self.num_hard
        first, second, single = (negatives[hardest.gather(1, drawn)] for drawn in (first, second, single))
        mixed = torch.lerp(second, first, torch.rand_like(first[..., :1]))
        share = self.max_query_share * torch.rand_like(single[..., :1])
        query_mixed = torch.lerp(single, queries.to(single)[:, None], share)
        return F.normalize(torch.cat([mixed, query_mixed], dim=1), dim=-1)


@torch.no_grad()
def hardest_keys(queries: Tensor, keys: Tensor, number: int) -> Tensor:
    """Indices of the keys most similar to each query, searched in chunks.

    Args:
        queries: Unit-length queries (N, C).
        keys: Unit-length keys (K, C).
        number: How many, at most K.

    Returns:
        Indices (N, ``number``), the most similar first.

    Raises:
        ValueError: If there are fewer keys.
    """
    if number > len(keys):
        raise ValueError(
            f'there are {len(keys)} negatives, but num_hard={number}: lower model.head.num_hard or raise '
            'model.queue_len'
        )
    best, indices = queries.new_empty(len(queries), 0), keys.new_empty(len(queries), 0, dtype=torch.int64)
    with full_precision(queries):
        for start in range(0, len(keys), CHUNK):
            similarities = queries @ keys[start : start + CHUNK].to(queries).T
            numbers = torch.arange(start, start + similarities.shape[1], device=keys.device)
            candidates = torch.cat([best, similarities], dim=1)
            indices = torch.cat([indices, numbers.expand_as(similarities)], dim=1)
            best, places = candidates.topk(min(number, candidates.shape[1]), dim=1)
            indices = indices.gather(1, places)
    return indices
