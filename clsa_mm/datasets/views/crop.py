"""A random part of an image at a fixed size."""

import math
from typing import NamedTuple

import cv2
import numpy as np
import torch

MAX_ATTEMPTS = 10


class Box(NamedTuple):
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


def draw_box(
    height: int,
    width: int,
    area: tuple[float, float],
    ratio: tuple[float, float],
    rng: np.random.Generator,
) -> Box:
    """Draw the part to crop as torchvision's ``RandomResizedCrop`` does.

    Area and logarithm of the aspect ratio are uniform, the place is uniform. Where ten draws do not fit in
    the image, it is the largest central part whose aspect ratio lies in ``ratio``, or one pixel wide or high.

    Args:
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        area: Range of the part's share of the image's area.
        ratio: Range of the part's width divided by its height.
        rng: Source of randomness.

    Returns:
        The part.
    """
    low, high = math.log(ratio[0]), math.log(ratio[1])
    for _ in range(MAX_ATTEMPTS):
        pixels = height * width * (area[0] + (area[1] - area[0]) * rng.random())
        aspect = math.exp(low + (high - low) * rng.random())
        w = round(math.sqrt(pixels * aspect))
        h = round(math.sqrt(pixels / aspect))
        if 0 < w <= width and 0 < h <= height:
            top, left = int((height - h + 1) * rng.random()), int((width - w + 1) * rng.random())
            return Box(top, left, h, w)
    w, h = width, height
    if width / height < ratio[0]:
        h = max(round(width / ratio[0]), 1)
    elif width / height > ratio[1]:
        w = max(round(height * ratio[1]), 1)
    return Box((height - h) // 2, (width - w) // 2, h, w)


def resize_box(image: np.ndarray, box: Box, size: int) -> np.ndarray:
    """Resize a part of an image with the antialiased bilinear filter.

    Args:
        image: uint8 of shape (H, W, 3).
        box: The part.
        size: Height and width of the result in pixels.

    Returns:
        uint8 of shape (size, size, 3), contiguous.
    """
    part = image[box.top : box.top + box.height, box.left : box.left + box.width]
    if min(part.strides) < 0:  # a mirrored image, which torch does not take
        part = np.ascontiguousarray(part)
    if max(box.height, box.width) <= size:  # enlarging: there is nothing to smooth
        return cv2.resize(part, (size, size), interpolation=cv2.INTER_LINEAR)
    # The batch axis comes first so that torch sees its channels-last format and keeps it.
    batch = torch.from_numpy(part)[None].permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(batch, (size, size), mode='bilinear', antialias=True)
    return np.ascontiguousarray(resized[0].permute(1, 2, 0).numpy())
