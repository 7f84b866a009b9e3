"""Recipes: what happens to a view after the crop and before the strong operations.

A recipe is a class registered in ``RECIPES``. Its arguments are the numbers that a config's
``recipe=dict(type=..., ...)`` sets, and an instance is called with an image (uint8 BGR of shape (H, W, 3)) and the
view's generator, and returns an image of the same kind.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from mmengine.registry import Registry

from clsa_mm.datasets.views.photometric import blur, color_jitter, grayscale

RECIPES = Registry('recipe of views')


@RECIPES.register_module(name='mocov2')
@dataclass(frozen=True)
class MoCoV2Recipe:
    """The augmentation of MoCo v2 (arXiv 2003.04297) as in its official code, which CLSA uses too.

    Args:
        jitter_prob: Probability of colour jitter. Defaults to 0.8.
        brightness: The factor is uniform in 1 -+ this. Defaults to 0.4.
        contrast: Likewise. Defaults to 0.4.
        saturation: Likewise. Defaults to 0.4.
        hue: The shift is uniform in -+ this, in turns, at most 0.5. Defaults to 0.1.
        grey_prob: Probability of turning grey. Defaults to 0.2.
        blur_prob: Probability of Gaussian blur. Defaults to 0.5.
        blur_sigma: Range of the blur's standard deviation in pixels. Defaults to (0.1, 2.0).
        flip_prob: Probability of a horizontal flip. Defaults to 0.5.
    """

    jitter_prob: float = 0.8
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    grey_prob: float = 0.2
    blur_prob: float = 0.5
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    flip_prob: float = 0.5

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ('jitter_prob', 'grey_prob', 'blur_prob', 'flip_prob'):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f'recipe.{name} must be a probability in [0, 1], got {getattr(self, name)!r}'
                )
        if not 0 <= self.hue <= 0.5:
            raise ValueError(f'recipe.hue must lie in [0, 0.5], got {self.hue!r}')

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Augment an image.

        Args:
            image: uint8 BGR of shape (H, W, 3).
            rng: Source of randomness.

        Returns:
            uint8 BGR of shape (H, W, 3).
        """
        if rng.random() < self.jitter_prob:
            image = color_jitter(image, *self.draw_jitter(rng))
        if rng.random() < self.grey_prob:
            image = grayscale(image)
        if rng.random() < self.blur_prob:
            low, high = self.blur_sigma
            image = blur(image, low + (high - low) * rng.random())
        if rng.random() < self.flip_prob:
            image = cv2.flip(image, 1)
        return image

    def draw_jitter(self, rng: np.random.Generator) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """Draw the order of the four steps of colour jitter, and the magnitude of each."""
        order = tuple(rng.permutation(4))
        magnitudes = [
            max(0.0, 1 - spread) + (1 + spread - max(0.0, 1 - spread)) * rng.random()
            for spread in (self.brightness, self.contrast, self.saturation)
        ]
        return order, (*magnitudes, self.hue * (2 * rng.random() - 1))
