"""What a report computes: neighbours, clusters, scores, ticks, escaping; and the contrast of its style."""

import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from clsa_mm.datasets.seeded_sampler import SeededIndex
from clsa_mm.datasets.transforms import MakeViews
from clsa_mm.reports.charts import Series, chart, histogram, ticks
from clsa_mm.reports.features import Encoder, Network
from clsa_mm.reports.images import list_images, whole_view
from clsa_mm.reports.markup import Markup, breakable, escaped, number, table, tag
from clsa_mm.reports.neighbourhoods import chance_of_same_class, clusters, maps, nearest, same_class
from clsa_mm.reports.scores import view_scores
from clsa_mm.reports.style import STYLE


def unit(rows: int, seed: int = 0) -> np.ndarray:
    features = np.random.default_rng(seed).normal(size=(rows, 8)).astype(np.float32)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def test_nearest_neighbours_are_scikit_learns():
    features, labels = unit(40), [f'c{i % 3}' for i in range(40)]
    right = 0
    for i in range(40):  # each image by the others
        others = [j for j in range(40) if j != i]
        knn = KNeighborsClassifier(1, metric='cosine').fit(features[others], [labels[j] for j in others])
        right += knn.predict(features[i : i + 1])[0] == labels[i]
    assert same_class(features, labels) == pytest.approx(100 * right / 40)
    places, cosines = nearest(features, 5)
    for i in range(40):
        by_hand = sorted((j for j in range(40) if j != i), key=lambda j: -features[i] @ features[j])[:5]
        assert places[i].tolist() == by_hand
        np.testing.assert_allclose(cosines[i], [features[i] @ features[j] for j in by_hand], rtol=1e-5)


def test_chance_counts_pairs():
    labels = ['a', 'a', 'a', 'b', 'b', 'c']
    same = [labels[i] == labels[j] for i in range(6) for j in range(6) if i != j]
    assert chance_of_same_class(labels) == pytest.approx(100 * sum(same) / len(same))


def test_clusters_find_what_lies_apart():
    centres = np.eye(8, dtype=np.float32)[:3]
    features = np.repeat(centres, 10, axis=0) + 0.02 * unit(30)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    found = clusters(features, 3, seed=0)
    assert [len(set(found[i : i + 10])) for i in (0, 10, 20)] == [1, 1, 1] and len(set(found)) == 3


class Umap:
    """Stands in for umap-learn's, which is optional: the first two dimensions."""

    def __init__(self, n_neighbors: int, random_state: int) -> None:
        self.settings = (n_neighbors, random_state)

    def fit_transform(self, features: np.ndarray) -> np.ndarray:
        assert self.settings == (min(15, len(features) - 1), 3)
        return features[:, :2]


@pytest.mark.parametrize('number', [10, 40])
def test_umap_is_shown_where_it_is_installed(monkeypatch, number):
    monkeypatch.setitem(sys.modules, 'umap', SimpleNamespace(UMAP=Umap))
    found = maps(unit(number), seed=3)
    assert list(found) == ['t-SNE', 'UMAP']
    np.testing.assert_array_equal(found['UMAP'], unit(number)[:, :2])


def test_three_images_are_too_few_for_umap(monkeypatch):
    monkeypatch.setitem(sys.modules, 'umap', SimpleNamespace(UMAP=None))
    assert list(maps(unit(3), seed=3)) == ['t-SNE']


class Pooled(nn.Module):
    """The mean colour of each image."""

    def forward(self, images):
        return images.mean((2, 3))


def test_scores_are_those_of_the_views_pair_by_pair():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (12, 14, 3), np.uint8) // (i + 1) for i in range(3)]
    crop = dict(size=6, area=(0.2, 1.0))
    views = dict(key=crop, weak=crop, strong=dict(size=4, area=(0.1, 0.5), num_ops=2, num_views=2))
    network = Network(Pooled())
    mean, std = (110.0, 120.0, 130.0), (50.0, 60.0, 70.0)
    found = view_scores(Encoder(network, network, None, mean, std, 6), images, views, seed=3)

    def vector(view):
        values = [(view[..., 2 - c].mean() - mean[c]) / std[c] for c in range(3)]
        return np.array(values) / np.linalg.norm(values)

    drawn = [
        MakeViews(views).transform(dict(img=image, sample_idx=SeededIndex(i, (3, 0, i))))['img']
        for i, image in enumerate(images)
    ]
    for role, place in (('weak', 1), ('strong', 2)):
        for i in range(3):
            query = vector(drawn[i][place])
            assert found[role].positive[i] == pytest.approx(query @ vector(drawn[i][0]), abs=1e-5)
            others = [query @ vector(drawn[j][0]) for j in range(3) if j != i]
            np.testing.assert_allclose(found[role].negative[i], others, atol=1e-5)


def test_projection_is_moco_v2s_neck():
    from mmpretrain.models import MoCoV2Neck

    from clsa_mm.reports.features import _projection

    neck = MoCoV2Neck(5, 7, 3, with_avg_pool=False)
    state = {f'neck.{name}': value for name, value in neck.state_dict().items()}
    features = torch.randn(4, 5)
    torch.testing.assert_close(_projection(state, 'neck.')(features), neck([features])[0])
    assert _projection(state | {'neck.bn.weight': torch.ones(1)}, 'neck.') is None


def test_histogram_is_numpys():
    values = np.random.default_rng(0).uniform(-1, 1, 200)
    counts, edges = np.histogram(values, 10, (-1, 1))
    found = histogram(values.tolist(), -1.0, 1.0, 10)
    np.testing.assert_allclose([share for _, share in found], counts / 200)
    np.testing.assert_allclose([middle for middle, _ in found], (edges[1:] + edges[:-1]) / 2)


@pytest.mark.parametrize(
    ('low', 'high', 'expected'),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-3, 41, [0, 10, 20, 30, 40]),
        (1e-7, 3e-7, [1e-7, 1.5e-7, 2e-7, 2.5e-7, 3e-7]),
    ],
)
def test_ticks_are_round(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_a_long_curve_is_drawn_of_means():
    points = [(i, float(i % 2)) for i in range(1200)]  # 0 and 1 by turns: means of four are a half
    drawn = chart('Curve', [Series('a', points, 0)], 'x')
    (path,) = re.findall(r'd="(M[^"]*)" class="line', drawn)
    assert path.count('L') == 299 and len({pair.split()[1] for pair in path[1:].split('L')}) == 1


def test_the_name_of_a_level_stands_above_the_curve_that_comes_near_to_it():
    svg = chart('t', [Series('a', [(0, 1.0), (1, 3.9)], 0)], 'x', references=dict(chance=4.0))
    ((line, name),) = re.findall(r'd="M50 ([\d.]+)H388" class="reference".*?y="([\d.]+)"[^>]*>chance', svg)
    assert float(name) < float(line)


def test_what_is_no_markup_is_escaped_and_nothing_twice():
    inner = tag('b', '<&>"', title="a'b\udce9\n")
    assert inner == '<b title="a&#x27;b\\udce9\\n">&lt;&amp;&gt;&quot;</b>'
    assert tag('p', inner) == f'<p>{inner}</p>' and escaped(Markup('<i>')) == '<i>'
    assert breakable('a_<b') == 'a_<wbr>&lt;b' and breakable('ab') == 'ab'
    assert '<td>&lt;i&gt;</td>' in table('t', ['a', 'b'], [('x', '<i>')])


def test_numbers_are_short():
    assert [number(v) for v in (50000, 0.29134, 8.0, -1.5e-7, True, 'x')] == [
        '50,000', '0.2913', '8', '-1.5e-07', 'True', 'x',
    ]  # fmt: skip


def test_classes_are_the_first_folders_where_all_images_lie_in_some(image_root, tmp_path):
    found = list_images(image_root / 'test')
    assert sorted(set(found.labels)) == ['circle', 'cross', 'square'] and len(found.paths) == 24
    assert list_images(image_root / 'test' / 'cross').labels is None  # flat
    with pytest.raises(FileNotFoundError, match='no image in .*name the images with --data'):
        list_images(tmp_path)
    with pytest.raises(
        FileNotFoundError, match='no folder .*nothing.*from the folder that the training ran in'
    ):
        list_images(tmp_path / 'nothing')


def test_a_whole_view_is_the_middle():
    image = np.zeros((32, 64, 3), np.uint8)
    image[:, 16:48] = 200
    assert (whole_view(image, 32) == 200).all()
    assert whole_view(np.zeros((300, 500, 3), np.uint8), 224).shape == (224, 224, 3)


def luminance(colour: str) -> float:
    """Relative luminance by WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_contrast_is_that_of_wcag_aa(scheme):
    """4.5 for text, 3 for lines: success criteria 1.4.3 and 1.4.11."""
    block = re.search(rf'#scheme-{scheme}:checked\)\{{(.*?)\}}', STYLE)[1]
    colours = dict(re.findall(r'--(\w+):(#\w{6})', block))
    for panel in ('page', 'panel'):
        for text in ('ink', 'muted', 'accent', 'good', 'bad'):
            assert contrast(colours[text], colours[panel]) >= 4.5, (text, panel)
    assert contrast(colours['panel'], colours['accent']) >= 4.5  # the chosen button
    for i in range(7):
        assert contrast(colours[f's{i}'], colours['panel']) >= 3, f's{i}'
