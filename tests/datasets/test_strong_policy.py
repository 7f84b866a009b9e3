"""StrongPolicy: what it draws, the official code's images, additions to the pool, the errors."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import permutations

import numpy as np
import pytest
from photos import photo, to_bgr, to_pil
from PIL import Image, ImageEnhance, ImageOps
from scipy.stats import chisquare, kstest

from clsa_mm.datasets.views import STRONG_OPS, StrongPolicy

# The official policy: the authors' formulae, written as the PIL calls they come down to.


def official_calls(img: Image.Image, level: int, sign: int) -> dict[str, Image.Image]:
    def affine(*matrix: float) -> Image.Image:
        return img.transform(img.size, Image.Transform.AFFINE, matrix)

    shift = sign * level * 0.3 / 10
    factor = level * 0.9 / 10 + 0.05
    return {
        'AutoContrast': ImageOps.autocontrast(img),
        'Brightness': ImageEnhance.Brightness(img).enhance(factor),
        'Color': ImageEnhance.Color(img).enhance(factor),
        'Contrast': ImageEnhance.Contrast(img).enhance(factor),
        'Equalize': ImageOps.equalize(img),
        'Identity': img,
        'Posterize': ImageOps.posterize(img, int(level * 4 / 10) + 4),
        'Rotate': img.rotate(sign * int(level * 30 / 10)),
        'Sharpness': ImageEnhance.Sharpness(img).enhance(factor),
        'ShearX': affine(1, shift, 0, 0, 1, 0),
        'ShearY': affine(1, 0, 0, shift, 1, 0),
        'Solarize': ImageOps.solarize(img, 256 - int(level * 256 / 10)),
        'TranslateX': affine(1, 0, int(shift * img.size[0]), 0, 1, 0),
        'TranslateY': affine(1, 0, 0, 0, 1, int(shift * img.size[1])),
    }


def drawn_magnitudes(policy: str, draws: int) -> dict[str, list[float]]:
    magnitudes: dict[str, list[float]] = {}
    for name, magnitude in StrongPolicy(draws, 1.0, policy).draw(np.random.default_rng(0)):
        magnitudes.setdefault(name, []).append(magnitude)
    return magnitudes


def test_official_policy_makes_the_official_images() -> None:
    """Every image the official code can make of an operation, and no other."""
    magnitudes = drawn_magnitudes('official', 5000)
    image = photo(61, 84, seed=0)
    expected: dict[str, list[np.ndarray]] = {}
    for level in range(1, 10):
        for sign in (-1, 1):
            for name, result in official_calls(to_pil(image), level, sign).items():
                expected.setdefault(name, []).append(to_bgr(result))
    assert magnitudes.keys() == expected.keys()
    for name, values in magnitudes.items():
        actual = np.stack([STRONG_OPS.get(name)(image, m, None) for m in sorted(set(values))])
        differences = np.abs(actual[:, None] - np.stack(expected[name])).max(-1)  # ours, theirs, H, W
        if name in ('Rotate', 'ShearX', 'ShearY'):  # nearest neighbours at a tie, which a shear of 0.12 has
            same = (differences > 0).mean((2, 3)) <= 0.04
        else:  # roundings at a tie
            rounds = name in ('AutoContrast', 'Brightness', 'Color', 'Contrast', 'Sharpness')
            same = (differences.max((2, 3)) <= rounds) & (differences.mean((2, 3)) <= 0.5)
        assert same.any(0).all() and same.any(1).all(), name


def test_official_levels_are_equally_likely() -> None:
    magnitudes = drawn_magnitudes('official', 20000)
    for name in ('ShearX', 'TranslateY', 'Rotate'):
        counts = Counter(np.round(magnitudes[name], 6))
        assert len(counts) == 18 and chisquare(list(counts.values())).pvalue > 1e-3  # nine levels, two signs
    counts = Counter(np.round(magnitudes['Sharpness'], 6))
    assert len(counts) == 9 and chisquare(list(counts.values())).pvalue > 1e-3


# The paper's policy: Table 1, written out once more.

TABLE_1 = {
    'ShearX': (-0.3, 0.3),
    'ShearY': (-0.3, 0.3),
    'TranslateX': (-0.3, 0.3),
    'TranslateY': (-0.3, 0.3),
    'Rotate': (-30, 30),
    'AutoContrast': None,
    'Invert': None,
    'Equalize': None,
    'Solarize': (0, 256),
    'Posterize': (4, 8),
    'Contrast': (0.05, 0.95),
    'Color': (0.05, 0.95),
    'Brightness': (0.05, 0.95),
    'Sharpness': (0.05, 0.95),
}


def test_paper_magnitudes_are_uniform_in_the_ranges_of_table_1() -> None:
    magnitudes = drawn_magnitudes('paper', 20000)
    assert magnitudes.keys() == TABLE_1.keys()
    for name, bounds in TABLE_1.items():
        if bounds is not None and name != 'Posterize':
            low, high = bounds
            assert kstest(magnitudes[name], 'uniform', args=(low, high - low)).pvalue > 1e-3
    bits = Counter(magnitudes['Posterize'])
    assert sorted(bits) == [4, 5, 6, 7, 8] and chisquare(list(bits.values())).pvalue > 1e-3


@pytest.mark.parametrize('policy', ['paper', 'official'])
def test_draws_are_uniform_with_replacement(policy: str) -> None:
    rng = np.random.default_rng(0)
    draws = [StrongPolicy(prob=1.0, policy=policy).draw(rng) for _ in range(2000)]
    assert all(len(ops) == 5 for ops in draws)
    counts = Counter(name for ops in draws for name, _ in ops)
    assert len(counts) == 14 and chisquare(list(counts.values())).pvalue > 1e-3
    repeats = np.mean([len({name for name, _ in ops}) < 5 for ops in draws])
    assert repeats == pytest.approx(1 - 14 * 13 * 12 * 11 * 10 / 14**5, abs=0.03)


def test_draws_without_replacement_are_distinct_in_every_order_alike() -> None:
    """Of three operations two: the six ordered pairs are equally likely, magnitudes as before."""
    only = dict.fromkeys(TABLE_1.keys() - {'Invert', 'Rotate', 'Equalize'})
    policy, rng = StrongPolicy(2, 1.0, ops=only, replacement=False), np.random.default_rng(0)
    draws = [policy.draw(rng) for _ in range(3000)]
    pairs = Counter(tuple(name for name, _ in ops) for ops in draws)
    assert set(pairs) == set(permutations(['Invert', 'Rotate', 'Equalize'], 2))
    assert chisquare(list(pairs.values())).pvalue > 1e-3
    degrees = [magnitude for ops in draws for name, magnitude in ops if name == 'Rotate']
    assert kstest(degrees, 'uniform', args=(-30, 60)).pvalue > 1e-3


def test_without_replacement_each_is_still_applied_with_prob() -> None:
    rng, policy = np.random.default_rng(0), StrongPolicy(replacement=False)
    draws = [policy.draw(rng) for _ in range(4000)]
    applied = np.array([len(ops) for ops in draws])
    assert all(len({name for name, _ in ops}) == len(ops) for ops in draws)
    assert applied.mean() == pytest.approx(2.5, abs=0.06)
    assert applied.var() == pytest.approx(1.25, abs=0.08)


@pytest.mark.parametrize('prob', [0.0, 0.5, 1.0])
def test_each_drawn_operation_is_applied_with_prob(prob: float) -> None:
    rng, policy = np.random.default_rng(0), StrongPolicy(prob=prob)
    applied = np.array([len(policy.draw(rng)) for _ in range(4000)])
    assert applied.mean() == pytest.approx(5 * prob, abs=0.06)
    assert applied.var() == pytest.approx(5 * prob * (1 - prob), abs=0.08)


def test_operations_are_applied_in_the_order_drawn() -> None:
    image, policy = photo(20, 30, seed=0), StrongPolicy()
    rng = np.random.default_rng(0)
    solarized = policy.apply(image, [('Invert', 0.0), ('Solarize', 100.0), ('ShearX', 0.21)], rng)
    expected = ImageOps.solarize(ImageOps.invert(to_pil(image)), 100)
    expected = expected.transform(expected.size, Image.Transform.AFFINE, (1, 0.21, 0, 0, 1, 0))
    assert (solarized != to_bgr(expected)).any(-1).mean() <= 0.002


# Additions to the pool.


@pytest.fixture
def noise() -> Iterator[str]:
    """A registered operation with randomness of its own."""

    @STRONG_OPS.register_module(name='TestNoise')
    def noise(image: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
        return np.clip(image + rng.normal(0, magnitude, image.shape), 0, 255).astype(np.uint8)

    yield 'TestNoise'
    del STRONG_OPS.module_dict['TestNoise']


def test_pool_can_be_changed(noise: str) -> None:
    policy = StrongPolicy(4000, 1.0, ops={noise: (5.0, 9.0), 'Rotate': (10, 20), 'Invert': None})
    magnitudes: dict[str, list[float]] = {}
    for name, magnitude in policy.draw(np.random.default_rng(0)):
        magnitudes.setdefault(name, []).append(magnitude)
    assert magnitudes.keys() == TABLE_1.keys() - {'Invert'} | {noise}
    assert kstest(magnitudes[noise], 'uniform', args=(5, 4)).pvalue > 1e-3
    assert kstest(magnitudes['Rotate'], 'uniform', args=(10, 10)).pvalue > 1e-3
    official = StrongPolicy(2000, 1.0, 'official', {noise: (0.0, 10.0)}).draw(np.random.default_rng(0))
    assert {magnitude for name, magnitude in official if name == noise} == set(range(1, 10))


def test_operations_draw_from_the_generator_they_get(noise: str) -> None:
    image = photo(20, 30, seed=0)
    policy = StrongPolicy(1, 1.0, ops={noise: (20.0, 30.0), **dict.fromkeys(TABLE_1)})
    images = [policy(image, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert (images[0] == images[1]).all() and (images[0] != images[2]).any()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(num_ops=-1), r'num_ops must be a whole number >= 0 .*got -1'),
        (dict(num_ops=2.5), r'num_ops must be a whole number >= 0 .*got 2.5'),
        (dict(prob=1.5), r'prob must be a number in \[0, 1\] .*got 1.5'),
        (dict(prob=float('nan')), r'prob must be a number in \[0, 1\] .*got nan'),
        (dict(policy='offical'), r"policy: unknown name 'offical'; did you mean 'official'"),
        (dict(ops=dict(ShaerX=(0, 1))), r"ops: unknown name 'ShaerX'; did you mean 'ShearX'.*STRONG_OPS"),
        (dict(ops=dict(Rotate=30)), r'ops.Rotate must be \(low, high\), or None to leave it out, got 30'),
        (dict(ops=dict(Rotate=(1, 2, 3))), r'ops.Rotate must be \(low, high\)'),
        (dict(ops=dict(Rotate=('a', 3))), r"ops.Rotate must be \(low, high\).*got \('a', 3\)"),
        (dict(ops=dict(Rotate=(0, float('nan')))), r'ops.Rotate must be \(low, high\)'),
        (dict(ops=dict(Rotate=(30, 0))), r'ops.Rotate must be .* with low <= high, got \(30, 0\)'),
        (dict(ops=dict(Solarize=(256, 0))), r'ops.Solarize must be .* with low <= high'),
        (dict(ops=['Rotate']), r"ops must be a dict, name -> \(low, high\) or None, got \['Rotate'\]"),
        (dict(replacement='False'), r"replacement must be True \(the paper\) or False, got 'False'"),
        (dict(num_ops=15, replacement=False), r'num_ops=15 distinct .* a pool of 14: .*replacement=True'),
        (dict(ops=dict.fromkeys(TABLE_1)), r'leaves no operation to draw; num_ops=0'),
    ],
)
def test_wrong_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StrongPolicy(**arguments)


def test_the_official_solarize_may_run_downward() -> None:
    policy = StrongPolicy(policy='official', ops=dict(Solarize=(200, 50)))
    assert policy.pool['Solarize'] == (200, 50)


@pytest.mark.parametrize(
    ('operation', 'message'),
    [
        (lambda image: image, r'fails at magnitude 1: TypeError: .*positional arg'),
        (lambda image, magnitude, rng: image[:: int(magnitude)], r'into uint8 \(16, 48, 3\) at magnitude 2'),
        (lambda image, magnitude, rng: image * 0.5, r'into float64 \(32, 48, 3\) at magnitude 1'),
        (lambda image, magnitude, rng: None, r'into NoneType at magnitude 1'),
    ],
    ids=['signature', 'shape', 'type', 'nothing'],
)
def test_operations_that_break_the_contract_are_named(
    operation: Callable, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STRONG_OPS.module_dict, 'TestBroken', operation)
    message = f'ops.TestBroken .*{message}.*fn\\(image, magnitude, rng\\) -> image'
    with pytest.raises(ValueError, match=message):
        StrongPolicy(ops=dict(TestBroken=(1, 2)))
