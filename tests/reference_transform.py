"""Slow transcriptions of feature transformation, MoCHi and Un-Mix, with what is drawn as arguments."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def info_nce(query: Tensor, positive: Tensor, negatives: Sequence[Tensor], temperature: float) -> Tensor:
    """-log of the positive's share of the exponentials of one query."""
    exponentials = [torch.exp(sum(query * entry) / temperature) for entry in (positive, *negatives)]
    return -torch.log(exponentials[0] / sum(exponentials))


def mix(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Equation 5 of feature transformation, dimension by dimension: share * first + (1 - share) * second."""
    return torch.stack(
        [weight * a + (1 - weight) * b for a, b, weight in zip(first, second, share, strict=True)]
    )


def feature_transform(
    queries: Tensor,
    keys: Tensor,
    queue: Tensor,
    shares: Tensor | None,
    queue_shares: Tensor | None,
    permutation: Sequence[int],
    temperature: float,
    append: bool = False,
) -> Tensor:
    """Feature transformation with a queue; shares (N, C) and queue_shares (K, C), None for none."""
    negatives = list(queue)
    if queue_shares is not None:
        mixed = [mix(queue[j], queue[permutation[j]], queue_shares[j]) for j in range(len(queue))]
        negatives = mixed + negatives if append else mixed
    losses = []
    for n in range(len(queries)):
        query, key = queries[n], keys[n]
        if shares is not None:
            query, key = mix(query, key, shares[n]), mix(key, query, shares[n])
        losses.append(info_nce(query, key, negatives, temperature))
    return sum(losses) / len(losses)


def feature_transform_batch(
    features: Tensor,
    labels: Sequence[int],
    shares: Tensor | None,
    negative_shares: Tensor | None,
    permutation: Sequence[int],
    temperature: float,
    append: bool = False,
) -> Tensor:
    """The same over a batch of two features of each label: all are anchors; shares (M, C), None for none."""
    numbers, losses = range(len(features)), []
    for i in numbers:
        anchor, positive = (
            features[i],
            next(features[p] for p in numbers if p != i and labels[p] == labels[i]),
        )
        if shares is not None:
            anchor, positive = mix(anchor, positive, shares[i]), mix(positive, anchor, shares[i])
        foreign = [j for j in numbers if labels[j] != labels[i]]
        negatives = [features[j] for j in foreign]
        if negative_shares is not None:
            mixed = [
                features[j]
                if labels[permutation[j]] == labels[i]
                else mix(features[j], features[permutation[j]], negative_shares[j])
                for j in foreign
            ]
            negatives = mixed + negatives if append else mixed
        losses.append(info_nce(anchor, positive, negatives, temperature))
    return sum(losses) / len(losses)


def feature_transform_cosine(predictions: Tensor, targets: Tensor, shares: Tensor) -> Tensor:
    """Mean negative cosine of predictions and constant targets (N, C), extrapolated with shares (N, C)."""
    unit = lambda vector: vector / torch.sqrt(sum(vector**2))  # noqa: E731
    losses = []
    for prediction, target, share in zip(predictions, targets.detach(), shares, strict=True):
        z, k = unit(prediction), unit(target)
        losses.append(-sum(unit(mix(z, k, share)) * unit(mix(k, z, share))))
    return sum(losses) / len(losses)


def mochi_negatives(
    query: Tensor,
    queue: Tensor,
    num_hard: int,
    pairs: Sequence[tuple[int, int, float]],
    singles: Sequence[tuple[int, float]],
) -> list[Tensor]:
    """Section 4 of MoCHi: synthetic negatives of one query; places are those in its sorted negatives."""
    order = sorted(range(len(queue)), key=lambda j: -float(sum(query * queue[j])))[:num_hard]
    hardest = [queue[j] for j in order]
    unit = lambda vector: vector / math.sqrt(float(sum(vector**2)))  # noqa: E731
    mixed = [unit(alpha * hardest[i] + (1 - alpha) * hardest[j]) for i, j, alpha in pairs]
    return mixed + [unit(beta * query + (1 - beta) * hardest[i]) for i, beta in singles]


def unmix_images(images: Tensor, share: float, box: tuple[int, int, int, int] | None) -> tuple[Tensor, float]:
    """Each image with its counterpart from the end: all pixels, or a box (top, bottom, left, right)."""
    mixtures = torch.empty_like(images)
    height, width = images.shape[2:]
    inside = 0
    for n, other in enumerate(range(len(images) - 1, -1, -1)):
        for y in range(height):
            for x in range(width):
                if box is None:
                    pixel = share * images[n, :, y, x] + (1 - share) * images[other, :, y, x]
                elif box[0] <= y < box[1] and box[2] <= x < box[3]:
                    pixel, inside = images[other, :, y, x], inside + 1
                else:
                    pixel = images[n, :, y, x]
                mixtures[n, :, y, x] = pixel
    return mixtures, share if box is None else 1 - inside / (len(images) * height * width)
