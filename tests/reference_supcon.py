"""Slow transcriptions of SupCon's equations, with nothing shared with the package."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def supcon_anchor(i: int, features: Tensor, labels: Sequence[int], temperature: float, place: str) -> Tensor:
    """Equations 2 (``'out'``) and 3 (``'in'``) of arXiv 2004.11362 for one anchor; NaN without positives."""
    others = [a for a in range(len(features)) if a != i]
    positives = [p for p in others if labels[p] == labels[i]]
    if not positives:
        return torch.tensor(math.nan)
    exponentials = {a: torch.exp(torch.dot(features[i], features[a]) / temperature) for a in others}
    shares = [exponentials[p] / sum(exponentials.values()) for p in positives]
    if place == 'out':
        return -sum(torch.log(share) for share in shares) / len(positives)
    return -torch.log(sum(shares) / len(positives))


def supcon(features: Tensor, labels: Sequence[int], temperature: float, place: str = 'out') -> Tensor:
    """Mean over the anchors that have positives."""
    terms = [supcon_anchor(i, features, labels, temperature, place) for i in range(len(features))]
    terms = [term for term in terms if not term.isnan()]
    return sum(terms) / len(terms)


def max_margin(features: Tensor, labels: Sequence[int], margin: float) -> Tensor:
    """The pairs' loss with the hinge on squared distances, mean over ordered pairs of two features."""
    terms = []
    for i in range(len(features)):
        for j in range(len(features)):
            if i != j:
                distance = ((features[i] - features[j]) ** 2).sum()
                same = labels[i] == labels[j]
                terms.append(distance if same else torch.clamp(margin - distance, min=0))
    return sum(terms) / len(terms)


def supcon_bank(
    queries: Tensor,
    labels: Sequence[int],
    banks: Sequence[Tensor],
    bank_labels: Sequence[Sequence[int]],
    temperature: float,
) -> Tensor:
    """Equation 2 with the keys of a bank in place of A(i), each query with a bank of its own; mean."""
    terms = []
    for query, label, bank, key_labels in zip(queries, labels, banks, bank_labels, strict=True):
        exponentials = [torch.exp(torch.dot(query, key) / temperature) for key in bank]
        positives = [
            value for value, key_label in zip(exponentials, key_labels, strict=True) if key_label == label
        ]
        terms.append(-sum(torch.log(value / sum(exponentials)) for value in positives) / len(positives))
    return sum(terms) / len(terms)
