"""The operations of CLSA's strong augmentation, as functions of an array.

Every operation has the signature ``operation(image, magnitude, rng) -> image``: it takes a uint8 BGR image of
shape (H, W, 3), a number from the range that the pool gives it, and the view's generator, the only randomness
it may use. It returns an image of the same kind and size and leaves its input as it is. An operation
registered in ``STRONG_OPS`` can be added to the pool of a view from a config::

    @STRONG_OPS.register_module()
    def Darken(image, magnitude, rng):
        return cv2.convertScaleAbs(image, alpha=1 - magnitude)

    train_dataloader = dict(dataset=dict(views=dict(strong=dict(ops=dict(Darken=(0.1, 0.5))))))

The results are those of PIL, the library of the official code, but for ties: a level may be one off,
and one pixel in 500 of a sheared or rotated image (or a row, at a round shear) be its neighbour.
Where an operation moves pixels, the uncovered area is black and the interpolation nearest neighbour (official
code; the paper does not say).
"""

import math
from collections.abc import Callable

import cv2
import numpy as np
from mmengine.registry import Registry

from clsa_mm.datasets.views import photometric
from clsa_mm.datasets.views.photometric import CUT, adjust_brightness, adjust_contrast, adjust_saturation

Operation = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]

STRONG_OPS = Registry('strong operation')
_LEVELS = np.arange(256)[:, None]
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13  # PIL's ImageFilter.SMOOTH


def _affine(image: np.ndarray, a: float, b: float, c: float, d: float, e: float, f: float) -> np.ndarray:
    """Fill each output pixel (x, y) from the input at (ax + by + c, dx + ey + f), both from the corner."""
    height, width = image.shape[:2]
    matrix = np.array(
        [[a, b, c + (a + b - 1) / 2], [d, e, f + (d + e - 1) / 2]]
    )  # OpenCV measures from a centre
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)


@STRONG_OPS.register_module(name='ShearX')
def shear_x(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Shear along x; the magnitude is the horizontal shift in pixels per row."""
    return _affine(image, 1, magnitude, 0, 0, 1, 0)


@STRONG_OPS.register_module(name='ShearY')
def shear_y(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Shear along y; the magnitude is the vertical shift in pixels per column."""
    return _affine(image, 1, 0, 0, magnitude, 1, 0)


@STRONG_OPS.register_module(name='TranslateX')
def translate_x(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Shift to the left by a fraction of the width, cut to whole pixels."""
    return _translate(image, int(magnitude * image.shape[1]))


@STRONG_OPS.register_module(name='TranslateY')
def translate_y(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Shift upwards by a fraction of the height, cut to whole pixels."""
    return _translate(image.swapaxes(0, 1), int(magnitude * image.shape[0])).swapaxes(0, 1)


@STRONG_OPS.register_module(name='Rotate')
def rotate(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Rotate counter-clockwise about the centre, in degrees, keeping the size."""
    x, y = image.shape[1] / 2, image.shape[0] / 2
    cos, sin = math.cos(math.radians(magnitude)), math.sin(math.radians(magnitude))
    return _affine(image, cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y)


@STRONG_OPS.register_module(name='AutoContrast')
def auto_contrast(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Stretch every channel to the full range; the magnitude is not used."""
    channels = list(cv2.split(image))
    for index, channel in enumerate(channels):
        low, high, _, _ = cv2.minMaxLoc(channel)
        if high > low:
            scale = 255 / (high - low)
            channels[index] = cv2.convertScaleAbs(channel, alpha=scale, beta=CUT - low * scale)
    return cv2.merge(channels)


@STRONG_OPS.register_module(name='Invert')
def invert(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Negate every channel; the magnitude is not used."""
    return ~image


@STRONG_OPS.register_module(name='Identity')
def identity(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Return the image unchanged; the magnitude is not used."""
    return image


@STRONG_OPS.register_module(name='Equalize')
def equalize(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Flatten the histogram of every channel; the magnitude is not used."""
    counts = np.hstack([cv2.calcHist([image], [c], None, [256], [0, 256]) for c in range(3)]).astype(int)
    below = counts.cumsum(axis=0) - counts
    step = np.where(counts > 0, below, 0).max(axis=0) // 255  # of all pixels but the highest level's
    equal = np.minimum((step // 2 + below) // np.maximum(step, 1), 255)
    return _look_up(image, np.where(step > 0, equal, _LEVELS))


@STRONG_OPS.register_module(name='Solarize')
def solarize(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Negate the values at or above the threshold: 256 changes nothing, 0 negates all."""
    return photometric.solarize(image, magnitude)


@STRONG_OPS.register_module(name='SolarizeAdd')
def solarize_add(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Add the magnitude, cut to a whole level, to values below 128."""
    lifted = np.minimum(_LEVELS + int(magnitude), 255)
    return cv2.LUT(image, np.where(_LEVELS < 128, lifted, _LEVELS).astype(np.uint8))


@STRONG_OPS.register_module(name='Posterize')
def posterize(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Keep the highest bits of every value; the number of bits is the magnitude rounded down."""
    return image & np.uint8(256 - 2 ** (8 - int(magnitude)))


@STRONG_OPS.register_module(name='Contrast')
def contrast(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Blend with the mean grey: factor 0 is grey, 1 the image."""
    return adjust_contrast(image, magnitude)


@STRONG_OPS.register_module(name='Color')
def color(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Blend with the grey image: factor 0 is grey, 1 the image."""
    return adjust_saturation(image, magnitude)


@STRONG_OPS.register_module(name='Brightness')
def brightness(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Blend with black: factor 0 is black, 1 the image."""
    return adjust_brightness(image, magnitude)


@STRONG_OPS.register_module(name='Sharpness')
def sharpness(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Blend with the smoothed image: factor 0 is smooth, 1 the image; the outermost pixels stay."""
    result = image.copy()
    if min(image.shape[:2]) < 3:  # outermost pixels alone
        return result
    smooth = cv2.filter2D(image, -1, _SMOOTH)[1:-1, 1:-1]
    result[1:-1, 1:-1] = cv2.addWeighted(image[1:-1, 1:-1], magnitude, smooth, 1 - magnitude, CUT)
    return result


def _translate(image: np.ndarray, shift: int) -> np.ndarray:
    """Shift towards lower columns by whole pixels."""
    moved = np.zeros_like(image)
    width = image.shape[1]
    moved[:, max(-shift, 0) : width - max(shift, 0)] = image[:, max(shift, 0) : width + min(shift, 0)]
    return moved


def _look_up(image: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """Replace the levels of each channel by those of its column in ``tables`` (256, 3)."""
    return cv2.LUT(image, tables.astype(np.uint8)[None])
