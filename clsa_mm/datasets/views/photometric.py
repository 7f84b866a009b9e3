"""Photometric operations on uint8 BGR images of shape (H, W, 3)."""

from collections.abc import Sequence

import cv2
import numpy as np
import torchvision.transforms.functional as F
from PIL import Image, ImageFilter


def color_jitter(image: np.ndarray, order: Sequence[int], magnitudes: Sequence[float]) -> np.ndarray:
    """Change brightness (0), contrast (1), saturation (2) and hue (3) in an order."""
    steps = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
    picture = Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    for step in order:
        picture = steps[step](picture, magnitudes[step])
    return cv2.cvtColor(np.asarray(picture), cv2.COLOR_RGB2BGR)


def grayscale(image: np.ndarray) -> np.ndarray:
    """Turn grey (ITU-R 601), still three channels."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur by a Gaussian."""
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(sigma)))
