"""MoCo v2's recipe: pixels against torchvision on PIL images, draws against torchvision's distributions."""

import re

import numpy as np
import pytest
import torch
import torchvision.transforms as T
import torchvision.transforms.functional as F
from photos import photo, to_bgr, to_pil
from PIL import Image, ImageFilter, ImageOps
from scipy.stats import chisquare, ks_2samp, kstest

from clsa_mm.datasets.views import RECIPES
from clsa_mm.datasets.views import photometric as ours
from clsa_mm.datasets.views.recipes import MoCoV2Draw, MoCoV2Recipe
from clsa_mm.datasets.views.without_ipp import without_ipp

DRAWS = 6000
ADJUST = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
NAMES = ('brightness', 'contrast', 'saturation', 'hue')


@pytest.fixture(scope='module')
def draws() -> list[MoCoV2Draw]:
    rng = np.random.default_rng(0)
    return [MoCoV2Recipe().draw(rng) for _ in range(DRAWS)]


def assert_close(actual: np.ndarray, expected: Image.Image, mean: float, most: float) -> None:
    assert actual.dtype == np.uint8
    error = np.abs(actual - to_bgr(expected))
    assert error.mean() <= mean and error.max() <= most, (error.mean(), error.max())


@pytest.fixture(params=[(96, 120), (33, 7)])
def image(request: pytest.FixtureRequest) -> np.ndarray:
    return photo(*request.param, seed=1)


@pytest.mark.parametrize('factor', [0.0, 0.6, 0.77, 1.0, 1.23, 1.4])
def test_factors_equal_torchvision(image: np.ndarray, factor: float) -> None:
    before = image.copy()
    assert_close(ours.adjust_brightness(image, factor), F.adjust_brightness(to_pil(image), factor), 0.01, 1)
    assert_close(ours.adjust_contrast(image, factor), F.adjust_contrast(to_pil(image), factor), 0.5, 1)
    assert_close(ours.adjust_saturation(image, factor), F.adjust_saturation(to_pil(image), factor), 0.01, 1)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize('shift', [-0.5, -0.1, -0.041, 0.003, 0.05, 0.1, 0.5])
def test_hue_is_close_to_torchvision(image: np.ndarray, shift: float) -> None:
    """PIL cuts hue and saturation to 255 levels each; two of them are 12 levels of a pure colour."""
    before, expected = image.copy(), F.adjust_hue(to_pil(image), shift)
    assert_close(ours.adjust_hue(image, shift), expected, 1, 12)
    with without_ipp():  # as views are made
        assert_close(ours.adjust_hue(image, shift), expected, 1, 12)
    np.testing.assert_array_equal(image, before)


def test_hue_of_pure_colours() -> None:
    """A third of a turn makes red green, green blue and blue red; grey has no hue."""
    colours = np.array([[[0, 0, 255], [0, 255, 0], [255, 0, 0], [99, 99, 99], [0, 0, 0]]], np.uint8)
    turned = ours.adjust_hue(colours, 1 / 3)
    expected = np.array([[[0, 255, 0], [255, 0, 0], [0, 0, 255], [99, 99, 99], [0, 0, 0]]])
    assert np.abs(turned - expected).max() <= 6  # a 255th of a turn


def test_grey_equals_torchvision(image: np.ndarray) -> None:
    assert_close(ours.grayscale(image), F.to_grayscale(to_pil(image), 3), 0.01, 1)


@pytest.mark.parametrize('sigma', [0.1, 0.25, 0.333, 0.7, 1.0, 1.41, 1.42, 2.0])
def test_blur_is_close_to_pil(sigma: float) -> None:
    """PIL rounds after each of its six passes, and repeats the border anew in each."""
    image = photo(96, 120, seed=1)
    actual = ours.gaussian_blur(image, sigma)
    expected = to_pil(image).filter(ImageFilter.GaussianBlur(sigma))
    assert_close(actual, expected, 1, 60)
    inner = np.s_[7:-7, 7:-7]
    assert np.abs(actual - to_bgr(expected))[inner].max() <= 3


def test_blur_kernels_are_symmetric_to_the_last_bit() -> None:
    """OpenCV has a fast way for these alone."""
    for sigma in np.linspace(0.1, 2.0, 191):
        kernel = ours._blur_kernel(round(sigma, 2))
        assert (kernel == kernel[::-1]).all() and kernel.sum() == pytest.approx(1, abs=1e-12)


def test_jitter_in_any_order_is_close_to_torchvision(image: np.ndarray, draws: list[MoCoV2Draw]) -> None:
    """One mean grey that rounds the other way is one level, on all pixels, after each of four steps."""
    for draw in draws[:40]:
        expected = to_pil(image)
        for step, magnitude in draw.jitter:
            expected = ADJUST[step](expected, magnitude)
        only_jitter = draw._replace(grey=False, blur_sigma=None, flip=False)
        assert_close(MoCoV2Recipe().apply(image, only_jitter), expected, 1.5, 24)


def test_steps_are_applied_in_the_official_order(image: np.ndarray) -> None:
    draw = MoCoV2Draw(jitter=[(3, 0.1), (0, 0.7)], grey=True, blur_sigma=1.0, flip=True, solarize=True)
    steps = [lambda i: F.adjust_hue(i, 0.1), lambda i: F.adjust_brightness(i, 0.7)]
    steps += [lambda i: F.to_grayscale(i, 3), lambda i: i.filter(ImageFilter.GaussianBlur(1.0))]
    steps += [lambda i: ImageOps.solarize(i, 128), F.hflip]
    expected = to_pil(image)
    for step in steps:
        expected = step(expected)
    assert_close(MoCoV2Recipe().apply(image, draw), expected, 1, 30)


def test_nothing_drawn_changes_nothing(image: np.ndarray) -> None:
    recipe = MoCoV2Recipe(jitter_prob=0.0, grey_prob=0.0, blur_prob=0.0, flip_prob=0.0)
    np.testing.assert_array_equal(recipe(image, np.random.default_rng(0)), image)


# Draws.


def test_probabilities(draws: list[MoCoV2Draw]) -> None:
    rates = dict(jitter=0.8, grey=0.2, blur_sigma=0.5, flip=0.5)
    for name, rate in rates.items():
        happened = sum(getattr(draw, name) not in (None, False, []) for draw in draws)
        assert chisquare([happened, DRAWS - happened], [rate * DRAWS, (1 - rate) * DRAWS]).pvalue > 1e-3


def test_jitter_follows_torchvisions_distribution(draws: list[MoCoV2Draw]) -> None:
    """All 24 orders, and each magnitude."""
    torch.manual_seed(0)
    official = T.ColorJitter(0.4, 0.4, 0.4, 0.1)
    limits = official.brightness, official.contrast, official.saturation, official.hue
    expected = np.array([official.get_params(*limits)[1:] for _ in range(DRAWS)])
    jitters = [draw.jitter for draw in draws if draw.jitter]
    for step in range(4):
        magnitudes = [dict(jitter)[step] for jitter in jitters]
        assert ks_2samp(magnitudes, expected[:, step]).pvalue > 1e-3
        assert magnitudes[0] != pytest.approx(expected[0, step])
    orders = [tuple(step for step, _ in jitter) for jitter in jitters]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 24 and chisquare(counts).pvalue > 1e-3


def test_blur_radius_is_uniform(draws: list[MoCoV2Draw]) -> None:
    sigmas = [draw.blur_sigma for draw in draws if draw.blur_sigma is not None]
    assert kstest(sigmas, 'uniform', args=(0.1, 1.9)).pvalue > 1e-3


def test_steps_are_drawn_independently(draws: list[MoCoV2Draw]) -> None:
    happened = np.array([[bool(d.jitter), d.grey, d.blur_sigma is not None, d.flip] for d in draws])
    correlation = np.corrcoef(happened.T) - np.eye(4)
    assert np.abs(correlation).max() < 4 / np.sqrt(DRAWS)


def test_spreads_of_zero_leave_steps_out_as_torchvision_does() -> None:
    recipe = MoCoV2Recipe(jitter_prob=1.0, brightness=0.0, hue=0.0)
    assert {step for step, _ in recipe.draw(np.random.default_rng(0)).jitter} == {1, 2}
    strong = MoCoV2Recipe(jitter_prob=1.0, contrast=2.0)  # torchvision's factor is not below 0
    rng = np.random.default_rng(0)
    factors = [dict(strong.draw(rng).jitter)[1] for _ in range(500)]
    assert kstest(factors, 'uniform', args=(0, 3)).pvalue > 1e-3


def test_registered_with_the_papers_defaults() -> None:
    assert RECIPES.get('mocov2') is MoCoV2Recipe
    numbers = 'jitter_prob=0.8, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, grey_prob=0.2'
    assert numbers + ', blur_prob=0.5, blur_sigma=(0.1, 2.0), flip_prob=0.5' in repr(MoCoV2Recipe())


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(jitter_prob=1.2), 'recipe.jitter_prob must be a number in [0, 1], got 1.2'),
        (dict(hue=0.6), 'recipe.hue must be a number in [0, 0.5], got 0.6'),
        (dict(contrast=-1), 'recipe.contrast must be a number in [0, 1000], got -1'),
        (dict(blur_sigma=(2.0, 0.1)), 'recipe.blur_sigma must be (low, high)'),
        (dict(blur_sigma=(0.0, 1.0)), 'recipe.blur_sigma must be (low, high)'),
    ],
)
def test_wrong_numbers(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        MoCoV2Recipe(**arguments)


# MoCo v1.


def test_mocov1_is_grey_before_jitter_as_in_the_official_code(image: np.ndarray) -> None:
    draw = MoCoV2Draw(jitter=[(3, 0.3), (1, 0.7), (0, 1.3)], grey=True, blur_sigma=None, flip=True)
    expected = F.to_grayscale(to_pil(image), 3)
    for step, magnitude in draw.jitter:
        expected = ADJUST[step](expected, magnitude)
    actual = RECIPES.get('mocov1')().apply(image, draw)
    assert_close(actual, F.hflip(expected), 1.5, 3)
    assert (actual == actual[..., :1]).all()  # a jittered hue colours no grey


def test_mocov1_follows_torchvisions_distribution() -> None:
    """``ColorJitter(0.4, 0.4, 0.4, 0.4)`` of every image, no blur."""
    rng = np.random.default_rng(0)
    draws = [RECIPES.get('mocov1')().draw(rng) for _ in range(2000)]
    assert all(len(draw.jitter) == 4 and draw.blur_sigma is None for draw in draws)
    for step, limits in enumerate(T.ColorJitter(0.4, 0.4, 0.4, 0.4).__dict__[name] for name in NAMES):
        magnitudes = [dict(draw.jitter)[step] for draw in draws]
        assert kstest(magnitudes, 'uniform', args=(limits[0], limits[1] - limits[0])).pvalue > 1e-3
    for name, rate in dict(grey=0.2, flip=0.5).items():
        happened = sum(getattr(draw, name) for draw in draws)
        assert chisquare([happened, 2000 - happened], [rate * 2000, (1 - rate) * 2000]).pvalue > 1e-3


# BYOL, SimCLR and AutoAugment.


def test_solarizing_changes_no_draw_where_it_is_off_and_has_its_probability() -> None:
    plain, byol = MoCoV2Recipe(), MoCoV2Recipe(solarize_prob=0.2)
    draws = [byol.draw(np.random.default_rng(seed)) for seed in range(DRAWS)]
    happened = sum(draw.solarize for draw in draws)
    assert chisquare([happened, DRAWS - happened], [0.2 * DRAWS, 0.8 * DRAWS]).pvalue > 1e-3
    for seed, draw in enumerate(draws[:50]):
        rng = np.random.default_rng(seed)
        without = plain.draw(rng)
        assert without[:3] == draw[:3] and not without.solarize
        rng = np.random.default_rng(seed)
        assert without == MoCoV2Recipe(solarize_prob=0.0).draw(rng)


@pytest.mark.parametrize(('strength', 'factor', 'hue'), [(1, 0.8, 0.2), (0.125, 0.1, 0.025), (2.5, 2.0, 0.5)])
def test_strength_of_simclrs_colours(strength: float, factor: float, hue: float) -> None:
    """The numbers of appendix A, in full and at an eighth; what the recipe does is the recipe of MoCo v2."""
    expected = MoCoV2Recipe(brightness=factor, contrast=factor, saturation=factor, hue=hue)
    assert RECIPES.get('simclr')(strength=strength) == expected
    settings = dict(jitter_prob=0.1, grey_prob=0.3, blur_prob=0.6, blur_sigma=(1.0, 1.5), flip_prob=0.7)
    recipe = RECIPES.get('simclr')(strength=0, **settings)
    assert recipe == MoCoV2Recipe(brightness=0, contrast=0, saturation=0, hue=0, **settings)


@pytest.mark.parametrize('policy', ['imagenet', 'cifar10'])
def test_autoaugment_is_torchvisions(image: np.ndarray, policy: str) -> None:
    """Whose randomness is the view's: nothing else is drawn from, and the flip comes after it."""
    recipe = RECIPES.get('autoaugment')(policy=policy)
    official = T.AutoAugment(T.AutoAugmentPolicy(policy), fill=[128, 128, 128])
    before = image.copy()
    results = []
    for seed in range(20):
        torch.manual_seed(123)
        result = recipe(image, np.random.default_rng(seed))
        assert torch.equal(torch.rand(2), torch.rand(2, generator=torch.Generator().manual_seed(123)))
        rng = np.random.default_rng(seed)
        torch.manual_seed(int(rng.integers(2**63)))
        expected = official(to_pil(image))
        expected = F.hflip(expected) if rng.random() < 0.5 else expected
        assert result.dtype == np.uint8
        np.testing.assert_array_equal(result, to_bgr(expected))
        results.append(result.tobytes())
    assert len(set(results)) > 10
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ('kind', 'arguments', 'message'),
    [
        (
            'simclr',
            dict(strength=3),
            'recipe.strength must be a number in [0, 2.5] (the paper',
        ),
        ('simclr', dict(blur_prob=2), 'recipe.blur_prob must be a number in [0, 1], got 2'),
        ('mocov2', dict(solarize_prob=-0.1), 'recipe.solarize_prob must be a number in [0, 1]'),
        (
            'autoaugment',
            dict(policy='imagnet'),
            "unknown name 'imagnet'; did you mean 'imagenet'",
        ),
        ('autoaugment', dict(flip_prob=2), 'recipe.flip_prob must be a number in [0, 1], got 2'),
    ],
)
def test_wrong_numbers_of_other_recipes(kind: str, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        RECIPES.get(kind)(**arguments)
