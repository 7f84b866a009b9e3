"""StrongAugment: what it draws, the official code's images, the array conventions, the errors."""

import random
from collections import Counter

import numpy as np
import pytest
import torch
from clsa_mm.datasets.transforms.strong_ops import OPERATIONS
from mmengine.registry import TRANSFORMS
from PIL import Image, ImageEnhance, ImageOps

from clsa_mm.datasets.transforms.strong_augment import OFFICIAL_POOL, PAPER_POOL, StrongAugment


def make_image() -> np.ndarray:
    """A noisy colour gradient, uint8 RGB, of unequal sides."""
    y, x = np.mgrid[:61, :84]
    noise = np.random.default_rng(0).normal(0, 12, (61, 84, 3))
    return np.clip(np.stack([2 * x + 20, 3 * y + 10, 180 - x - y], -1) + noise, 0, 255).astype(np.uint8)


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
    np.random.seed(0)
    transform = StrongAugment(num_ops=draws, prob=1.0, policy=policy)
    magnitudes: dict[str, list[float]] = {}
    for name, magnitude in transform.draw():
        magnitudes.setdefault(name, []).append(magnitude)
    return magnitudes


def test_official_policy_makes_the_official_images() -> None:
    """Every image the official code can make of an operation, and no other."""
    magnitudes = drawn_magnitudes('official', 5000)
    img = Image.fromarray(make_image())
    expected: dict[str, set[bytes]] = {}
    for level in range(1, 10):
        for sign in (-1, 1):
            for name, result in official_calls(img, level, sign).items():
                expected.setdefault(name, set()).add(result.tobytes())
    actual = {
        name: {OPERATIONS[name](img, magnitude).tobytes() for magnitude in set(values)}
        for name, values in magnitudes.items()
    }
    assert actual == expected


def test_official_levels_are_equally_likely() -> None:
    magnitudes = drawn_magnitudes('official', 20000)
    assert magnitudes.keys() == OFFICIAL_POOL.keys()
    for name in ('ShearX', 'TranslateY', 'Rotate'):
        counts = Counter(np.round(magnitudes[name], 6))
        assert len(counts) == 18  # nine levels, two signs
        assert min(counts.values()) > 0.5 * len(magnitudes[name]) / 18
        assert max(counts.values()) < 1.5 * len(magnitudes[name]) / 18
    assert len(Counter(np.round(magnitudes['Sharpness'], 6))) == 9


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


def test_paper_magnitudes_fill_the_ranges_of_table_1() -> None:
    magnitudes = drawn_magnitudes('paper', 20000)
    assert magnitudes.keys() == TABLE_1.keys() == PAPER_POOL.keys()
    for name, bounds in TABLE_1.items():
        values = np.array(magnitudes[name])
        if bounds is None:
            continue
        low, high = bounds
        width = high - low
        assert low <= values.min() <= low + 0.02 * width
        assert high >= values.max() >= high - 0.02 * width
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.04 * width)
    bits = Counter(magnitudes['Posterize'])
    assert sorted(bits) == [4, 5, 6, 7, 8]
    assert min(bits.values()) > 0.15 * sum(bits.values())


@pytest.mark.parametrize('policy', ['paper', 'official'])
def test_draws_are_uniform_with_replacement(policy: str) -> None:
    np.random.seed(0)
    draws = [StrongAugment(prob=1.0, policy=policy).draw() for _ in range(4000)]
    assert all(len(ops) == 5 for ops in draws)
    counts = Counter(name for ops in draws for name, _ in ops)
    assert len(counts) == 14
    assert all(count == pytest.approx(20000 / 14, rel=0.12) for count in counts.values())
    repeats = np.mean([len({name for name, _ in ops}) < 5 for ops in draws])
    assert repeats == pytest.approx(1 - 14 * 13 * 12 * 11 * 10 / 14**5, abs=0.03)


@pytest.mark.parametrize('prob', [0.0, 0.5, 1.0])
def test_each_drawn_operation_is_applied_with_prob(prob: float) -> None:
    np.random.seed(0)
    transform = StrongAugment(prob=prob)
    applied = np.array([len(transform.draw()) for _ in range(4000)])
    assert applied.mean() == pytest.approx(5 * prob, abs=0.06)
    assert applied.var() == pytest.approx(5 * prob * (1 - prob), abs=0.08)


def test_defaults_are_the_papers() -> None:
    transform = TRANSFORMS.build(dict(type='StrongAugment'))
    assert repr(transform) == ("StrongAugment(num_ops=5, prob=0.5, policy='paper', channel_order='bgr')")


@pytest.mark.parametrize('policy', ['paper', 'official'])
def test_transform_applies_what_it_draws_in_that_order(policy: str) -> None:
    image = make_image()
    transform = StrongAugment(policy=policy, channel_order='rgb')
    for seed in range(20):
        np.random.seed(seed)
        result = transform(dict(img=image.copy()))['img']
        np.random.seed(seed)
        expected = Image.fromarray(image)
        for name, magnitude in transform.draw():
            expected = OPERATIONS[name](expected, magnitude)
        np.testing.assert_array_equal(result, np.asarray(expected))


def test_bgr_and_rgb_agree() -> None:
    rgb = make_image()
    for seed in range(20):
        np.random.seed(seed)
        from_rgb = StrongAugment(channel_order='rgb')(dict(img=rgb))['img']
        np.random.seed(seed)
        from_bgr = StrongAugment()(dict(img=np.ascontiguousarray(rgb[..., ::-1])))['img']
        np.testing.assert_array_equal(from_bgr[..., ::-1], from_rgb)


def test_output_is_a_new_writable_contiguous_array_and_input_is_kept() -> None:
    image = make_image()
    for prob in (0.0, 1.0):
        source = image[:, ::-1]  # not contiguous, as after a flip
        result = StrongAugment(prob=prob)(dict(img=source))['img']
        assert result.flags.c_contiguous and result.flags.writeable
        assert not np.shares_memory(result, source)
        np.testing.assert_array_equal(source, make_image()[:, ::-1])
    np.testing.assert_array_equal(StrongAugment(num_ops=0)(dict(img=image))['img'], image)


def test_randomness_is_numpys_alone() -> None:
    image = make_image()
    states = random.getstate(), torch.get_rng_state()
    transform = StrongAugment(prob=1.0)
    np.random.seed(3)
    first = transform(dict(img=image))['img']
    assert random.getstate() == states[0] and torch.equal(torch.get_rng_state(), states[1])
    np.random.seed(3)
    np.testing.assert_array_equal(transform(dict(img=image))['img'], first)
    assert (transform(dict(img=image))['img'] != first).any()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(num_ops=-1), r'num_ops must be a whole number >= 0 .*got -1'),
        (dict(num_ops=2.5), r'num_ops must be a whole number >= 0 .*got 2.5'),
        (dict(prob=1.5), r'prob must be in \[0, 1\] .*got 1.5'),
        (dict(prob=float('nan')), r'prob must be in \[0, 1\] .*got nan'),
        (dict(policy='randaugment'), r"policy must be one of \['official', 'paper'\]"),
        (dict(channel_order='grb'), r"channel_order must be 'bgr' or 'rgb', got 'grb'"),
    ],
)
def test_wrong_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StrongAugment(**arguments)


@pytest.mark.parametrize('shape', [(32, 32), (32, 32, 1), (32, 32, 4), (32, 32, 13)])
def test_other_channel_counts_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match='three-channel.*grey images as colour.*RandomFlip'):
        StrongAugment()(dict(img=np.zeros(shape, dtype=np.uint8)))


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(ValueError, match='uint8 values .*float32.*before any normalisation'):
        StrongAugment()(dict(img=np.zeros((32, 32, 3), dtype=np.float32)))
