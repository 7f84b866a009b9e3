"""Crops: boxes against torchvision's distribution, pixels against PIL's antialiased filter."""

import numpy as np
import pytest
import torch
import torchvision.transforms as T
from photos import photo, to_bgr, to_pil
from PIL import Image
from scipy.stats import ks_2samp

from clsa_mm.datasets.views.crop import Box, draw_box, resize_box

RATIO = (3 / 4, 4 / 3)
DRAWS = 2000


@pytest.mark.parametrize('area', [(0.2, 1.0), (0.086, 0.429)])
@pytest.mark.parametrize('height, width', [(375, 500), (400, 120), (80, 300)])
def test_boxes_follow_torchvisions_distribution(height: int, width: int, area: tuple[float, float]) -> None:
    """Narrow images need several of the ten attempts, and sometimes the central part."""
    rng, image = np.random.default_rng(1), torch.empty(3, height, width)
    torch.manual_seed(1)
    boxes = np.array([draw_box(height, width, area, RATIO, rng) for _ in range(DRAWS)])
    expected = np.array([T.RandomResizedCrop.get_params(image, area, RATIO) for _ in range(DRAWS)])
    for quantity in range(4):
        assert ks_2samp(boxes[:, quantity], expected[:, quantity]).pvalue > 1e-3
    for function in (np.multiply, np.divide):
        pair = [function(b[:, 2], b[:, 3]) for b in (boxes, expected)]
        assert ks_2samp(*pair).pvalue > 1e-3
    assert (boxes[:, :2] >= 0).all() and (boxes[:, :2] + boxes[:, 2:] <= (height, width)).all()
    # Both ends of the places are reached: the box may touch each border.
    slack = np.array([height, width]) - boxes[:, 2:]
    assert (boxes[:, :2] == 0).any() and (boxes[:, :2] == slack).any()


@pytest.mark.parametrize('height, width', [(50, 500), (500, 50), (90, 100)])
def test_central_part_where_no_draw_fits(height: int, width: int) -> None:
    """The whole area of an image fits only if its own aspect ratio is drawn, which is next to impossible."""
    torch.manual_seed(0)
    image, rng = torch.empty(3, height, width), np.random.default_rng(0)
    expected = T.RandomResizedCrop.get_params(image, (1.0, 1.0), (1.0, 1.0))
    assert draw_box(height, width, (1.0, 1.0), (1.0, 1.0), rng) == tuple(expected)
    expected = T.RandomResizedCrop.get_params(image, (5.0, 5.0), RATIO)  # never fits
    assert draw_box(height, width, (5.0, 5.0), RATIO, rng) == tuple(expected)


@pytest.mark.parametrize('size', [32, 96, 224])
@pytest.mark.parametrize(
    'box',
    [
        (0, 0, 375, 500),
        (10, 20, 300, 260),
        (100, 7, 150, 199),
        (5, 5, 60, 30),
        (0, 0, 100, 400),
        (3, 9, 1, 1),
    ],
)
def test_resized_boxes_equal_pil(size: int, box: tuple[int, int, int, int]) -> None:
    """Reducing, enlarging, and both at once; the image is neither copied nor changed."""
    image = photo(375, 500, seed=0)
    before = image.copy()
    top, left, height, width = box
    part = to_pil(image).crop((left, top, left + width, top + height))
    expected = to_bgr(part.resize((size, size), Image.Resampling.BILINEAR))
    actual = resize_box(image, Box(*box), size)
    assert actual.dtype == np.uint8 and actual.flags.c_contiguous and actual.flags.writeable
    error = np.abs(actual - expected)
    assert error.mean() <= 0.5 and error.max() <= 2
    np.testing.assert_array_equal(image, before)
    assert not np.shares_memory(actual, image)
    mirrored = resize_box(np.ascontiguousarray(image[::-1, ::-1])[::-1, ::-1], Box(*box), size)
    np.testing.assert_array_equal(mirrored, actual)
