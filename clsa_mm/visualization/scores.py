"""Histograms over images of what queries give to their keys: figures 4 and 6 of arXiv 2104.07713."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from clsa_mm.given_numbers import check_numbers
from clsa_mm.printable import printable
from clsa_mm.visualization.style import GREY, LINE_STYLES, PALETTE, TWO_COLUMNS, label, new_figure, styled

PROBABILITIES = {
    'positive_probability': 'positive probability',
    'negative_probability_variance': 'variance of negative probabilities',
}
_BINS = 50
# What lies beyond stands in the outermost bins: a few images would leave the others a line somewhere.
_SHOWN_SHARE = 0.995


@styled
def draw_score_histograms(
    networks: Mapping[str, Mapping[str, Mapping[str, ArrayLike]]],
    quantities: Mapping[str, str] = PROBABILITIES,
    bank_size: int | None = None,
) -> Figure:
    """Draw, for each network, how its weak and its strong queries are distributed.

    Args:
        networks: Name -> role -> quantity -> a value for each image, as
            :func:`~clsa_mm.evaluation.query_scores.role_scores` gives them.
        quantities: Name -> title, a column each. Defaults to the two of the paper's figures.
        bank_size: Keys that a query is compared with, M: a line then shows the positive probability of a
            network that knows nothing, 1/M.

    Returns:
        A row for each network, two columns wide. The networks have axes of their own, as their values differ
        by orders of magnitude.

    Raises:
        ValueError: If a network lacks a quantity (the message says which it has), or has a value that is not
            finite; or ``bank_size`` is none.
    """
    check_numbers('draw_score_histograms', whole=True, low=1, bank_size=bank_size)
    figure, grid = new_figure(len(networks), len(quantities), TWO_COLUMNS, 1.7)
    for line, (name, roles) in zip(grid, networks.items(), strict=True):
        for axes, quantity in zip(line, quantities, strict=True):
            values = {role: _values(name, role, found, quantity) for role, found in roles.items()}
            draw_histograms(axes, values)
            if bank_size and quantity == 'positive_probability':
                axes.axvline(1 / bank_size, color=GREY, linestyle=LINE_STYLES[2], label='1/M')
        line[0].set_title(label(name), loc='left')
        line[0].set_ylabel('images')
    for axes, title in zip(grid[-1], quantities.values(), strict=True):
        axes.set_xlabel(title)
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles=handles, labels=names, loc='outside upper center', ncols=len(names))
    return figure


def draw_histograms(axes: Axes, values: Mapping[str, Sequence[float]]) -> None:
    """Draw one histogram for each name over the same bins, the few extreme values in the outermost ones.

    Args:
        axes: Where.
        values: Name -> values, one or more.
    """
    together = np.concatenate([*map(np.asarray, values.values())]).astype(float)
    low, high = np.quantile(together, [1 - _SHOWN_SHARE, _SHOWN_SHARE])
    bins = np.linspace(low, high if high > low else low + (abs(low) or 1) * 1e-3, _BINS + 1)
    for index, (name, each) in enumerate(values.items()):
        counts, _ = np.histogram(np.clip(each, bins[0], bins[-1]), bins)
        colour = PALETTE[index % len(PALETTE)]
        axes.stairs(counts, bins, fill=True, color=colour, alpha=0.3)
        axes.stairs(counts, bins, color=colour, label=label(name))
    axes.margins(x=0)
    axes.ticklabel_format(axis='x', scilimits=(-2, 3), useMathText=True)


def _values(name: str, role: str, found: Mapping[str, ArrayLike], quantity: str) -> np.ndarray:
    if quantity not in found:
        there = printable(', '.join(found))
        raise ValueError(f'{printable(name)} has no {quantity} of {role} queries; it has {there}')
    values = np.asarray(found[quantity], dtype=float)
    if not len(values) or not np.isfinite(values).all():
        raise ValueError(
            f'{printable(name)}: {quantity} of {role} queries has values that are not finite, or none: has '
            'the training diverged?'
        )
    return values
