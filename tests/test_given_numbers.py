"""Settings that are no numbers, or not finite, are refused by name."""

from collections.abc import Callable

import pytest

from clsa_mm.datasets import ImageFolder
from clsa_mm.datasets.transforms import LoadImage
from clsa_mm.engine import CorruptFilesHook, KNNHook, LinearProbeHook
from clsa_mm.given_numbers import check_numbers
from clsa_mm.models import DDMHead
from clsa_mm.models.queues.key_queue import KeyQueue

NAN, INF = float('nan'), float('inf')


def knn(**settings: object) -> KNNHook:
    return KNNHook({}, {}, {}, **settings)


def probe(**settings: object) -> LinearProbeHook:
    return LinearProbeHook(**(dict(num_classes=3) | settings))


@pytest.mark.parametrize(
    ('make', 'name', 'values', 'allowed'),
    [
        (DDMHead, 'temperature', (NAN, INF, '0.2', True), 'a finite number'),
        (DDMHead, 'ddm_temperature', (NAN, '0.2'), 'a finite number'),
        (DDMHead, 'teacher_temperature', (NAN, '0.2'), 'a finite number'),
        (DDMHead, 'beta', (NAN, INF, [1.0]), 'a finite number'),
        (DDMHead, 'contrastive_weight', (NAN, -INF), 'a finite number'),
        (KeyQueue, 'length', (2.5, '8', True, NAN), 'a whole number'),
        (KeyQueue, 'feat_dim', (2.5, '8'), 'a whole number'),
        (LoadImage, 'max_pixels', (2.5, '8', NAN), 'a whole number'),
        (LoadImage, 'bit_depth', (8.5, '8'), 'a whole number'),
        (ImageFolder, 'max_corrupt', (-1, 0.5, NAN), 'a whole number of at least 0'),
        (CorruptFilesHook, 'limit', (-1, 0.5, '3'), 'a whole number of at least 0'),
        (knn, 'k', (2.5, '20', NAN), 'a whole number'),
        (knn, 'interval', (0.5, '1'), 'a whole number'),
        (knn, 'batch_size', (0, 2.5), 'a whole number of at least 1'),
        (knn, 'num_workers', (-1, '2'), 'a whole number of at least 0'),
        (knn, 'temperature', (NAN, '0.07'), 'a finite number'),
        (probe, 'num_classes', (2.5, '3', NAN), 'a whole number'),
        (probe, 'lr', (-1, NAN, INF, '1'), 'a finite number of at least 0'),
        (probe, 'momentum', (-0.1, NAN), 'a finite number of at least 0'),
    ],
)
def test_constructors(make: Callable, name: str, values: tuple, allowed: str) -> None:
    for value in values:
        with pytest.raises(ValueError) as caught:
            make(**{name: value})
        assert f'{name}={value!r} must be {allowed}' in str(caught.value)


def test_what_passes() -> None:
    check_numbers('a', x=1, y=0.5, z=None)
    check_numbers('a', whole=True, low=3, x=3, y=2**70)
