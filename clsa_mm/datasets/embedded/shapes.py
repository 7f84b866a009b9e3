"""Outlines of the embedded picture world: polygons, placed, clipped and rasterised.

Coordinates are continuous pixels ``(x, y)``: the pixel in column i and row j covers
``[i, i+1) x [j, j+1)``.
"""

import cv2
import numpy as np

_SUPERSAMPLING = 4
_SHIFT = 6  # fractional bits of cv2's fixed-point coordinates


def _circle(start: float, stop: float, points: int) -> np.ndarray:
    angles = np.linspace(start, stop, points)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _disc() -> np.ndarray:
    return _circle(0, 2 * np.pi, 49)[:-1]


def _triangle() -> np.ndarray:
    return _circle(0, 2 * np.pi, 4)[:-1]


def _star() -> np.ndarray:
    star = _circle(0, 2 * np.pi, 11)[:-1]
    star[1::2] *= 0.42
    return star


def _cross() -> np.ndarray:
    arm, reach = 0.32, 1.0
    corner = np.array([[arm, reach], [arm, arm], [reach, arm]])
    quarter_turn = np.array([[0.0, -1.0], [1.0, 0.0]])  # (x, y) -> (y, -x)
    return np.concatenate([corner @ np.linalg.matrix_power(quarter_turn, i) for i in range(4)])


def _crescent() -> np.ndarray:
    """The unit disc less a disc of radius 0.8 whose centre lies 0.5 to the right."""
    radius, offset = 0.8, 0.5
    x = (1 - radius**2 + offset**2) / (2 * offset)
    outer = np.arccos(x)
    inner = np.arccos((x - offset) / radius)
    outside = _circle(outer, 2 * np.pi - outer, 32)
    inside = _circle(2 * np.pi - inner, inner, 24) * radius + [offset, 0]
    return np.concatenate([outside, inside[1:-1]])


_OUTLINES = {
    'disc': _disc, 'triangle': _triangle, 'star': _star, 'cross': _cross, 'crescent': _crescent,
}  # fmt: skip


def polygon_area(polygon: np.ndarray) -> float:
    """Area enclosed by a simple polygon, by the shoelace formula.

    Args:
        polygon: Vertices, shape ``(V, 2)``.

    Returns:
        The area, in squared units of the coordinates; never negative.
    """
    x, y = polygon[:, 0], polygon[:, 1]
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def outline(shape: str) -> np.ndarray:
    """The outline of a shape, of area 1 and with its vertices' mean at the origin.

    All shapes have the same area, so that the share of the picture that an object covers does
    not tell its shape.

    Args:
        shape: One of :data:`clsa_mm.datasets.embedded.kinds.SHAPES`.

    Returns:
        Vertices, shape ``(V, 2)``.
    """
    polygon = _OUTLINES[shape]()
    polygon = polygon - polygon.mean(axis=0)
    return polygon / np.sqrt(polygon_area(polygon))


def place(
    polygon: np.ndarray, size: float, angle: float, stretch: float, centre: tuple[float, float]
) -> np.ndarray:
    """Stretch, scale, rotate and move an outline of area 1.

    Args:
        polygon: Vertices, shape ``(V, 2)``.
        size: Square root of the area wanted, in pixels.
        angle: Rotation in radians.
        stretch: Ratio of the two axes, applied before the rotation and keeping the area.
        centre: Where the origin goes, ``(x, y)`` in pixels.

    Returns:
        Vertices in pixels, shape ``(V, 2)``.
    """
    cos, sin = np.cos(angle), np.sin(angle)
    axes = np.array([np.sqrt(stretch), 1 / np.sqrt(stretch)])
    rotation = np.array([[cos, sin], [-sin, cos]])
    return (polygon * axes * size) @ rotation + np.asarray(centre)


def clip_to_image(polygon: np.ndarray, height: int, width: int) -> np.ndarray:
    """Cut a polygon to the image with Sutherland and Hodgman's algorithm.

    Args:
        polygon: Vertices in pixels, shape ``(V, 2)``.
        height: Image height in pixels.
        width: Image width in pixels.

    Returns:
        Vertices, shape ``(V', 2)``; ``V'`` is 0 where nothing is left.
    """
    for axis, bound, sign in ((0, 0, 1), (0, width, -1), (1, 0, 1), (1, height, -1)):
        kept = []
        inside = sign * (polygon[:, axis] - bound)
        for i in range(len(polygon)):
            previous, current = polygon[i - 1], polygon[i]
            if (inside[i - 1] < 0) != (inside[i] < 0):
                share = inside[i - 1] / (inside[i - 1] - inside[i])
                crossing = previous + share * (current - previous)
                crossing[axis] = bound  # exactly on the border, whatever the rounding
                kept.append(crossing)
            if inside[i] >= 0:
                kept.append(current)
        polygon = np.array(kept).reshape(-1, 2)
    return polygon


def coverage(polygon: np.ndarray, height: int, width: int) -> np.ndarray:
    """The share of each pixel that the polygon covers.

    Args:
        polygon: Vertices in pixels, shape ``(V, 2)``; parts outside the image are cut off.
        height: Image height in pixels.
        width: Image width in pixels.

    Returns:
        Float32 array of shape ``(height, width)`` in [0, 1].
    """
    canvas = np.zeros((height * _SUPERSAMPLING, width * _SUPERSAMPLING), np.uint8)
    # cv2 puts integer coordinates at the pixels' centres.
    points = np.rint((polygon * _SUPERSAMPLING - 0.5) * 2**_SHIFT).astype(np.int32)
    cv2.fillPoly(canvas, [points], 255, shift=_SHIFT)
    small = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255
