"""Views of images of any size, by any number: shape, type, range and determinism.

Sizes and settings come from a generator with a seed, so that a failure is the same each time.
"""

import numpy as np
import pytest

from clsa_mm.datasets import SeededIndex
from clsa_mm.datasets.transforms import MakeViews

SIZES = [(1, 1), (1, 1000), (1000, 1), (2, 3), (1, 2), (7, 500)]


@pytest.mark.parametrize('seed', range(16))
def test_views_of_any_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = SIZES[seed] if seed < len(SIZES) else (int(n) for n in rng.integers(1, 60, 2))
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    before = image.copy()
    low = float(rng.uniform(0.01, 1.0))
    crop = dict(area=(low, float(rng.uniform(low, 1.0))))
    numbers = dict(weak=int(rng.integers(1, 4)), strong=int(rng.integers(1, 4)))
    sizes = dict(key=int(rng.integers(1, 40)), weak=int(rng.integers(1, 40)), strong=int(rng.integers(1, 40)))
    views = {role: dict(crop, size=size) for role, size in sizes.items()}
    for role, number in numbers.items():
        views[role]['num_views'] = number
    views['strong']['num_ops'] = int(rng.integers(1, 6))
    make = MakeViews(views)

    def draw(epoch: int) -> dict:
        return make.transform(dict(img=image, sample_idx=SeededIndex(0, (seed, epoch, 0))))

    results = draw(0)
    assert results['view_roles'] == ['key'] + ['weak'] * numbers['weak'] + ['strong'] * numbers['strong']
    for role, view in zip(results['view_roles'], results['img'], strict=True):
        assert view.shape == (sizes[role], sizes[role], 3) and view.dtype == np.uint8
    again = draw(0)['img']
    assert all(np.array_equal(a, b) for a, b in zip(results['img'], again, strict=True))
    assert np.array_equal(image, before)
