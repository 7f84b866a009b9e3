"""The augmentation of InfoMin: strong colour jitter, and RandAugment before turning grey."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clsa_mm.datasets.views.photometric import grayscale
from clsa_mm.datasets.views.ranges import LARGEST_SPREAD, is_number
from clsa_mm.datasets.views.recipes import RECIPES, MoCoV2Draw, MoCoV2Recipe
from clsa_mm.datasets.views.strong_ops import STRONG_OPS

MAX_LEVEL = 10


class _Row(NamedTuple):
    """How an operation's magnitude follows from a level of 0 to 10: in a straight line."""

    at_0: float = 0.0
    at_10: float = 0.0
    signed: bool = False
    whole: bool = False


# PyContrast's RandAugment.py: the 15 operations of ``_RAND_TRANSFORMS`` and ``LEVEL_TO_ARG``.
RAND_AUGMENT: dict[str, _Row] = {
    'AutoContrast': _Row(),
    'Equalize': _Row(),
    'Invert': _Row(),
    'Rotate': _Row(0, 30, signed=True),
    'Posterize': _Row(0, 4, whole=True),
    'Solarize': _Row(0, 256, whole=True),
    'SolarizeAdd': _Row(0, 110, whole=True),
    'Color': _Row(0.1, 1.9),
    'Contrast': _Row(0.1, 1.9),
    'Brightness': _Row(0.1, 1.9),
    'Sharpness': _Row(0.1, 1.9),
    'ShearX': _Row(0, 0.3, signed=True),
    'ShearY': _Row(0, 0.3, signed=True),
    'TranslateX': _Row(0, 0.45, signed=True),
    'TranslateY': _Row(0, 0.45, signed=True),
}


class InfoMinDraw(NamedTuple):
    """What InfoMin's recipe does to one view."""

    before: MoCoV2Draw
    """Jitter, blur and flip."""
    ops: list[tuple[str, float]]
    """Operations of RandAugment in order, with their magnitudes."""
    grey: bool


@RECIPES.register_module(name='infomin')
@dataclass(frozen=True)
class InfoMinRecipe(MoCoV2Recipe):
    """The augmentation of InfoMin (arXiv 2005.10243) as in its official code ("D" of PyContrast).

    Jitter, blur, flip, ``num_ops`` operations of RandAugment drawn with replacement, and grey in the end. The
    operations are those of ``STRONG_OPS``: what they move in leaves black behind and takes nearest
    neighbours, where the official code fills with the mean colour and interpolates bilinearly or bicubically.

    Args:
        brightness: As of :class:`MoCoV2Recipe`. Defaults to 0.8.
        contrast: Likewise. Defaults to 0.8.
        saturation: Likewise. Defaults to 0.8.
        hue: Likewise. Defaults to 0.2.
        num_ops: Operations drawn per view. Defaults to 2.
        op_prob: Probability of each. Defaults to 0.5.
        level: Mean of the normal distribution of their levels, which are cut to 0-10. Defaults to 10.
        level_std: Its standard deviation, at most 1000. Defaults to 0.5.

    Raises:
        ValueError: For an argument outside its range.
    """

    brightness: float = 0.8
    contrast: float = 0.8
    saturation: float = 0.8
    hue: float = 0.2
    num_ops: int = 2
    op_prob: float = 0.5
    level: float = 10.0
    level_std: float = 0.5

    def __post_init__(self) -> None:
        """Check the numbers."""
        super().__post_init__()
        if isinstance(self.num_ops, bool) or not isinstance(self.num_ops, int) or self.num_ops < 0:
            raise ValueError(f'recipe.num_ops must be a whole number >= 0, got {self.num_ops!r}')
        for name, limit in dict(op_prob=1, level=MAX_LEVEL, level_std=LARGEST_SPREAD).items():
            value = getattr(self, name)
            if not is_number(value, limit):
                raise ValueError(f'recipe.{name} must be a number in [0, {limit}], got {value!r}')

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Augment an image, uint8 BGR of shape (H, W, 3)."""
        return self.apply(image, self.draw(rng), rng)

    def draw(self, rng: np.random.Generator) -> InfoMinDraw:
        """Draw what to do."""
        before = super().draw(rng)
        names = list(RAND_AUGMENT)
        ops = []
        for _ in range(self.num_ops):
            name = names[int(len(names) * rng.random())]
            if rng.random() < self.op_prob:
                level = min(MAX_LEVEL, max(0.0, rng.normal(self.level, self.level_std)))
                ops.append((name, _magnitude(RAND_AUGMENT[name], level, rng)))
        return InfoMinDraw(before._replace(grey=False), ops, before.grey)

    def apply(self, image: np.ndarray, draw: InfoMinDraw, rng: np.random.Generator) -> np.ndarray:
        """Do what was drawn; the operations may draw further from the generator."""
        image = super().apply(image, draw.before)
        for name, magnitude in draw.ops:
            image = STRONG_OPS.get(name)(image, magnitude, rng)
        return grayscale(image) if draw.grey else image


def _magnitude(row: _Row, level: float, rng: np.random.Generator) -> float:
    magnitude = row.at_0 + (row.at_10 - row.at_0) * level / MAX_LEVEL
    if row.signed and rng.random() < 0.5:
        return -magnitude
    return int(magnitude) if row.whole else magnitude
