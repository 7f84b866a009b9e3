"""Pictures that look enough like photographs to compare image operations on."""

import numpy as np
from PIL import Image


def photo(height: int, width: int, seed: int) -> np.ndarray:
    """A BGR image of shape (H, W, 3) with edges, gradients, saturated colours and noise."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)
    image = np.asarray(Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC))
    image = image + rng.normal(0, 12, image.shape)
    image[height // 3 : height // 2, : width // 2] = (250, 5, 60)
    return np.clip(image, 0, 255).astype(np.uint8)


def to_pil(bgr: np.ndarray) -> Image.Image:
    """As a PIL image."""
    return Image.fromarray(np.ascontiguousarray(bgr[..., ::-1]))


def to_bgr(image: Image.Image) -> np.ndarray:
    """As an array of signed numbers, which can be subtracted."""
    return np.asarray(image)[..., ::-1].astype(int)
