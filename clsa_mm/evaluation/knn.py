"""Weighted k-nearest-neighbour classification of frozen features.

Source: Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", CVPR 2018
(arXiv 1805.01978), section 3.4: each of the k nearest bank images votes for its class with weight
exp(cosine / temperature).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from clsa_mm.evaluation.accuracy import check_topk, top_accuracies
from clsa_mm.given_numbers import check_numbers

# Numbers per intermediate tensor (float32: 256 MiB), whatever the sizes of bank and queries.
_CHUNK_NUMBERS = 2**26


@torch.no_grad()
def weighted_knn(
    bank: Tensor,
    bank_labels: Tensor,
    queries: Tensor,
    k: int = 20,
    temperature: float = 0.07,
    num_predictions: int = 5,
) -> Tensor:
    """Rank the classes of each query by the weighted votes of its nearest bank features.

    The work is done in float32 on the bank's device, in chunks of queries, so that memory is
    bounded by the inputs plus a constant. A class without a vote is no prediction: its place holds
    -1. (Implementations that sort a full table of votes fill those places with arbitrary classes.)

    Args:
        bank: Features of labelled images, shape (B, D), any scale: they are compared by cosine
            similarity.
        bank_labels: Their classes, integers >= 0, shape (B,).
        queries: Features to classify, shape (Q, D).
        k: Number of neighbours, 1 to B.
        temperature: Divides the cosine similarity, > 0. Smaller means that near neighbours count
            for more.
        num_predictions: How many classes to return per query, at least 1.

    Returns:
        Classes in falling order of votes (on equal votes that of the nearer neighbour first),
        int64, shape (Q, min(num_predictions, k)), on the bank's device.

    Raises:
        ValueError: If shapes, labels or a number do not fit, or a feature is not finite.
    """
    _check_features('bank', bank, bank_labels)
    _check_features('queries', queries)
    _check_settings(bank, bank_labels, queries, k, temperature)
    check_numbers('weighted_knn', whole=True, low=1, num_predictions=num_predictions)
    device = bank.device
    bank_labels = bank_labels.to(device=device, dtype=torch.int64)
    chunk = max(1, _CHUNK_NUMBERS // max(len(bank), k * k))
    with torch.autocast(device.type, enabled=False):
        keys = F.normalize(bank.float(), dim=1).T
        predictions = [
            _vote(F.normalize(part.to(device).float(), dim=1) @ keys, bank_labels, k, temperature)
            for part in queries.split(chunk)
        ]
    return torch.cat(predictions)[:, :num_predictions]


def knn_accuracy(
    bank: Tensor,
    bank_labels: Tensor,
    queries: Tensor,
    query_labels: Tensor,
    k: int = 20,
    temperature: float = 0.07,
    topk: Sequence[int] = (1, 5),
) -> dict[str, float]:
    """Score :func:`weighted_knn` on labelled queries.

    Args:
        bank: Features of labelled images, shape (B, D).
        bank_labels: Their classes, shape (B,).
        queries: Features to classify, shape (Q, D).
        query_labels: Their true classes, shape (Q,).
        k: Number of neighbours, 1 to B.
        temperature: Divides the cosine similarity, > 0.
        topk: As of :func:`clsa_mm.evaluation.accuracy.top_accuracies`.

    Returns:
        ``{'top1': ..., 'top5': ...}``, in percent, 0 to 100.

    Raises:
        ValueError: As :func:`weighted_knn`, and if a query label does not fit.
    """
    _check_features('queries', queries, query_labels)
    check_topk(topk)
    ranked = weighted_knn(bank, bank_labels, queries, k, temperature, num_predictions=max(topk))
    return top_accuracies(ranked, query_labels, topk)


def _vote(similarity: Tensor, bank_labels: Tensor, k: int, temperature: float) -> Tensor:
    """Classes of each row of similarity (q, B) by falling votes, (q, k); -1 where none is left."""
    nearest, index = similarity.topk(k)
    labels = bank_labels[index]
    # The common factor exp(-nearest / T) changes no ranking and keeps any small T from overflowing.
    weights = ((nearest - nearest[:, :1]) / temperature).exp()
    same_class = labels[:, :, None] == labels[:, None, :]
    votes = (same_class * weights[:, None, :]).sum(2)
    # A class is counted at its nearest neighbour only; votes are never negative.
    repeated = same_class.tril(-1).any(2)
    ranked, order = votes.masked_fill(repeated, -1).sort(dim=1, descending=True, stable=True)
    return labels.gather(1, order).masked_fill(ranked < 0, -1)


def _check_features(name: str, features: Tensor, labels: Tensor | None = None) -> None:
    if features.dim() != 2 or features.numel() == 0:
        raise ValueError(
            f'kNN needs {name} features of shape (images, dimensions), at least one, got '
            f'{tuple(features.shape)}: check the data set and pool feature maps first.'
        )
    if not features.isfinite().all():
        raise ValueError(f'The {name} features hold NaN or infinity: has the pretraining diverged?')
    if labels is None:
        return
    if labels.shape != features.shape[:1]:
        raise ValueError(
            f'kNN needs one label for each of the {len(features)} {name} features, got labels of '
            f'shape {tuple(labels.shape)}.'
        )
    if labels.is_floating_point() or labels.min() < 0:
        raise ValueError(f'The {name} labels must be class indices, integers >= 0, got {labels[:5]} ...')


def _check_settings(bank: Tensor, bank_labels: Tensor, queries: Tensor, k: int, temperature: float) -> None:
    if bank.shape[1] != queries.shape[1]:
        raise ValueError(
            f'Bank features have {bank.shape[1]} dimensions and queries {queries.shape[1]}: '
            'extract both with the same backbone.'
        )
    check_numbers('weighted_knn', whole=True, k=k)
    check_numbers('weighted_knn', temperature=temperature)
    if not 1 <= k <= len(bank):
        raise ValueError(
            f'k={k} neighbours of a bank of {len(bank)} images: k must be 1 to {len(bank)}; lower '
            'k or enlarge the bank.'
        )
    if not temperature > 0:
        raise ValueError(f'The kNN temperature must be > 0 (Wu et al. use 0.07), got {temperature}.')
    if (bank_labels == bank_labels[0]).all():
        raise ValueError(
            f'All {len(bank)} bank images are of class {int(bank_labels[0])}: kNN would predict '
            'nothing else. Give a bank of two or more classes.'
        )
