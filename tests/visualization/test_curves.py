"""Lines, bands and points against hand values."""

import sys

import numpy as np
import pytest
from tool_modules import load_tool
from written_runs import write_run

from clsa_mm.visualization import draw_curves, read_run
from clsa_mm.visualization.curves import SCORE_FIGURES, lacking, read_named_runs, seeds_curve


def line_of(axes, name):
    (line,) = (line for line in axes.get_lines() if line.get_label() == name)
    return [list(map(float, values)) for values in line.get_data()]


@pytest.fixture
def runs(tmp_path):
    """Two seeds of a, of which one has a step more, and one of b."""
    write_run(
        tmp_path / 'a0', dict(loss_contrastive=[(10, 4.0), (20, 2.0)], chance_level=[(10, 5.0), (20, 5.0)]), 5
    )
    more = [(10, 6.0), (20, 3.0), (30, 1.0)]
    write_run(tmp_path / 'a1', dict(loss_contrastive=more, chance_level=[(10, 5.0), (20, 5.0)]), 5)
    b = {
        'loss_contrastive': [(5, 7.0), (15, 8.0)],
        'chance_level': [(5, 5.04), (15, 5.04)],
        'knn/top1': [(15, 30.0)],
    }
    write_run(tmp_path / 'b', b)
    return read_named_runs([f'a={tmp_path}/a0', f'a={tmp_path}/a1', f'{tmp_path}/b'])


def test_mean_and_band_over_seeds(runs):
    figure = draw_curves(runs, ['loss_contrastive'])
    (axes,) = figure.axes
    assert line_of(axes, 'a') == [[10, 20], [5.0, 2.5]]
    assert line_of(axes, 'b') == [[5, 15], [7.0, 8.0]]
    (band,) = axes.collections  # one seed has none
    corners = {tuple(map(float, corner)) for corner in band.get_paths()[0].vertices.round(6)}
    high, low = 2**0.5, 0.5**0.5  # sample standard deviations of (4, 6) and (2, 3)
    expected = [(10, 5 - high), (10, 5 + high), (20, 2.5 - low), (20, 2.5 + low)]
    assert {tuple(np.round(corner, 6)) for corner in expected} <= corners
    assert axes.get_xlabel() == 'iteration'


def test_chance_once_where_levels_are_one_line(runs):
    """b's chance of 5.04 lies within a line's width of a's."""
    figure = draw_curves(runs, ['loss_contrastive'])
    assert line_of(figure.axes[0], 'chance') == [[10, 20], [5.0, 5.0]]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ['a', 'b', 'chance']


def test_other_levels_of_chance_are_lines_of_their_own(tmp_path):
    for name, level in (('a', 5.0), ('b', 8.0)):
        write_run(
            tmp_path / name, dict(loss_contrastive=[(1, 4.0)] * 1 + [(2, 3.0)], chance_level=[(1, level)])
        )
    figure = draw_curves({name: [read_run(tmp_path / name)] for name in 'ab'}, ['loss_contrastive'])
    levels = [line.get_ydata()[0] for line in figure.axes[0].get_lines() if len(line.get_ydata()) == 1]
    assert levels == [5.0, 8.0]


def test_over_epochs(runs):
    assert seeds_curve(runs['a'], 'loss_contrastive', 'epoch').steps == [2, 4]
    with pytest.raises(ValueError, match='b has no text log .* draw over iterations'):
        seeds_curve(runs['b'], 'loss_contrastive', 'epoch')


def test_what_was_measured_once_is_a_point_with_a_bar(tmp_path):
    for seed, value in enumerate((40.0, 44.0)):
        write_run(tmp_path / f'a{seed}', {'knn/top1': [(100, value)]})
    figure = draw_curves(read_named_runs([f'a={tmp_path}/a0', f'a={tmp_path}/a1']), ['knn/top1'])
    (axes,) = figure.axes
    (bars,) = axes.containers
    point, _, (bar,) = bars
    assert [list(values) for values in point.get_data()] == [[0], [42.0]]
    ends = bar.get_segments()[0][:, 1]
    assert ends.tolist() == pytest.approx([42 - 8**0.5, 42 + 8**0.5])
    assert axes.get_xlabel() == 'after 100 iterations' and axes.get_title() == 'kNN accuracy, %'


def test_a_name_without_a_figure_has_no_line(runs):
    figure = draw_curves(runs, ['loss_contrastive', 'knn/top1'])
    assert [container.get_label() for container in figure.axes[1].containers] == ['b']
    assert lacking(runs, ['loss_contrastive', 'knn/top1']) == {'a': ['knn/top1']}
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ['a', 'b', 'chance']


def test_several_figures_in_a_panel(runs):
    """Of one run they have names and colours, of several also the run's."""
    one = draw_curves(dict(b=runs['b']), {'two': ['loss_contrastive', 'chance_level'], '$k$': ['knn/top1']})
    assert line_of(one.axes[0], 'chance_level') == [[5, 15], [5.04, 5.04]]
    assert len({line.get_color() for line in one.axes[0].get_lines()}) == 3  # chance is one
    assert [axes.get_title() for axes in one.axes] == ['two', r'\$k\$']
    two = draw_curves(runs, {'two': ['loss_contrastive', 'chance_level']})
    assert line_of(two.axes[0], 'a chance_level') == [[10, 20], [5, 5]]


def test_more_runs_than_colours_are_told_apart(runs):
    many = {f'a run with a rather long name {i}': runs['b'] for i in range(9)}
    figure = draw_curves(many, ['loss_contrastive', 'knn/top1'])
    lines = [line for line in figure.axes[0].get_lines() if line.get_label() != 'chance']
    assert len({(line.get_color(), str(line.get_linestyle())) for line in lines}) == 9
    points = [container[0] for container in figure.axes[1].containers]
    assert len({(point.get_color(), point.get_marker()) for point in points}) == 9
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width  # nothing is cut off


def test_four_panels_leave_no_empty_axes(runs):
    figure = draw_curves(runs, {title: ['loss_contrastive'] for title in '1234'})
    assert len(figure.axes) == 4


def test_a_figure_that_no_run_has(runs):
    with pytest.raises(
        ValueError, match="a0 has logged no 'loss_dmd'; it has loss_contrastive, chance_level"
    ):
        draw_curves(runs, ['loss_dmd'])


def test_seeds_that_share_no_step(tmp_path):
    for step in (1, 2):
        write_run(tmp_path / f'{step}', dict(loss=[(step, 1.0)]))
    with pytest.raises(ValueError, match='at no common step: give them different names'):
        draw_curves({'a': [read_run(tmp_path / '1'), read_run(tmp_path / '2')]}, ['loss'])


def test_names(tmp_path):
    write_run(tmp_path / 'x=1', dict(loss=[(1, 1.0)]))
    assert [*read_named_runs([f'{tmp_path}/x=1', f'my run={tmp_path}/x=1'])] == ['x=1', 'my run']


@pytest.fixture
def tool():
    return load_tool('analysis_tools/plot_curves.py')


def test_tool(runs, tmp_path, tool, monkeypatch, capsys):
    arguments = [f'a={tmp_path}/a0', f'$b$={tmp_path}/b', '--figures', 'loss_contrastive', 'knn/top1']
    monkeypatch.setattr(sys, 'argv', ['plot_curves.py', *arguments, '--out', str(tmp_path / 'out.png')])
    tool.main()
    said = capsys.readouterr().out
    assert 'a has logged no knn/top1: no line of it there' in said and 'out.svg' in said
    assert (tmp_path / 'out.png').stat().st_size > 1000


def test_tool_without_scores(runs, tmp_path, tool, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['plot_curves.py', f'{tmp_path}/b', '--scores'])
    with pytest.raises(
        SystemExit, match=f"no '{SCORE_FIGURES[0]}'; it has loss_contrastive, chance_level, knn"
    ):
        tool.main()
