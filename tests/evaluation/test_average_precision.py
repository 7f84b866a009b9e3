import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from small_voc import devkit

from clsa_mm.evaluation import (
    class_average_precisions,
    per_image_average_precision,
    voc_average_precision,
)


@pytest.mark.parametrize('rule', ['11point', 'area'])
@pytest.mark.parametrize('seed', range(20))
def test_voc_rule_is_the_devkits(rule: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=60)
    scores[::7] = 0.5  # equal scores keep their order
    labels = rng.choice([1, 0, -1], size=60, p=[0.2, 0.6, 0.2])
    labels[0] = 1
    assert voc_average_precision(scores, labels, rule) == pytest.approx(
        devkit(scores, labels, rule), abs=1e-12
    )


def test_hand_values() -> None:
    """Ranks 1 and 3 of 4 are right: precision 1 up to recall 1/2, then 2/3."""
    scores, labels = np.array([0.9, 0.8, 0.7, 0.1]), np.array([1, 0, 1, 0])
    assert voc_average_precision(scores, labels, 'area') == pytest.approx(1 / 2 + 2 / 3 / 2)
    assert voc_average_precision(scores, labels) == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)
    labels[1] = -1  # the wrong one is difficult: it is as if it were not there
    assert voc_average_precision(scores, labels) == voc_average_precision(scores, labels, 'area') == 1
    assert np.isnan(voc_average_precision(scores, np.zeros(4, int)))
    # Recall 3 of 10 reaches 0.3, though 3 * 0.1 > 0.3 in floating point: precision 1 at 0, .1, .2, .3.
    labels = np.array([1, 1, 1] + [0] * 90 + [1] * 7)
    expected = (4 + sum(max(n / (n + 90) for n in range(k, 11)) for k in range(4, 11))) / 11
    assert voc_average_precision(-np.arange(100.0), labels) == pytest.approx(expected)


def test_area_is_scikit_learns_where_precision_only_falls() -> None:
    """scikit-learn does not make the precision monotone, and has no difficult objects."""
    labels = np.array([1, 1, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0])
    scores = -np.arange(14.0)
    found = np.flatnonzero(labels) + 1
    precisions = np.arange(1, 6) / found
    assert (np.diff(precisions) <= 0).all()
    assert voc_average_precision(scores, labels, 'area') == pytest.approx(
        average_precision_score(labels, scores)
    )
    rng = np.random.default_rng(0)
    for _ in range(10):
        scores, labels = rng.normal(size=50), rng.integers(0, 2, 50)
        assert (
            voc_average_precision(scores, labels, 'area') >= average_precision_score(labels, scores) - 1e-12
        )


def test_per_image_is_scikit_learns_over_the_images() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(200, 20)).round(1)  # many equal ones
    labels = rng.choice([1, 0, -1], size=(200, 20), p=[0.1, 0.85, 0.05])
    labels[0] = 0  # shows nothing: counts as 0
    expected = [
        average_precision_score(shown, values) if shown.any() else 0.0
        for shown, values in zip(labels == 1, scores, strict=True)
    ]
    assert per_image_average_precision(scores, labels) == pytest.approx(np.mean(expected), abs=1e-12)


def test_the_two_measure_different_things() -> None:
    """The same scores for all images tell none from another, and rank each image's classes perfectly."""
    labels = np.zeros((100, 20), int)
    labels[:, 0] = 1  # a class that every image shows, as `person` nearly does
    labels[::2, 1] = 1
    scores = np.tile(-np.arange(20.0), (100, 1))
    assert per_image_average_precision(scores, labels) == 1
    of_class = class_average_precisions(scores, labels, 'area')
    assert of_class[0] == 1 and 0.5 <= of_class[1] < 0.6  # chance
    assert np.isnan(of_class[2:]).all()


@pytest.mark.parametrize(
    ('scores', 'labels', 'message'),
    [
        (np.zeros((3, 2)), np.zeros((3, 2), int), 'None of the 2 classes.*annotations'),
        (np.zeros((3, 2)), np.ones((2, 2), int), 'one shape'),
        (np.full((3, 2), np.nan), np.ones((3, 2), int), 'NaN or infinity'),
        (np.zeros((3, 2)), np.full((3, 2), 2), 'must be 1'),
        (np.zeros((0, 2)), np.zeros((0, 2), int), 'one shape'),
    ],
)
def test_errors(scores: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        class_average_precisions(scores, labels)
