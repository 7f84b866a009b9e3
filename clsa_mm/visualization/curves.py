"""Curves of what runs have logged, with bands over seeds."""

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clsa_mm.printable import printable
from clsa_mm.visualization.run_log import RunLog, read_run
from clsa_mm.visualization.style import (
    GREY,
    LINE_STYLES,
    ONE_COLUMN,
    PALETTE,
    TWO_COLUMNS,
    add_legend,
    label,
    new_figure,
    styled,
)

Runs = Mapping[str, Sequence[RunLog]]

CHANCE, CHANCE_OF = 'chance_level', 'loss_contrastive'
# What figures 3 and 5 of Zhu et al. (ICCV 2021, "Improving Contrastive Learning by Visualizing Feature
# Transformation") follow over training.
SCORE_FIGURES = (
    'watch/weak_negative_score_variance',
    'watch/weak_negative_score',
    'watch/weak_positive_score',
)
TITLES = {
    'loss_contrastive': 'contrastive loss',
    'loss_ddm': 'DDM loss',
    'lr': 'learning rate',
    'momentum': 'momentum of the key encoder',
    'knn/top1': 'kNN accuracy, %',
    'knn/weak_top1': 'kNN accuracy on weak views, %',
    'knn/strong_top1': 'kNN accuracy on strong views, %',
    'probe/top1': 'accuracy of the linear probe, %',
    'watch/rankme_backbone': 'RankMe, backbone',
    'watch/rankme_projection': 'RankMe, projection',
    **{
        f'watch/{role}_{name}': title.format(role)
        for role in ('weak', 'strong')
        for name, title in {
            'positive_score': 'mean positive score, {}',
            'negative_score': 'mean negative score, {}',
            'negative_score_variance': 'variance of negative scores, {}',
            'positive_probability': 'positive probability, {}',
            'negative_probability_variance': 'variance of negative prob., {}',
        }.items()
    },
}
# Figure 5 of the paper (arXiv 2104.07713), and plain images beside it.
KNN_FIGURES = ('knn/top1', 'knn/weak_top1', 'knn/strong_top1')
_MARKERS = ('o', 's', '^', 'D')
_LEGEND_WIDTH = 14  # letters to an inch of figure, with what stands before a name
_MOST_MARKED = 20  # points of a curve that are shown each


class Curve(NamedTuple):
    """Mean and standard deviation over seeds at the steps that all of them logged.

    Attributes:
        steps: As logged, or epochs.
        means: At these.
        deviations: Sample standard deviations; None of one seed.
    """

    steps: list[float]
    means: list[float]
    deviations: list[float] | None


def read_named_runs(words: Iterable[str]) -> dict[str, list[RunLog]]:
    """Read runs given as ``NAME=WORK_DIR`` or ``WORK_DIR``, which is then its folder's name.

    Args:
        words: Runs of the same name are seeds of one curve.

    Returns:
        Name -> logs.

    Raises:
        FileNotFoundError: As of :func:`~clsa_mm.visualization.run_log.read_run`.
    """
    runs: dict[str, list[RunLog]] = {}
    for name, path in map(split_name, words):
        runs.setdefault(name, []).append(read_run(path))
    return runs


def split_name(word: str) -> tuple[str, Path]:
    """``NAME=PATH`` or ``PATH`` as name and path; a path that is there may hold an equals sign."""
    name, equals, path = word.partition('=')
    if not equals or Path(word).exists():
        return Path(word).resolve().name, Path(word)
    return name, Path(path)


def seeds_curve(logs: Sequence[RunLog], figure: str, over: str = 'iteration') -> Curve:
    """One figure of several seeds.

    Args:
        logs: One or more runs.
        figure: Name of a scalar.
        over: ``'iteration'``, the steps as logged, or ``'epoch'``.

    Returns:
        The curve.

    Raises:
        ValueError: If there is no run, a run lacks the figure (the message says which it has),
            the seeds share no step, or the length of an epoch is not known or not what to draw over.
    """
    if not logs:
        raise ValueError(f'{figure!r} is drawn of at least one run, got none')
    if over not in ('iteration', 'epoch'):
        raise ValueError(f"over={over!r} must be 'iteration' or 'epoch'")
    series = []
    for log in logs:
        if figure not in log.scalars:
            there = printable(', '.join(log.scalars))
            raise ValueError(f'{printable(log.folder)} has logged no {figure!r}; it has {there}')
        scale = 1 if over == 'iteration' else epoch_length(log)
        series.append({step / scale: value for step, value in log.scalars[figure]})
    steps = [step for step in series[0] if all(step in values for values in series)]
    if not steps:
        folders = ', '.join(printable(log.folder) for log in logs)
        raise ValueError(f'{folders} have {figure!r} at no common step: give them different names')
    columns = [[values[step] for values in series] for step in steps]
    deviations = [statistics.stdev(column) for column in columns] if len(logs) > 1 else None
    return Curve(steps, [statistics.fmean(column) for column in columns], deviations)


def epoch_length(log: RunLog) -> int:
    """Iterations of an epoch of training, from the text log.

    Args:
        log: Of a run.

    Raises:
        ValueError: If no text log tells.
    """
    for file in reversed(log.log_files):
        if found := re.search(r'Epoch\(train\)\s+\[\d+\]\[\s*\d+/(\d+)\]', file.read_text(errors='replace')):
            return int(found[1])
    raise ValueError(
        f'{printable(log.folder)} has no text log DATE_TIME/DATE_TIME.log with lines of training, so the '
        'length of its epochs is not known: draw over iterations'
    )


def lacking(runs: Runs, figures: Sequence[str]) -> dict[str, list[str]]:
    """Figures that not one run of a name has: name -> figures; names without any are left out."""
    found = {
        name: [figure for figure in figures if not any(figure in log.scalars for log in logs)]
        for name, logs in runs.items()
    }
    return {name: missing for name, missing in found.items() if missing}


@styled
def draw_curves(
    runs: Runs,
    panels: Sequence[str] | Mapping[str, Sequence[str]],
    over: str = 'iteration',
    same_scale: bool = False,
) -> Figure:
    """Draw a panel for each figure: a line for each name, and mean and standard deviation over its seeds.

    Where the contrastive loss is drawn, so is its chance level. What was measured once is a point with a bar.
    A name that has not logged a figure has no line there, see :func:`lacking`.

    Args:
        runs: Name -> the logs of its seeds.
        panels: The scalars, one a panel; or title -> the scalars that share a panel.
        over: ``'iteration'`` or ``'epoch'``.
        same_scale: Whether all panels have the same range of values. Defaults to False.

    Returns:
        The figure, a column wide with one panel, else two columns.

    Raises:
        ValueError: If there is nothing to draw, no run has a figure, or as of :func:`seeds_curve`.
    """
    if not isinstance(panels, Mapping):
        panels = {TITLES.get(figure, figure): [figure] for figure in panels}
    if not runs or not panels or not all(panels.values()):
        raise ValueError('Curves need at least one run and one figure for each panel: name some')
    columns = min(len(panels), 3)
    width = ONE_COLUMN if columns == 1 else TWO_COLUMNS
    figure, grid = new_figure(-(-len(panels) // columns), columns, width, 2.6 if columns < 3 else 2.2)
    mixed = any(len(names) > 1 for names in panels.values())
    axes = list(grid.flat)
    for panel, (title, names) in zip(axes, panels.items(), strict=False):
        _draw_panel(panel, runs, names, over)
        panel.set_title(label(title))
        if mixed:
            add_legend(panel)
    for empty in axes[len(panels) :]:
        empty.remove()
    if same_scale:
        lows, highs = zip(*(panel.get_ylim() for panel in axes[: len(panels)]), strict=True)
        margin = 0.04 * (max(highs) - min(lows))  # or the outermost points would be cut
        for panel in axes[: len(panels)]:
            panel.set_ylim(min(lows) - margin, max(highs) + margin)
    if not mixed:
        _add_shared_legend(figure, axes[: len(panels)])
    return figure


def _draw_panel(axes: Axes, runs: Runs, figures: Sequence[str], over: str) -> None:
    wanted = {
        figure: [name for name in runs if not lacking({name: runs[name]}, [figure])] for figure in figures
    }
    by_run = len(runs) > 1 or len(figures) == 1
    drawn = []
    for place, (figure, names) in enumerate(wanted.items()):
        if not names:
            seeds_curve([log for logs in runs.values() for log in logs], figure)  # which says what there is
        for name in names:
            parts = [name] * by_run + [figure] * (len(figures) > 1)
            again, colour = divmod([*runs].index(name) if by_run else place, len(PALETTE))
            # Where the colours have run out they come again with another line, and another point.
            look = dict(
                label=label(' '.join(parts)),
                color=PALETTE[colour],
                linestyle=LINE_STYLES[(place + again) % len(LINE_STYLES)],
                marker=_MARKERS[again % len(_MARKERS)],
            )
            drawn.append((seeds_curve(runs[name], figure, over), look))
    axes.set_xlabel(over)
    if all(len(curve.steps) == 1 for curve, _ in drawn):
        _draw_points(axes, drawn, over)
    else:
        for curve, look in drawn:
            _draw_curve(axes, curve, look)
    if CHANCE_OF in figures:
        _draw_chance(axes, [runs[name] for name in wanted[CHANCE_OF]], over)


def _draw_curve(axes: Axes, curve: Curve, look: Mapping[str, Any]) -> None:
    look = dict(look, marker=look['marker'] if len(curve.steps) <= _MOST_MARKED else '')
    axes.plot(curve.steps, curve.means, **look)
    if curve.deviations is not None:
        ends = zip(curve.means, curve.deviations, strict=True)
        low, high = zip(*((mean - deviation, mean + deviation) for mean, deviation in ends), strict=True)
        axes.fill_between(curve.steps, low, high, color=look['color'], alpha=0.2, linewidth=0)


def _draw_points(axes: Axes, drawn: Sequence[tuple[Curve, Mapping[str, Any]]], over: str) -> None:
    """What was measured once, side by side."""
    for place, (curve, look) in enumerate(drawn):
        axes.errorbar([place], curve.means, yerr=curve.deviations, capsize=2, **look)
    steps = sorted({curve.steps[0] for curve, _ in drawn})
    axes.set_xticks([])
    axes.set_xlim(-0.7, len(drawn) - 0.3)
    axes.set_xlabel(f'after {" or ".join(f"{step:g}" for step in steps)} {over}s')


def _draw_chance(axes: Axes, runs: Sequence[Sequence[RunLog]], over: str) -> None:
    """The loss of models that know nothing; levels that differ by less than a line's width as one."""
    drawn: list[float] = []
    for logs in runs:
        if not all(CHANCE in log.scalars for log in logs):
            continue
        curve = seeds_curve(logs, CHANCE, over)
        level = statistics.fmean(curve.means)
        if any(math.isclose(level, other, rel_tol=0.01) for other in drawn):
            continue
        drawn.append(level)
        look = dict(color=GREY, linestyle=LINE_STYLES[2], label='chance' if len(drawn) == 1 else '_')
        axes.plot(curve.steps, curve.means, **look)


def _add_shared_legend(figure: Figure, axes: Sequence[Axes]) -> None:
    handles = {}
    for panel in axes:
        for handle, name in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    if len(handles) > 1:
        room = _LEGEND_WIDTH * figure.get_figwidth() / (max(map(len, handles)) + 7)
        columns = max(1, min(len(handles), int(room)))
        figure.legend(handles=[*handles.values()], loc='outside upper center', ncols=columns)
