"""Slow transcriptions of the papers' equations: the oracles of the tests.

Plain loops over samples and bank entries in the words of the papers, with nothing shared with the package.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def exponentials(query: Tensor, bank: Tensor, temperature: float) -> list[Tensor]:
    """The summands of CLSA's equations 1 and 3 (equation 2, the cosine, of unit-length vectors)."""
    return [torch.exp(torch.dot(query, entry) / temperature) for entry in bank]


def distribution(query: Tensor, bank: Tensor, temperature: float) -> list[Tensor]:
    """Equation 3 of CLSA: the probabilities of the bank's entries given one query."""
    values = exponentials(query, bank, temperature)
    total = sum(values)
    return [value / total for value in values]


def contrastive(queries: Tensor, positives: Sequence[int], bank: Tensor, temperature: float) -> Tensor:
    """Equation 1 of CLSA: the negative log-probability of each query's own key, mean over samples."""
    terms = [
        -torch.log(distribution(query, bank, temperature)[positive])
        for query, positive in zip(queries, positives, strict=True)
    ]
    return sum(terms) / len(terms)


def ddm(
    weak: Tensor, strong: Tensor, bank: Tensor, temperature: float, teacher_temperature: float | None = None
) -> Tensor:
    """Equation 4 of CLSA: cross-entropy of the strong query's distribution under the weak query's."""
    terms = []
    for weak_query, strong_query in zip(weak.detach(), strong, strict=True):
        target = distribution(weak_query, bank, teacher_temperature or temperature)
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
    teacher_temperature: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Algorithm 1 of CLSA, L = L_C + beta L_D, as its two terms, over all views and pairs of views."""
    loss_contrastive = sum(contrastive(queries, positives, bank, temperature) for queries in weak)
    pairs = [ddm(w, s, bank, ddm_temperature, teacher_temperature) for w in weak for s in strong]
    return loss_contrastive, beta * sum(pairs)


def clsa_own_key(
    weak: Sequence[Tensor], strong: Sequence[Tensor], keys: Tensor, queue: Tensor, *settings: float
) -> tuple[Tensor, Tensor]:
    """The same by the letter of the equations: a sample's bank is its own key and the queue."""
    parts = [
        clsa(
            [queries[i : i + 1] for queries in weak],
            [queries[i : i + 1] for queries in strong],
            [0],
            torch.cat([keys[i : i + 1], queue]),
            *settings,
        )
        for i in range(len(keys))
    ]
    return tuple(sum(part[term] for part in parts) / len(parts) for term in range(2))


def cosine_momentum(start: float, end: float, step: int, steps: int) -> float:
    """The schedule of BYOL, section 3.2: 1 - (1 - start) * (cos(pi k / K) + 1) / 2, for any end."""
    return end - (end - start) * (math.cos(math.pi * step / steps) + 1) / 2
