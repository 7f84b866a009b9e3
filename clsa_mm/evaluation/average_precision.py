"""Average precision of multi-label classification: PASCAL VOC's, and the official CLSA code's.

The two are not comparable. VOC's is measured per class, over the images; the official code's
(``VOC_CLF/utils.py``, ``get_ap_score``) per image, over the classes, and is much the higher one.
"""

from typing import Literal, get_args

import numpy as np

from clsa_mm.datasets.views.nearest_name import choose

Rule = Literal['11point', 'area']
_RULES = get_args(Rule)


def voc_average_precision(scores: np.ndarray, labels: np.ndarray, rule: Rule = '11point') -> float:
    """Average precision of one class by the rule of the VOC devkit.

    The images are ranked by falling score, on equal scores in the given order. With the precision p(r)
    made monotone (the best one at recall r or more), ``'11point'`` (VOC2007) is its mean at the recalls 0,
    0.1, ..., 1, and ``'area'`` (since VOC2010) the area under it. Source: ``VOCevalcls.m`` and ``VOCap.m``.

    Args:
        scores: The class's scores, shape (N,), any finite numbers.
        labels: 1 where the image shows the class, 0 where it does not, -1 where it shows difficult objects
            of the class only: those images are left out, as if they were not there; shape (N,).
        rule: Which of the two.

    Returns:
        0 to 1, or NaN if no image has label 1: then the rule says nothing.

    Raises:
        ValueError: If the shapes differ, a score or a label is out of range, or there is no such rule.
    """
    choose(rule, _RULES, 'rule')
    scores, labels = _checked(scores, labels, axes=1)
    counted = labels >= 0
    positive = labels[counted][np.argsort(-scores[counted], kind='stable')] == 1
    total = int(positive.sum())
    if total == 0:
        return float('nan')
    found = np.cumsum(positive)
    precision = found / np.arange(1, len(positive) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]  # at this rank or any later one
    if rule == 'area':
        return float(best[positive].sum() / total)
    # Recall >= k / 10 in whole numbers: 3 of 10 is not below 0.3 by rounding. The last one is always met.
    ranks = [np.argmax(10 * found >= k * total) for k in range(11)]
    return float(best[ranks].mean())


def class_average_precisions(scores: np.ndarray, labels: np.ndarray, rule: Rule = '11point') -> np.ndarray:
    """:func:`voc_average_precision` of each class.

    Args:
        scores: Shape (N, C).
        labels: 1, 0 or -1 (difficult), shape (N, C).
        rule: ``'11point'`` or ``'area'``.

    Returns:
        Shape (C,), 0 to 1; NaN for a class that no image shows. The mean over the others is the mAP.

    Raises:
        ValueError: As :func:`voc_average_precision`, or if no class has an image.
    """
    scores, labels = _checked(scores, labels, axes=2)
    if not (labels == 1).any():
        raise ValueError(
            f'None of the {labels.shape[1]} classes is in any of the {len(labels)} images, so there is no '
            "average precision. Do the annotations use the data set's class names?"
        )
    pairs = zip(scores.T, labels.T, strict=True)
    return np.array([voc_average_precision(*pair, rule) for pair in pairs])


def per_image_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """What the official code reports for VOC: the average precision of each image's ranking of the classes.

    For an image, the mean over its classes of the precision among the classes that score at least as
    high; then the mean over all images. As there, difficult objects count as absent, and an image
    without any class counts as 0.

    Args:
        scores: Shape (N, C). The official code ranks by the sigmoid in float32.
        labels: 1, 0 or -1 (difficult), shape (N, C).

    Returns:
        0 to 1.

    Raises:
        ValueError: If the shapes differ, or a score or a label is out of range.
    """
    scores, labels = _checked(scores, labels, axes=2)
    total = 0.0
    for values, shown in zip(scores, labels == 1, strict=True):
        above = values[None, :] >= values[shown][:, None]  # (classes shown, C)
        if len(above):
            total += (above[:, shown].sum(1) / above.sum(1)).mean()
    return total / len(scores)


def _checked(scores: np.ndarray, labels: np.ndarray, axes: int) -> tuple[np.ndarray, np.ndarray]:
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.shape != labels.shape or scores.ndim != axes or not scores.size:
        raise ValueError(
            'Average precision needs scores and labels of one shape, '
            f'({", ".join("NC"[:axes])}), got {scores.shape} and {labels.shape}.'
        )
    if scores.dtype.kind not in 'fiu':
        raise ValueError(f'Scores must be real numbers, got an array of {scores.dtype}.')
    if not np.isfinite(scores).all():
        raise ValueError('The scores hold NaN or infinity: has the training diverged?')
    if not np.isin(labels, (-1, 0, 1)).all():
        raise ValueError('Labels must be 1 (shown), 0 (not shown) or -1 (difficult).')
    return scores, labels
