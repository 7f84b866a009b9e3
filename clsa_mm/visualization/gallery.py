"""Pictures of augmentations: each strong operation at several magnitudes, and the views of a recipe."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from clsa_mm.datasets.transforms import MakeViews
from clsa_mm.datasets.views.crop import Box, resize_box
from clsa_mm.datasets.views.settings import View
from clsa_mm.datasets.views.strong_policy import StrongPolicy
from clsa_mm.given_numbers import check_numbers
from clsa_mm.visualization.drawn_views import Row, to_picture
from clsa_mm.visualization.style import TWO_COLUMNS, label, styled

_Example = tuple[str, float | None, np.ndarray]

_BLOCKS = 2  # of operations side by side
_TEXT = 0.16  # inches of a line
_GAP = 0.03  # inches between pictures


def strong_view(make_views: object) -> View:
    """The first view with strong operations that a training set makes.

    Args:
        make_views: What :func:`~clsa_mm.visualization.drawn_views.split_pipeline` gives.

    Raises:
        ValueError: If there is none.
    """
    views = make_views.views if isinstance(make_views, MakeViews) else []
    for view in views:
        if view.strong.num_ops:
            return view
    raise ValueError(
        'No view of the training set has strong operations (num_ops) in its settings: give a config with '
        '`views` such as configs/clsa_r50_8xb32_200e.py.'
    )


def operation_examples(
    image: np.ndarray, view: View, steps: int = 5
) -> dict[str, list[tuple[float | None, np.ndarray]]]:
    """Apply each operation of a view's pool to the middle of an image.

    Args:
        image: uint8 BGR of shape (H, W, 3).
        view: Whose operations, ranges and size are taken.
        steps: Magnitudes of each, evenly from one end of its range to the other, at least 2.

    Returns:
        Name -> pairs of a magnitude and the image (size, size, 3); one, with None, of an operation without.

    Raises:
        ValueError: If there are fewer than 2 steps.
    """
    check_numbers('operation_examples', whole=True, low=2, steps=steps)
    edge = min(image.shape[:2])
    top, left = ((side - edge) // 2 for side in image.shape[:2])
    return pool_examples(resize_box(image, Box(top, left, edge, edge), view.size), view.strong, steps)


def pool_examples(
    image: np.ndarray, policy: StrongPolicy, steps: int
) -> dict[str, list[tuple[float | None, np.ndarray]]]:
    """Apply each operation of a policy's pool to an image as it is.

    Args:
        image: uint8 BGR of shape (H, W, 3).
        policy: Whose operations and ranges are taken.
        steps: As of :func:`operation_examples`.

    Returns:
        As of :func:`operation_examples`.
    """
    examples = {}
    for name, (low, high) in policy.pool.items():
        magnitudes = [*map(float, np.linspace(low, high, steps))] if low != high else [low]
        pictures = [policy.apply(image, [(name, m)], np.random.default_rng(0)) for m in magnitudes]
        shown = magnitudes if low != high else [None]
        examples[name] = [*zip(shown, pictures, strict=True)]
    return examples


@styled
def draw_operations(image: np.ndarray, view: View, steps: int = 5) -> Figure:
    """Draw the gallery of operations: a row of magnitudes for each, two columns wide.

    Args:
        image: As of :func:`operation_examples`.
        view: As of :func:`operation_examples`.
        steps: As of :func:`operation_examples`.
    """
    examples = operation_examples(image, view, steps)
    lines = _lines([(name, *pair) for name, pairs in examples.items() for pair in pairs], steps)
    rows = -(-len(lines) // _BLOCKS)
    # A narrow column stands between the blocks.
    figure, grid = _squares(rows, (([1] * steps + [0.15]) * _BLOCKS)[:-1], above=_TEXT, below=_TEXT)
    for place, line in enumerate(lines):
        block, row = divmod(place, rows)
        named = None
        for axes, (name, magnitude, picture) in zip(grid[row, block * (steps + 1) :], line, strict=False):
            _show(axes, to_picture(picture))
            if name != named:
                axes.set_title(label(name), loc='left', fontsize=7, pad=2)
            below = '' if magnitude is None else f'{magnitude:.3g}'
            axes.text(0.5, -0.04, below, transform=axes.transAxes, fontsize=6, va='top', ha='center')
            named = name
    return figure


def _lines(examples: Sequence[_Example], steps: int) -> list[list[_Example]]:
    """A line of pictures for each operation, and those without a magnitude together, last."""
    alone = [example for example in examples if example[1] is None]
    rest = [example for example in examples if example[1] is not None]
    return [list(part[i : i + steps]) for part in (rest, alone) for i in range(0, len(part), steps)]


@styled
def draw_views(titles: Sequence[str], rows: Sequence[Row]) -> Figure:
    """Draw views beside their originals, each picture as wide as the others, two columns wide.

    Args:
        titles: One per column.
        rows: As :func:`~clsa_mm.visualization.drawn_views.make_rows` gives them.
    """
    if not titles or not rows:
        raise ValueError('There are no views to draw: give at least one title and one row')
    figure, grid = _squares(len(rows), [1] * len(titles), above=_TEXT, below=_TEXT)
    for line, (caption, pictures) in zip(grid, rows, strict=True):
        for axes, picture in zip(line, pictures, strict=True):
            _show(axes, picture)
        line[0].text(0, -0.03, label(caption), transform=line[0].transAxes, fontsize=6, va='top')
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(label(title), fontsize=7, pad=2)
    return figure


def _squares(rows: int, widths: Sequence[float], above: float, below: float) -> tuple[Figure, np.ndarray]:
    """Axes in which a square fits exactly where the width is 1, with room for text, inches."""
    net = TWO_COLUMNS - _GAP * (len(widths) - 1)
    cell = net / sum(widths)
    height = rows * (cell + above + below)
    figure = Figure(figsize=(TWO_COLUMNS, height), layout='none')
    room = dict(
        left=0,
        right=1,
        bottom=below / height,
        top=1 - above / height,
        wspace=_GAP * len(widths) / net,
        hspace=(above + below) / cell,
    )
    grid = figure.subplots(rows, len(widths), width_ratios=widths, squeeze=False, gridspec_kw=room)
    for axes in grid.flat:
        axes.set_axis_off()
    return figure, grid


def _show(axes: Axes, picture: Image.Image) -> None:
    """A square's middle of a picture, its own pixels."""
    edge = min(picture.size)
    left, top = ((side - edge) // 2 for side in picture.size)
    axes.imshow(np.asarray(picture.crop((left, top, left + edge, top + edge))), interpolation='nearest')
