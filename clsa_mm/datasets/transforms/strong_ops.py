"""The operations of CLSA's strong augmentation, as pure functions of a PIL image.

Every operation has the signature ``op(img, magnitude) -> img``, takes and returns an RGB image and
leaves its input as it is. PIL itself does the work: it is the library of the official code, so the
operations are equal to that code's by construction. Where an operation moves pixels, the uncovered
area is black and the interpolation nearest neighbour (official code; the paper does not say).
"""

from collections.abc import Callable

from PIL import Image, ImageEnhance, ImageOps

Operation = Callable[[Image.Image, float], Image.Image]


def _affine(img: Image.Image, *matrix: float) -> Image.Image:
    """Fill each output pixel (x, y) from the input at (ax + by + c, dx + ey + f)."""
    return img.transform(img.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=0)


def shear_x(img: Image.Image, magnitude: float) -> Image.Image:
    """Shear along x; the magnitude is the horizontal shift in pixels per row."""
    return _affine(img, 1, magnitude, 0, 0, 1, 0)


def shear_y(img: Image.Image, magnitude: float) -> Image.Image:
    """Shear along y; the magnitude is the vertical shift in pixels per column."""
    return _affine(img, 1, 0, 0, magnitude, 1, 0)


def translate_x(img: Image.Image, magnitude: float) -> Image.Image:
    """Shift to the left by a fraction of the width, cut to whole pixels."""
    return _affine(img, 1, 0, int(magnitude * img.width), 0, 1, 0)


def translate_y(img: Image.Image, magnitude: float) -> Image.Image:
    """Shift upwards by a fraction of the height, cut to whole pixels."""
    return _affine(img, 1, 0, 0, 0, 1, int(magnitude * img.height))


def rotate(img: Image.Image, magnitude: float) -> Image.Image:
    """Rotate counter-clockwise about the centre, in degrees, keeping the size."""
    return img.rotate(magnitude, Image.Resampling.NEAREST, fillcolor=0)


def auto_contrast(img: Image.Image, magnitude: float) -> Image.Image:
    """Stretch every channel to the full range; the magnitude is not used."""
    return ImageOps.autocontrast(img)


def invert(img: Image.Image, magnitude: float) -> Image.Image:
    """Negate every channel; the magnitude is not used."""
    return ImageOps.invert(img)


def identity(img: Image.Image, magnitude: float) -> Image.Image:
    """Return the image unchanged; the magnitude is not used."""
    return img


def equalize(img: Image.Image, magnitude: float) -> Image.Image:
    """Flatten the histogram of every channel; the magnitude is not used."""
    return ImageOps.equalize(img)


def solarize(img: Image.Image, magnitude: float) -> Image.Image:
    """Negate the values at or above the threshold: 256 changes nothing, 0 negates all."""
    return ImageOps.solarize(img, magnitude)


def posterize(img: Image.Image, magnitude: float) -> Image.Image:
    """Keep the highest bits of every value; the number of bits is the magnitude rounded down."""
    return ImageOps.posterize(img, int(magnitude))


def contrast(img: Image.Image, magnitude: float) -> Image.Image:
    """Blend with the mean grey: factor 0 is grey, 1 the image."""
    return ImageEnhance.Contrast(img).enhance(magnitude)


def color(img: Image.Image, magnitude: float) -> Image.Image:
    """Blend with the grey image: factor 0 is grey, 1 the image."""
    return ImageEnhance.Color(img).enhance(magnitude)


def brightness(img: Image.Image, magnitude: float) -> Image.Image:
    """Blend with black: factor 0 is black, 1 the image."""
    return ImageEnhance.Brightness(img).enhance(magnitude)


def sharpness(img: Image.Image, magnitude: float) -> Image.Image:
    """Blend with the smoothed image: factor 0 is smooth, 1 the image."""
    return ImageEnhance.Sharpness(img).enhance(magnitude)


OPERATIONS: dict[str, Operation] = {
    'ShearX': shear_x,
    'ShearY': shear_y,
    'TranslateX': translate_x,
    'TranslateY': translate_y,
    'Rotate': rotate,
    'AutoContrast': auto_contrast,
    'Invert': invert,
    'Identity': identity,
    'Equalize': equalize,
    'Solarize': solarize,
    'Posterize': posterize,
    'Contrast': contrast,
    'Color': color,
    'Brightness': brightness,
    'Sharpness': sharpness,
}
"""Name (as in the paper's Table 1, plus the official code's Identity) -> function."""
