"""Slow transcriptions of the papers' equations: the oracles of the tests.

Plain loops over samples and bank entries in the words of the papers, with nothing shared with the package.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def distribution(query: Tensor, bank: Tensor, temperature: float) -> list[Tensor]:
    """Equation 2 of CLSA: the probabilities of the bank's entries given one query."""
    exponentials = [torch.exp(torch.dot(query, entry) / temperature) for entry in bank]
    total = sum(exponentials)
    return [value / total for value in exponentials]


def contrastive(queries: Tensor, positives: Sequence[int], bank: Tensor, temperature: float) -> Tensor:
    """Equation 1 of CLSA: the negative log-probability of each query's own key, mean over samples."""
    terms = [
        -torch.log(distribution(query, bank, temperature)[positive])
        for query, positive in zip(queries, positives, strict=True)
    ]
    return sum(terms) / len(terms)


def ddm(weak: Tensor, strong: Tensor, bank: Tensor, temperature: float) -> Tensor:
    """Equation 3 of CLSA: cross-entropy of the strong query's distribution under the weak query's."""
    terms = []
    for weak_query, strong_query in zip(weak.detach(), strong, strict=True):
        target = distribution(weak_query, bank, temperature)
        predicted = distribution(strong_query, bank, temperature)
        terms.append(-sum(p * torch.log(q) for p, q in zip(target, predicted, strict=True)))
    return sum(terms) / len(terms)


def clsa(
    weak: Sequence[Tensor],
    strong: Sequence[Tensor],
    positives: Sequence[int],
    bank: Tensor,
    temperature: float,
    ddm_temperature: float,
    beta: float,
) -> tuple[Tensor, Tensor]:
    """Equation 4 of CLSA as (contrastive, beta * DDM), summed over views and pairs of views."""
    loss_contrastive = sum(contrastive(queries, positives, bank, temperature) for queries in weak)
    pairs = [ddm(w, s, bank, ddm_temperature) for w in weak for s in strong]
    return loss_contrastive, beta * sum(pairs)


def cosine_momentum(start: float, end: float, step: int, steps: int) -> float:
    """The schedule of BYOL, section 3.2: 1 - (1 - start) * (cos(pi k / K) + 1) / 2, for any end."""
    return end - (end - start) * (math.cos(math.pi * step / steps) + 1) / 2
