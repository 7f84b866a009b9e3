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
    # Half a level less since PIL cuts hues to whole ones, half since OpenCV writes 256ths and reads 255ths.
    turn = np.zeros(3 * image.shape[1], np.uint8)
    turn[::3] = (int(shift * 255) - 1) % 256
    rows = hsv.reshape(len(hsv), -1)
    rows += turn  # past 255 it begins again at 0, as hues do
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR_FULL, dst=hsv)


def grayscale(image: np.ndarray) -> np.ndarray:
    """Turn grey (ITU-R 601), still three channels."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def solarize(image: np.ndarray, threshold: float) -> np.ndarray:
    """Negate the values at or above the threshold: 256 changes nothing, 0 negates all."""
    return image ^ cv2.threshold(image, math.ceil(threshold) - 1, 255, cv2.THRESH_BINARY)[1]


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
    # Of a wide one all weights are small: its ends are those below 1 % of its middle.
    kernel = kernel[kernel > min(_NEGLIGIBLE * kernel.sum(), kernel.max() / 100)]
    kernel += kernel[::-1]  # to the last bit symmetric: OpenCV takes up to three times as long otherwise
    return kernel / kernel.sum()
