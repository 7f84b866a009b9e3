"""Bars against numpy.histogram."""

import numpy as np
import pytest

from clsa_mm.visualization.scores import PROBABILITIES, draw_score_histograms


def network(seed: int, **changes) -> dict:
    rng = np.random.default_rng(seed)
    roles = {role: {name: rng.random(400) for name in PROBABILITIES} for role in ('weak', 'strong')}
    roles['strong'] |= changes
    return roles


def bars(axes) -> dict:
    return {patch.get_label(): patch.get_data() for patch in axes.patches if patch.get_label()}


def test_bars_are_counts_over_common_bins():
    networks = {'random': network(0), '$CLSA$': network(1)}
    figure = draw_score_histograms(networks, bank_size=8)
    assert len(figure.axes) == 4 and figure.axes[2].get_title('left') == r'\$CLSA\$'
    for axes, (roles, name) in zip(
        figure.axes, [(roles, name) for roles in networks.values() for name in PROBABILITIES], strict=True
    ):
        both = np.concatenate([roles['weak'][name], roles['strong'][name]])
        low, high = np.quantile(both, [0.005, 0.995])
        for role, values in roles.items():
            counts, edges = np.histogram(np.clip(values[name], low, high), bins=50, range=(low, high))
            found = bars(axes)[role]
            np.testing.assert_array_equal(found.values, counts)
            np.testing.assert_allclose(found.edges, edges)
            assert found.values.sum() == 400  # nothing is left out
    chance = [line.get_xdata()[0] for axes in figure.axes for line in axes.get_lines()]
    assert chance == [1 / 8, 1 / 8]  # where positive probabilities are
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ['weak', 'strong', '1/M']


def test_values_that_are_all_the_same():
    same = {role: {name: np.full(5, 0.25) for name in PROBABILITIES} for role in ('weak', 'strong')}
    figure = draw_score_histograms(dict(a=same))
    assert bars(figure.axes[0])['weak'].values.tolist() == [5] + [0] * 49


def test_a_quantity_that_lacks():
    networks = dict(a=dict(weak=dict(positive_score=[1.0])))
    with pytest.raises(ValueError, match='a has no positive_probability of weak .*; it has positive_score'):
        draw_score_histograms(networks)


@pytest.mark.parametrize('values', [[1.0, float('nan')], []])
def test_values_that_cannot_be_counted(values):
    with pytest.raises(ValueError, match='of strong queries has values that are not finite, or none'):
        draw_score_histograms(dict(a=network(0, positive_probability=values)))
