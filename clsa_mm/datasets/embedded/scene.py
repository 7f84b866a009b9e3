"""Draws one picture of the embedded world: background, small distractors, objects, light, noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from clsa_mm.datasets.embedded.kinds import KINDS, TEXTURES
from clsa_mm.datasets.embedded.shapes import clip_to_image, coverage, outline, place, polygon_area
from clsa_mm.datasets.embedded.textures import clouds, mix, pattern, random_color

_MIN_VISIBLE = 0.4
_MIN_VISIBLE_FIRST = 0.75
_TRIES = 20
_TILT, _STRETCH = 0.4, 0.15  # radians; logarithm of the ratio of the axes
# Objects are seen by their own contrast: dark and bright on a ground in between.
_DARK_LUMA, _BACKGROUND_LUMA, _BRIGHT_LUMA = (15, 65), (90, 165), (185, 240)


@dataclass(frozen=True)
class SceneObject:
    """One object of a picture, as far as it can be seen.

    Attributes:
        kind: Index into :data:`clsa_mm.datasets.embedded.kinds.KINDS`.
        polygon: Outline cut to the image, continuous pixels ``(x, y)``, shape ``(V, 2)``.
        mask: Pixels of which the object covers at least half, bool of shape ``(H, W)``.
        visible: Share of the object's area inside the image, in [0, 1].
    """

    kind: int
    polygon: np.ndarray
    mask: np.ndarray
    visible: float

    def box(self) -> tuple[int, int, int, int]:
        """The mask's bounding box: first column and row, last column and row, 0-based."""
        columns = np.flatnonzero(self.mask.any(axis=0))
        rows = np.flatnonzero(self.mask.any(axis=1))
        return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def image_rng(seed: int, stream: int, index: int) -> np.random.Generator:
    """The random numbers of one image.

    They depend on the arguments alone: a larger data set begins with the smaller one's images.

    Args:
        seed: The data set's seed, not negative.
        stream: Number of the split within the data set.
        index: Number of the image within the split.
    """
    return np.random.default_rng([seed, stream, index])


def render_scene(
    rng: np.random.Generator,
    height: int,
    width: int,
    kinds: Sequence[int],
    sizes: tuple[float, float],
) -> tuple[np.ndarray, list[SceneObject]]:
    """Draw a picture with objects of the given kinds.

    Colours, background, distractors, light, noise and every object's place, size, angle and stretch
    are drawn independently of the kinds. The objects' masks are disjoint.

    Args:
        rng: Source of all randomness.
        height: Image height in pixels.
        width: Image width in pixels.
        kinds: The objects' kinds. The first object lies near the centre and is always drawn; the
            others may be cut by the border, and are left out where no room is found.
        sizes: Range of the square root of an object's area, in shares of the image's shorter side.

    Returns:
        The RGB image, uint8 of shape ``(height, width, 3)``, and its objects.
    """
    image = _background(rng, height, width)
    _draw_distractors(rng, image)
    objects: list[SceneObject] = []
    for number, kind in enumerate(kinds):
        placed = _find_place(rng, height, width, kind, sizes, objects, first=number == 0)
        if placed is None:
            continue
        instance, cover, size = placed
        image = mix(image, _surface(rng, height, width, kind, size), cover)
        objects.append(instance)
    return _expose(rng, image), objects


def _background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A gradient or clouds, sometimes with one of the objects' textures over it, pale."""
    side = min(height, width)
    first, second = (random_color(rng, *_BACKGROUND_LUMA) for _ in range(2))
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        y, x = np.mgrid[:height, :width].astype(np.float32)
        ramp = np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y
    else:
        ramp = clouds(rng, height, width, side * rng.uniform(0.25, 0.6))
    ramp = (ramp - ramp.min()) / max(float(np.ptp(ramp)), 1e-6)
    image = mix(first, second, ramp)
    if rng.random() < 0.35:
        texture = TEXTURES[rng.integers(len(TEXTURES))]
        pale = pattern(texture, rng, height, width, side * rng.uniform(0.06, 0.16))
        color = random_color(rng, *_BACKGROUND_LUMA)
        image = mix(image, color, pale * np.float32(rng.uniform(0.2, 0.45)))
    return image


def _draw_distractors(rng: np.random.Generator, image: np.ndarray) -> None:
    """Up to four small plain ellipses and bars, in place."""
    height, width = image.shape[:2]
    side = min(height, width)
    for _ in range(rng.integers(0, 5)):
        x, y = int(rng.uniform(0, width)), int(rng.uniform(0, height))
        color = random_color(rng, 0, 255).tolist()
        angle = rng.uniform(0, np.pi)
        length = side * rng.uniform(0.04, 0.12)
        if rng.random() < 0.5:
            axes = (round(length), round(length * rng.uniform(0.5, 1)))
            cv2.ellipse(image, (x, y), axes, np.degrees(angle), 0, 360, color, -1)
        else:
            end = (round(x + 2 * length * np.cos(angle)), round(y + 2 * length * np.sin(angle)))
            cv2.line(image, (x, y), end, color, max(1, round(side * 0.02)))


def _find_place(
    rng: np.random.Generator,
    height: int,
    width: int,
    kind: int,
    sizes: tuple[float, float],
    others: Sequence[SceneObject],
    first: bool,
) -> tuple[SceneObject, np.ndarray, float] | None:
    """An object with its pixel coverage and size, clear of the others; None if there is no room."""
    margin, enough = (0.32, _MIN_VISIBLE_FIRST) if first else (0.08, _MIN_VISIBLE)
    shape = outline(KINDS[kind].shape)
    for attempt in range(_TRIES):
        size = min(height, width) * rng.uniform(*sizes)
        angle = rng.uniform(-_TILT, _TILT)
        stretch = np.exp(rng.uniform(-_STRETCH, _STRETCH))
        x, y = rng.uniform(margin, 1 - margin, size=2)
        if first and attempt == _TRIES - 1:
            x = y = 0.5
        whole = place(shape, size, angle, stretch, (x * width, y * height))
        polygon = clip_to_image(whole, height, width)
        visible = min(1.0, polygon_area(polygon) / polygon_area(whole))
        if visible < enough and not (first and attempt == _TRIES - 1):
            continue
        cover = coverage(whole, height, width)
        mask = cover >= 0.5
        if mask.any() and not any((mask & other.mask).any() for other in others):
            return SceneObject(kind, polygon, mask, visible), cover, size
    return None


def _surface(rng: np.random.Generator, height: int, width: int, kind: int, size: float) -> np.ndarray:
    """The object's texture in a dark and a bright colour."""
    dark, bright = random_color(rng, *_DARK_LUMA), random_color(rng, *_BRIGHT_LUMA)
    period = max(3.0, size * rng.uniform(0.24, 0.34))
    return mix(dark, bright, pattern(KINDS[kind].texture, rng, height, width, period))


def _expose(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Uneven light, exposure, contrast and sensor noise; then 8 bits."""
    height, width = image.shape[:2]
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.3)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    light = 1 + np.float32(slope) * (np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y)
    gain, contrast = rng.uniform(0.75, 1.2), rng.uniform(0.75, 1.15)
    image = (image * light[..., None] * np.float32(gain) - 128) * np.float32(contrast) + 128
    image += rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(2, 6))
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
