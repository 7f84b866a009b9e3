"""Recipes: what happens to a view between the crop and the strong operations.

A recipe is a class registered in ``RECIPES``. Its arguments are the numbers that a config sets with
``recipe=dict(type=..., ...)``; an instance is called with an image, uint8 BGR of shape (H, W, 3), and the
view's generator, and returns an image of the same kind and size.
"""

from dataclasses import dataclass
from itertools import permutations
from typing import NamedTuple

import cv2
import numpy as np
import torch
from mmengine.registry import Registry
from PIL import Image
from torchvision.transforms import AutoAugment, AutoAugmentPolicy

from clsa_mm.datasets.views.nearest_name import choose
from clsa_mm.datasets.views.photometric import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    gaussian_blur,
    grayscale,
    solarize,
)
from clsa_mm.datasets.views.randomness import preserved_generators
from clsa_mm.datasets.views.ranges import LARGEST_SPREAD, is_number, is_range

RECIPES = Registry('recipe')
_ORDERS = tuple(permutations(range(4)))
_JITTER = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)


class MoCoV2Draw(NamedTuple):
    """What MoCo v2's recipe does to one view."""

    jitter: list[tuple[int, float]]
    """Steps of colour jitter in order: 0 brightness, 1 contrast, 2 saturation, with a factor; 3 hue."""
    grey: bool
    blur_sigma: float | None
    flip: bool
    solarize: bool = False


@RECIPES.register_module(name='mocov2')
@dataclass(frozen=True)
class MoCoV2Recipe:
    """The augmentation of MoCo v2 (arXiv 2003.04297) as in its official code; CLSA's is the same.

    Args:
        jitter_prob: Probability of colour jitter. Defaults to 0.8.
        brightness: The factor is uniform in 1 -+ this, at most 1000, but not below 0. Defaults to 0.4.
        contrast: Likewise. Defaults to 0.4.
        saturation: Likewise. Defaults to 0.4.
        hue: The shift is uniform in -+ this, in whole turns, at most 0.5. Defaults to 0.1.
        grey_prob: Probability of turning grey. Defaults to 0.2.
        blur_prob: Probability of Gaussian blur. Defaults to 0.5.
        blur_sigma: Range of the blur's standard deviation in pixels. Defaults to (0.1, 2.0).
        flip_prob: Probability of a horizontal flip. Defaults to 0.5.
        solarize_prob: Probability of negating the levels from 128 on (BYOL, arXiv 2006.07733). Defaults to 0.

    Raises:
        ValueError: For an argument outside its range.
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
    solarize_prob: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        limits = dict(jitter_prob=1, grey_prob=1, blur_prob=1, flip_prob=1, solarize_prob=1, hue=0.5)
        limits |= dict(brightness=LARGEST_SPREAD, contrast=LARGEST_SPREAD, saturation=LARGEST_SPREAD)
        for name, limit in limits.items():
            value = getattr(self, name)
            if not is_number(value, limit):
                raise ValueError(f'recipe.{name} must be a number in [0, {limit}], got {value!r}')
        if not is_range(self.blur_sigma):
            raise ValueError(
                f'recipe.blur_sigma must be (low, high), 0 < low <= high, got {self.blur_sigma!r}'
            )

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Augment an image.

        Args:
            image: uint8 BGR of shape (H, W, 3).
            rng: Source of randomness.

        Returns:
            uint8 BGR of shape (H, W, 3).
        """
        return self.apply(image, self.draw(rng))

    def draw(self, rng: np.random.Generator) -> MoCoV2Draw:
        """Draw what to do, with the distribution of torchvision's transforms."""
        jitter = self._draw_jitter(rng) if rng.random() < self.jitter_prob else []
        grey = rng.random() < self.grey_prob
        low, high = self.blur_sigma
        sigma = low + (high - low) * rng.random() if rng.random() < self.blur_prob else None
        # Where nothing can be solarized the stream goes on as without this step.
        solarized = self.solarize_prob > 0 and rng.random() < self.solarize_prob
        return MoCoV2Draw(jitter, grey, sigma, rng.random() < self.flip_prob, solarized)

    def _draw_jitter(self, rng: np.random.Generator) -> list[tuple[int, float]]:
        steps = []
        for step in _ORDERS[int(len(_ORDERS) * rng.random())]:
            spread = (self.brightness, self.contrast, self.saturation, self.hue)[step]
            low, high = (-spread, spread) if step == 3 else (max(0.0, 1 - spread), 1 + spread)
            if spread:
                steps.append((step, low + (high - low) * rng.random()))
        return steps

    def apply(self, image: np.ndarray, draw: MoCoV2Draw) -> np.ndarray:
        """Do what was drawn."""
        for step, magnitude in draw.jitter:
            image = _JITTER[step](image, magnitude)
        if draw.grey:
            image = grayscale(image)
        if draw.blur_sigma is not None:
            image = gaussian_blur(image, draw.blur_sigma)
        if draw.solarize:
            image = solarize(image, 128)
        return cv2.flip(image, 1) if draw.flip else image


@RECIPES.register_module(name='mocov1')
@dataclass(frozen=True)
class MoCoV1Recipe(MoCoV2Recipe):
    """The augmentation of MoCo (arXiv 1911.05722) as in its official code: grey, then jitter in any case.

    Args:
        jitter_prob: As of :class:`MoCoV2Recipe`. Defaults to 1.0.
        hue: Defaults to 0.4.
        blur_prob: Defaults to 0.0.
    """

    jitter_prob: float = 1.0
    hue: float = 0.4
    blur_prob: float = 0.0

    def apply(self, image: np.ndarray, draw: MoCoV2Draw) -> np.ndarray:
        """Do what was drawn."""
        if draw.grey:
            image = grayscale(image)
        return super().apply(image, draw._replace(grey=False))


@RECIPES.register_module(name='simclr')
def simclr_recipe(
    strength: float = 1.0,
    jitter_prob: float = 0.8,
    grey_prob: float = 0.2,
    blur_prob: float = 0.5,
    blur_sigma: tuple[float, float] = (0.1, 2.0),
    flip_prob: float = 0.5,
) -> MoCoV2Recipe:
    """The augmentation of SimCLR (arXiv 2002.05709, appendix A): MoCo v2's steps with stronger colours.

    Args:
        strength: Strength s of the colour distortion, in [0, 2.5]: factors in 1 -+ 0.8 s for brightness,
            contrast and saturation, the hue's shift in -+ 0.2 s. Defaults to 1.
        jitter_prob: Probability of colour jitter. Defaults to 0.8.
        grey_prob: Probability of turning grey. Defaults to 0.2.
        blur_prob: Probability of Gaussian blur. Defaults to 0.5.
        blur_sigma: Range of the blur's standard deviation in pixels. Defaults to (0.1, 2.0).
        flip_prob: Probability of a horizontal flip. Defaults to 0.5.

    Raises:
        ValueError: For an argument outside its range.
    """
    if not is_number(strength, 2.5):
        raise ValueError(f'recipe.strength must be a number in [0, 2.5] (the paper uses 1), got {strength!r}')
    colour = 0.8 * strength
    return MoCoV2Recipe(
        jitter_prob, colour, colour, colour, 0.2 * strength, grey_prob, blur_prob, blur_sigma, flip_prob
    )


@RECIPES.register_module(name='autoaugment')
@dataclass(frozen=True)
class AutoAugmentRecipe:
    """A learnt policy in place of colours and blur (AutoAugment, arXiv 1805.09501), as torchvision has it.

    Pixels that a geometric operation uncovers are grey (128), as in the authors' code.

    Args:
        policy: Data set that the policy was learnt on: ``'imagenet'``, ``'cifar10'`` or ``'svhn'``. Defaults
            to ``'imagenet'``.
        flip_prob: Probability of a horizontal flip. Defaults to 0.5.

    Raises:
        ValueError: For an unknown policy, or a probability outside [0, 1].
    """

    policy: str = 'imagenet'
    flip_prob: float = 0.5

    def __post_init__(self) -> None:
        """Check the arguments and take torchvision's policy."""
        choose(self.policy, [policy.value for policy in AutoAugmentPolicy], 'recipe.policy')
        if not is_number(self.flip_prob, 1):
            raise ValueError(f'recipe.flip_prob must be a number in [0, 1], got {self.flip_prob!r}')
        augment = AutoAugment(AutoAugmentPolicy(self.policy), fill=[128, 128, 128])
        object.__setattr__(self, '_augment', augment)  # the class is frozen

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Augment an image.

        Args:
            image: uint8 BGR of shape (H, W, 3).
            rng: Source of randomness.

        Returns:
            uint8 BGR of shape (H, W, 3).
        """
        with preserved_generators():  # torchvision draws from torch's
            torch.default_generator.manual_seed(int(rng.integers(2**63)))
            augmented = self._augment(Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)))
        image = cv2.cvtColor(np.asarray(augmented), cv2.COLOR_RGB2BGR)
        return cv2.flip(image, 1) if rng.random() < self.flip_prob else image
