"""Photometric operations on uint8 BGR images of shape (H, W, 3), as fast as OpenCV has them.

They follow PIL, which torchvision's transforms and so the official code call: at most one level off, but for
saturation by a factor above 2 (two levels), hue (at most 12 levels, on average 0.8 or less) and blur (which
repeats the border once where PIL does so for each of three passes). Every operation returns a new array.
"""

import functools
import math

import cv2
import numpy as np

CUT = -0.499  # PIL cuts to whole numbers where OpenCV rounds
_NEGLIGIBLE = 1 / 512  # weight of a pixel that changes the sum by less than half a level


def adjust_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with black: 0 is black, 1 the image."""
    return cv2.convertScaleAbs(image, alpha=factor, beta=CUT)


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the mean grey: 0 is grey, 1 the image."""
    mean = int(cv2.mean(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))[0] + 0.5)
    return cv2.addWeighted(image, factor, image, 0, mean * (1 - factor) + CUT)


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the grey image: 0 is grey, 1 the image."""
    return cv2.addWeighted(image, factor, grayscale(image), 1 - factor, CUT)


def adjust_hue(image: np.ndarray, shift: float) -> np.ndarray:
    """Turn the hue by a fraction of a whole turn, in [-0.5, 0.5], cut to a 255th of one."""
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV_FULL)
    hue, saturation, value = cv2.split(hsv)
    chroma = cv2.multiply(saturation, value, dst=saturation, scale=1 / 255)
    planes = []
    for table in _lack_tables(int(shift * 255)):
        lack = cv2.LUT(hue, table)
        planes.append(value - cv2.multiply(chroma, lack, dst=lack, scale=1 / 255))
    return cv2.merge(planes, dst=hsv)


@functools.lru_cache(maxsize=256)
def _lack_tables(shift: int) -> tuple[np.ndarray, ...]:
    """Share of the chroma, in 255ths, that blue, green and red lack for each of 256 hues after a shift."""
    # PIL cuts hues to whole 255ths of a turn, that is by half of one on average.
    sixths = 6 * (np.arange(256) / 256 + (shift - 0.5) / 255)
    distances = [np.abs((sixths - centre + 3) % 6 - 3) for centre in (4, 2, 0)]
    return tuple(np.rint(255 * np.clip(distance - 1, 0, 1)).astype(np.uint8) for distance in distances)


def grayscale(image: np.ndarray) -> np.ndarray:
    """Turn grey (ITU-R 601), still three channels."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def gaussian_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur by a Gaussian of a standard deviation in pixels, as PIL approximates it."""
    kernel = _blur_kernel(round(sigma, 2))  # finer steps change no level
    return cv2.sepFilter2D(image, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)


@functools.lru_cache(maxsize=1024)
def _blur_kernel(sigma: float) -> np.ndarray:
    """Merge PIL's three box filters into one kernel, without its negligible ends.

    A box has the variance ``sigma ** 2 / 3``: weight 1 within ``whole`` pixels of its centre and ``edge`` one
    pixel further out, so that its width can be any number (Gwosdek et al., SSVM 2011, "extended box filter").
    """
    variance = sigma**2 / 3
    whole = int((math.sqrt(12 * variance + 1) - 1) / 2)
    edge = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance) / (6 * (variance - (whole + 1) ** 2))
    box = np.ones(2 * whole + 3)
    box[[0, -1]] = edge
    kernel = np.convolve(np.convolve(box, box), box)
    kernel = kernel[kernel > _NEGLIGIBLE * kernel.sum()]
    kernel += kernel[::-1]  # to the last bit symmetric: OpenCV takes up to three times as long otherwise
    return kernel / kernel.sum()
