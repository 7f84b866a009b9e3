"""Textures and colours of the embedded picture world.

Every texture mixes two colours in about equal parts, so that an image's colour histogram does not
tell which texture it shows.
"""

from collections.abc import Callable

import cv2
import numpy as np

_Plane = np.ndarray
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_TILT = 0.3  # radians, the most that a pattern is turned


def _rotated_grid(rng: np.random.Generator, height: int, width: int, period: float) -> tuple[_Plane, _Plane]:
    """Coordinates ``u, v`` of all pixels in a randomly turned and shifted frame, in periods."""
    angle = rng.uniform(-_TILT, _TILT)
    shift_u, shift_v = rng.uniform(0, 1, size=2)
    y, x = np.mgrid[:height, :width].astype(np.float32) / np.float32(period)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cos * x + sin * y + np.float32(shift_u), cos * y - sin * x + np.float32(shift_v)


def _wave(u: _Plane) -> _Plane:
    return np.sin(np.float32(2 * np.pi) * u)


def _stripes(rng: np.random.Generator, height: int, width: int, period: float) -> _Plane:
    u, _ = _rotated_grid(rng, height, width, period)
    return _wave(u) / np.float32(2 * np.pi)


def _checks(rng: np.random.Generator, height: int, width: int, period: float) -> _Plane:
    u, v = _rotated_grid(rng, height, width, period)
    return _wave(u) * _wave(v) / np.float32(2 * np.pi)


def _dots(rng: np.random.Generator, height: int, width: int, period: float) -> _Plane:
    u, v = _rotated_grid(rng, height, width, period)
    radius = np.float32(np.sqrt(0.5 / np.pi))  # covers half of the unit cell
    return radius - np.hypot(u % 1 - np.float32(0.5), v % 1 - np.float32(0.5))


def _zigzag(rng: np.random.Generator, height: int, width: int, period: float) -> _Plane:
    u, v = _rotated_grid(rng, height, width, period)
    triangle = np.abs(v * np.float32(0.6) % 1 - np.float32(0.5)) * 2
    return _wave(u + triangle) / np.float32(2 * np.pi)


def _blobs(rng: np.random.Generator, height: int, width: int, period: float) -> _Plane:
    noise = clouds(rng, height, width, period / 2, octaves=1)
    noise -= np.median(noise)
    return noise / np.float32(max(float(noise.std()), 1e-6) * 4)


_PATTERNS: dict[str, Callable[[np.random.Generator, int, int, float], _Plane]] = {
    'stripes': _stripes, 'checks': _checks, 'dots': _dots, 'zigzag': _zigzag, 'blobs': _blobs,
}  # fmt: skip


def pattern(texture: str, rng: np.random.Generator, height: int, width: int, period: float) -> np.ndarray:
    """Where a texture shows its first and where its second colour.

    Args:
        texture: One of :data:`clsa_mm.datasets.embedded.kinds.TEXTURES`.
        rng: Draws the pattern's angle and phase, or its noise.
        height: Height in pixels.
        width: Width in pixels.
        period: Length after which the pattern repeats, in pixels.

    Returns:
        Float32 array of shape ``(height, width)`` in [0, 1], 0 and 1 about equally often, with
        edges about one pixel wide.
    """
    # The patterns are signed distances to their edges, in periods.
    distance = _PATTERNS[texture](rng, height, width, period) * np.float32(period)
    return np.clip(distance + np.float32(0.5), 0, 1)


def clouds(rng: np.random.Generator, height: int, width: int, cell: float, octaves: int = 3) -> np.ndarray:
    """Smooth noise: random grids, enlarged and summed.

    Args:
        rng: Draws the grids.
        height: Height in pixels.
        width: Width in pixels.
        cell: Cell of the coarsest grid in pixels; each octave halves it.
        octaves: Number of grids.

    Returns:
        Float32 array of shape ``(height, width)``, about zero mean, no fixed range.
    """
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        size = max(cell / 2**octave, 1.0)
        rows, columns = int(height / size) + 3, int(width / size) + 3
        grid = rng.standard_normal((rows, columns), dtype=np.float32)
        large = cv2.resize(grid, (round(columns * size), round(rows * size)), None, 0, 0,
                           cv2.INTER_CUBIC)  # fmt: skip
        # Leaves out the outermost cell, where the interpolation has no neighbours.
        start = int(size)
        total += large[start : start + height, start : start + width] / np.float32(2**octave)
    return total


def random_color(rng: np.random.Generator, darkest: float, brightest: float) -> np.ndarray:
    """A colour of random hue and saturation, and of a brightness in a range (but for clipping).

    Args:
        rng: Draws the colour.
        darkest: Lowest luma, in [0, 255].
        brightest: Highest luma, in [0, 255].

    Returns:
        RGB colour, float32 of shape ``(3,)``, in [0, 255].
    """
    chroma = rng.uniform(-90, 90, size=3)
    chroma -= chroma @ _LUMA
    return np.clip(rng.uniform(darkest, brightest) + chroma, 0, 255).astype(np.float32)


def mix(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Blend two colours.

    Args:
        first: RGB colour, shape ``(3,)``, or image, shape ``(H, W, 3)``, where the weight is 0.
        second: The same, where the weight is 1.
        weight: Shape ``(H, W)``, in [0, 1].

    Returns:
        Image of shape ``(H, W, 3)``.
    """
    return first + (second - first) * weight[..., None]
