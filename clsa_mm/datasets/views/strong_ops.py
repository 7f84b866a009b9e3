"""The operations of CLSA's strong augmentation, as functions of an array.

Every operation has the signature ``operation(image, magnitude, rng) -> image``: it takes a uint8 BGR image of
shape (H, W, 3), a number from the range that the pool gives it, and the view's generator, the only source of
randomness it may use; it returns an image of the same kind and size and leaves its input as it is. An operation
registered in ``STRONG_OPS`` can be added to the pool of a view from a config:

    @STRONG_OPS.register_module()
    def Darken(image, magnitude, rng):
        return cv2.convertScaleAbs(image, alpha=1 - magnitude)

    train_dataloader = dict(dataset=dict(views=dict(strong=dict(ops=dict(Darken=(0.1, 0.5))))))

The results are those of PIL, the library of the official code. Where an operation moves pixels, the uncovered area
is black and the interpolation nearest neighbour (official code; the paper does not say).
"""

from collections.abc import Callable

import numpy as np
from mmengine.registry import Registry
from PIL import Image, ImageEnhance, ImageOps

Operation = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]

STRONG_OPS = Registry('strong operation')


def _affine(image: np.ndarray, *matrix: float) -> np.ndarray:
    """Fill each output pixel (x, y) from the input at (ax + by + c, dx + ey + f)."""
    height, width = image.shape[:2]
    moved = Image.fromarray(image).transform(
        (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=0
    )
    return np.asarray(moved)


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
    return _affine(image, 1, 0, int(magnitude * image.shape[1]), 0, 1, 0)


@STRONG_OPS.register_module(name='TranslateY')
def translate_y(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Shift upwards by a fraction of the height, cut to whole pixels."""
    return _affine(image, 1, 0, 0, 0, 1, int(magnitude * image.shape[0]))


@STRONG_OPS.register_module(name='Rotate')
def rotate(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Rotate counter-clockwise about the centre, in degrees, keeping the size."""
    return np.asarray(Image.fromarray(image).rotate(magnitude, Image.Resampling.NEAREST, fillcolor=0))


@STRONG_OPS.register_module(name='AutoContrast')
def auto_contrast(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Stretch every channel to the full range; the magnitude is not used."""
    return np.asarray(ImageOps.autocontrast(Image.fromarray(image)))


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
    return np.asarray(ImageOps.equalize(Image.fromarray(image)))


@STRONG_OPS.register_module(name='Solarize')
def solarize(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Negate the values at or above the threshold: 256 changes nothing, 0 negates all."""
    return np.asarray(ImageOps.solarize(Image.fromarray(image), magnitude))


@STRONG_OPS.register_module(name='Posterize')
def posterize(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Keep the highest bits of every value; the number of bits is the magnitude rounded down."""
    return np.asarray(ImageOps.posterize(Image.fromarray(image), int(magnitude)))


def _enhance(kind: type, image: np.ndarray, factor: float) -> np.ndarray:
    rgb = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))
    return np.ascontiguousarray(np.asarray(kind(rgb).enhance(factor))[..., ::-1])


@STRONG_OPS.register_module(name='Contrast')
def contrast(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Blend with the mean grey: factor 0 is grey, 1 the image."""
    return _enhance(ImageEnhance.Contrast, image, magnitude)


@STRONG_OPS.register_module(name='Color')
def color(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Blend with the grey image: factor 0 is grey, 1 the image."""
    return _enhance(ImageEnhance.Color, image, magnitude)


@STRONG_OPS.register_module(name='Brightness')
def brightness(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Blend with black: factor 0 is black, 1 the image."""
    return _enhance(ImageEnhance.Brightness, image, magnitude)


@STRONG_OPS.register_module(name='Sharpness')
def sharpness(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Blend with the smoothed image: factor 0 is smooth, 1 the image."""
    return _enhance(ImageEnhance.Sharpness, image, magnitude)
