"""The strong operations against numpy, scipy and torchvision."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as tvf
from scipy.ndimage import affine_transform, convolve

from clsa_mm.datasets.views import STRONG_OPS

FACTORS = [0.05, 0.3, 0.5, 0.77, 0.95, 1.9]


def make_image(kind: str) -> np.ndarray:
    """A uint8 RGB image of odd, unequal sides: noise, a photo-like mixture, a dark one, or flat."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:61, :84]
    if kind == 'noise':
        return rng.integers(0, 256, (61, 84, 3), dtype=np.uint8)
    if kind == 'flat':
        return np.full((61, 84, 3), (200, 30, 77), dtype=np.uint8)
    waves = [np.sin(x / 9 + c) + np.cos(y / 7 - c) + rng.normal(0, 0.1, x.shape) for c in range(3)]
    scale, offset = (20, 60) if kind == 'dark' else (60, 127)
    return np.clip(np.stack(waves, -1) * scale + offset, 0, 255).astype(np.uint8)


@pytest.fixture(params=['noise', 'photo', 'dark', 'flat'])
def image(request: pytest.FixtureRequest) -> np.ndarray:
    return make_image(request.param)


def run(name: str, image: np.ndarray, magnitude: float = 0.0) -> np.ndarray:
    """Apply to an RGB array what expects BGR, and return RGB."""
    bgr = np.ascontiguousarray(image[..., ::-1])
    result = STRONG_OPS.get(name)(bgr, magnitude, np.random.default_rng(0))
    np.testing.assert_array_equal(bgr[..., ::-1], image)
    return result[..., ::-1]


def assert_close(actual: np.ndarray, expected: np.ndarray, tolerance: int) -> None:
    assert actual.dtype == np.uint8 and actual.shape == expected.shape
    assert np.abs(actual.astype(int) - expected.astype(int)).max() <= tolerance


# Photometric operations: numpy transcriptions of PIL's definitions. These must hold exactly, but
# for blends, whose sums of floats may round to either side.


def luma(image: np.ndarray) -> np.ndarray:
    """ITU-R 601-2 luma in PIL's 16-bit fixed point, rounded."""
    r, g, b = np.moveaxis(image.astype(np.int64), -1, 0)
    return (19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16


def blend(degenerate: np.ndarray, image: np.ndarray, factor: float) -> np.ndarray:
    return np.clip((1 - factor) * degenerate + factor * image.astype(float), 0, 255).astype(int)


def smooth(image: np.ndarray) -> np.ndarray:
    """The centre weighted 5 to its neighbours' 1, rounded; the border stays as it is."""
    kernel = np.ones((3, 3, 1))
    kernel[1, 1] = 5
    result = image.copy()
    rounded = np.floor(convolve(image.astype(float), kernel / 13) + 0.5 + 1e-9)
    result[1:-1, 1:-1] = rounded[1:-1, 1:-1]
    return result


def equalized_channel(channel: np.ndarray) -> np.ndarray:
    histogram = np.bincount(channel.ravel(), minlength=256)
    occupied = histogram[histogram > 0]
    step = (occupied.sum() - occupied[-1]) // 255
    if len(occupied) < 2 or step == 0:
        return channel
    below = np.concatenate([[0], np.cumsum(histogram)[:-1]])
    return np.minimum((step // 2 + below) // step, 255)[channel]


def autocontrasted_channel(channel: np.ndarray) -> np.ndarray:
    low, high = int(channel.min()), int(channel.max())
    if high <= low:
        return channel
    scale = 255.0 / (high - low)
    return np.clip((np.arange(256) * scale - low * scale).astype(int), 0, 255)[channel]


def per_channel(function: Callable, image: np.ndarray) -> np.ndarray:
    return np.stack([function(image[..., c]) for c in range(3)], -1)


def test_auto_contrast(image: np.ndarray) -> None:
    assert_close(run('AutoContrast', image), per_channel(autocontrasted_channel, image), 1)


def test_equalize(image: np.ndarray) -> None:
    assert_close(run('Equalize', image), per_channel(equalized_channel, image), 0)


def test_invert_and_identity(image: np.ndarray) -> None:
    assert_close(run('Invert', image), 255 - image, 0)
    assert_close(run('Identity', image), image, 0)


@pytest.mark.parametrize('threshold', [0, 0.4, 77, 127.5, 128, 255, 255.5, 256])
def test_solarize(image: np.ndarray, threshold: float) -> None:
    assert_close(run('Solarize', image, threshold), np.where(image < threshold, image, 255 - image), 0)


@pytest.mark.parametrize('amount', [0, 0.9, 1, 77.7, 110])
def test_solarize_add(image: np.ndarray, amount: float) -> None:
    lifted = np.where(image < 128, image.astype(int) + int(amount), image)
    assert_close(run('SolarizeAdd', image, amount), lifted.clip(0, 255).astype(np.uint8), 0)


@pytest.mark.parametrize('bits', [0, 1, 3, 4, 5, 6, 7, 8])
def test_posterize(image: np.ndarray, bits: int) -> None:
    step = 2 ** (8 - bits)
    assert_close(run('Posterize', image, bits), (image.astype(int) // step * step).astype(np.uint8), 0)


@pytest.mark.parametrize('factor', FACTORS)
def test_enhancements(image: np.ndarray, factor: float) -> None:
    mean_grey = np.full_like(image, int(luma(image).mean() + 0.5))
    degenerates = {
        'Brightness': np.zeros_like(image),
        'Contrast': mean_grey,
        'Color': np.repeat(luma(image)[..., None], 3, -1),
        'Sharpness': smooth(image),
    }
    for name, degenerate in degenerates.items():
        assert_close(run(name, image, factor), blend(degenerate, image, factor), 1)


@pytest.mark.parametrize('factor', FACTORS)
def test_photometric_operations_equal_torchvision(image: np.ndarray, factor: float) -> None:
    """torchvision's tensor kernels are a second implementation, in floats and truncating."""
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    bits, threshold = min(8, round(4 + 4 * factor)), min(255, round(256 * factor))
    cases = [
        ('Brightness', factor, tvf.adjust_brightness(tensor, factor), 1),
        ('Contrast', factor, tvf.adjust_contrast(tensor, factor), 1),
        ('Color', factor, tvf.adjust_saturation(tensor, factor), 1),
        ('Sharpness', factor, tvf.adjust_sharpness(tensor, factor), 1),
        ('Solarize', threshold, tvf.solarize(tensor, threshold), 0),
        ('Posterize', bits, tvf.posterize(tensor, bits), 0),
        ('Invert', 0, tvf.invert(tensor), 0),
        ('Equalize', 0, tvf.equalize(tensor), 0),
        ('AutoContrast', 0, tvf.autocontrast(tensor), 1),
    ]
    for name, magnitude, expected, tolerance in cases:
        assert_close(run(name, image, magnitude), expected.permute(1, 2, 0).numpy(), tolerance)


# Geometric operations: scipy, in its own coordinates (pixel centres at whole numbers, rows first).
# A nearest-neighbour lookup that falls on a tie may go either way, hence the fraction of pixels.


def warp(image: np.ndarray, matrix: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Fill output (x, y), measured from the corner, from input ``matrix @ (x, y) + offset``."""
    matrix, offset = matrix[::-1, ::-1], offset[::-1]
    half = np.full(2, 0.5)
    return per_channel(
        lambda channel: affine_transform(
            channel, matrix, matrix @ half + offset - half, order=0, mode='grid-constant', cval=0
        ),
        image,
    )


def assert_same_pixels(actual: np.ndarray, expected: np.ndarray, fraction: float) -> None:
    assert actual.shape == expected.shape
    assert (actual != expected).any(-1).mean() <= fraction


@pytest.mark.parametrize('amount', [-0.3, -0.123, 0.05, 0.2179, 0.3])
def test_shear_and_translate(amount: float) -> None:
    image = make_image('noise')
    height, width = image.shape[:2]
    shear_x = np.array([[1, amount], [0, 1]])
    nothing = np.zeros(2)
    assert_same_pixels(run('ShearX', image, amount), warp(image, shear_x, nothing), 0.002)
    assert_same_pixels(run('ShearY', image, amount), warp(image, shear_x.T, nothing), 0.002)
    shift_x = np.array([np.trunc(amount * width), 0])
    shift_y = np.array([0, np.trunc(amount * height)])
    assert_same_pixels(run('TranslateX', image, amount), warp(image, np.eye(2), shift_x), 0)
    assert_same_pixels(run('TranslateY', image, amount), warp(image, np.eye(2), shift_y), 0)


@pytest.mark.parametrize('degrees', [-30, -12.34, 3, 17.7, 30])
def test_rotate(degrees: float) -> None:
    image = make_image('noise')
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    # Counter-clockwise where y points down; the lookup goes the other way round.
    matrix = np.linalg.inv([[cos, sin], [-sin, cos]])
    centre = np.array([image.shape[1] / 2, image.shape[0] / 2])
    expected = warp(image, matrix, centre - matrix @ centre)
    assert_same_pixels(run('Rotate', image, degrees), expected, 0.002)
