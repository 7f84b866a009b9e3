"""InfoMin's recipe: draws against its official tables, pixels against PIL step by step."""

import re
from collections import Counter

import numpy as np
import pytest
import torchvision.transforms.functional as F
from photos import photo, to_bgr, to_pil
from PIL import ImageEnhance, ImageFilter, ImageOps
from scipy.stats import chisquare, ks_1samp, norm

from clsa_mm.datasets.views import RECIPES, InfoMinRecipe, build_views
from clsa_mm.datasets.views.infomin import RAND_AUGMENT, InfoMinDraw
from clsa_mm.datasets.views.recipes import MoCoV2Draw

DRAWS = 6000
NOTHING = MoCoV2Draw([], False, None, False)
# PyContrast's level_to_arg functions, transcribed, and whether they negate every second one.
OFFICIAL = {
    **dict.fromkeys(['AutoContrast', 'Equalize', 'Invert'], (lambda level: 0, False)),
    'Rotate': (lambda level: level / 10 * 30.0, True),
    'Posterize': (lambda level: int(level / 10 * 4), False),
    'Solarize': (lambda level: int(level / 10 * 256), False),
    'SolarizeAdd': (lambda level: int(level / 10 * 110), False),
    **dict.fromkeys(
        ['Color', 'Contrast', 'Brightness', 'Sharpness'], (lambda level: level / 10 * 1.8 + 0.1, False)
    ),
    **dict.fromkeys(['ShearX', 'ShearY'], (lambda level: level / 10 * 0.3, True)),
    **dict.fromkeys(['TranslateX', 'TranslateY'], (lambda level: level / 10 * 0.45, True)),
}


@pytest.fixture(scope='module')
def draws() -> list[InfoMinDraw]:
    rng = np.random.default_rng(0)
    return [InfoMinRecipe().draw(rng) for _ in range(DRAWS)]


def test_two_operations_of_fifteen_each_with_probability_a_half(draws: list[InfoMinDraw]) -> None:
    assert set(RAND_AUGMENT) == set(OFFICIAL) and len(OFFICIAL) == 15
    numbers = Counter(len(draw.ops) for draw in draws)
    assert chisquare([numbers[n] for n in range(3)], [DRAWS / 4, DRAWS / 2, DRAWS / 4]).pvalue > 1e-3
    names = Counter(name for draw in draws for name, _ in draw.ops)
    assert len(names) == 15 and chisquare(list(names.values())).pvalue > 1e-3


@pytest.mark.parametrize('name', OFFICIAL)
@pytest.mark.parametrize('level', [0.0, 3.3, 9.6, 10.0])
def test_magnitudes_are_the_official_ones(name: str, level: float) -> None:
    expected, signed = OFFICIAL[name]
    recipe, rng = (
        InfoMinRecipe(num_ops=400, op_prob=1.0, level=level, level_std=0.0),
        np.random.default_rng(0),
    )
    found = {magnitude for other, magnitude in recipe.draw(rng).ops if other == name}
    wanted = {expected(level), -expected(level)} if signed else {expected(level)}
    assert sorted(found) == pytest.approx(sorted(wanted), abs=1e-12)


def test_levels_are_normal_and_cut(draws: list[InfoMinDraw]) -> None:
    factors = np.array([m for draw in draws for name, m in draw.ops if name in ('Color', 'Contrast')])
    levels = (factors - 0.1) / 1.8 * 10
    top = np.isclose(levels, 10)
    assert chisquare([top.sum(), (~top).sum()]).pvalue > 1e-3
    below = lambda x: 2 * norm(10, 0.5).cdf(x)  # noqa: E731  of those that are not cut
    assert ks_1samp(levels[~top], below).pvalue > 1e-3


def test_colours_and_probabilities(draws: list[InfoMinDraw]) -> None:
    jitters = [dict(draw.before.jitter) for draw in draws if draw.before.jitter]
    spread = [max(abs(jitter[step]) for jitter in jitters) for step in range(4)]
    assert spread == pytest.approx([1.8, 1.8, 1.8, 0.2], abs=0.01)
    rates = dict(jitter=(0.8, lambda d: d.before.jitter), blur=(0.5, lambda d: d.before.blur_sigma))
    rates |= dict(grey=(0.2, lambda d: d.grey), flip=(0.5, lambda d: d.before.flip))
    for rate, happened in rates.values():
        count = sum(bool(happened(draw)) for draw in draws)
        assert chisquare([count, DRAWS - count], [rate * DRAWS, (1 - rate) * DRAWS]).pvalue > 1e-3
    assert not any(draw.before.grey for draw in draws)


def test_steps_are_applied_in_the_official_order() -> None:
    """Jitter, blur, the operations, grey; a flip may come anywhere before operations without direction."""
    image = photo(96, 120, seed=1)
    draw = InfoMinDraw(
        MoCoV2Draw([(0, 1.4), (2, 0.5)], False, 1.2, True), [('Posterize', 3), ('Color', 1.9)], True
    )
    expected = F.adjust_saturation(F.adjust_brightness(to_pil(image), 1.4), 0.5)
    expected = F.hflip(expected.filter(ImageFilter.GaussianBlur(1.2)))
    expected = ImageEnhance.Color(ImageOps.posterize(expected, 3)).enhance(1.9)
    actual = InfoMinRecipe().apply(image, draw, np.random.default_rng(0))
    error = np.abs(actual.astype(int) - to_bgr(F.to_grayscale(expected, 3)))
    assert error.mean() < 1.5  # three bits of a level that rounds the other way are 32
    other = InfoMinRecipe().apply(image, draw._replace(ops=draw.ops[::-1]), np.random.default_rng(0))
    assert np.abs(other.astype(int) - actual).mean() > 3


def test_nothing_drawn_changes_nothing() -> None:
    image = photo(33, 7, seed=1)
    unchanged = InfoMinRecipe().apply(image, InfoMinDraw(NOTHING, [], False), np.random.default_rng(0))
    np.testing.assert_array_equal(unchanged, image)


def test_a_config_names_it() -> None:
    crop = dict(size=32, area=(0.2, 1.0), recipe=dict(type='infomin', num_ops=3))
    views = build_views(dict(key=crop, weak=crop))
    assert RECIPES.get('infomin') is InfoMinRecipe
    assert [view.recipe for view in views] == [InfoMinRecipe(num_ops=3)] * 2
    first, again = (views[0](photo(60, 80, seed=0), np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (32, 32, 3) and first.dtype == np.uint8


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(num_ops=-1), 'recipe.num_ops must be a whole number >= 0, got -1'),
        (dict(op_prob=1.5), 'recipe.op_prob must be a number in [0, 1], got 1.5'),
        (dict(level=11), 'recipe.level must be a number in [0, 10], got 11'),
        (dict(level_std=-1), 'recipe.level_std must be a number in [0, 1000], got -1'),
        (dict(hue=0.6), 'recipe.hue must be a number in [0, 0.5], got 0.6'),
    ],
)
def test_wrong_numbers(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        InfoMinRecipe(**arguments)
