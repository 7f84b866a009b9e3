"""What tells a healthy run from a collapsed one."""

import torch
from torch import Tensor

from clsa_mm.models.bank import Bank


@torch.no_grad()
def bank_statistics(queries: Tensor, bank: Bank) -> dict[str, Tensor]:
    r"""What users watch and :class:`~clsa_mm.engine.hooks.HealthHook` reads.

    Args:
        queries: Unit-length queries of one view, shape (N, C).
        bank: What they are compared with.

    Returns:
        Scalars: ``positive_similarity`` and ``negative_similarity``, means of cosines, and ``feature_std``,
        0 when all queries are the same and :math:`1 / \sqrt{C}` when they are spread evenly.
    """
    return dict(
        positive_similarity=bank.positive_similarity(queries).mean(),
        negative_similarity=bank.negative_similarity(queries).mean(),
        feature_std=queries.std(dim=0, correction=0).mean(),
    )
