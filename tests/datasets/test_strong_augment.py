"""StrongAugment: a StrongPolicy as a transform, the array conventions, the errors."""

import random

import numpy as np
import pytest
import torch
from mmengine.registry import TRANSFORMS
from photos import photo

from clsa_mm.datasets.transforms import StrongAugment


def test_defaults_are_the_papers() -> None:
    transform = TRANSFORMS.build(dict(type='StrongAugment'))
    assert "num_ops=5, prob=0.5, policy='paper'" in repr(transform) and "'bgr'" in repr(transform)


def test_bgr_and_rgb_agree() -> None:
    rgb = photo(61, 84, seed=0)
    for seed in range(20):
        np.random.seed(seed)
        from_rgb = StrongAugment(channel_order='rgb')(dict(img=rgb))['img']
        np.random.seed(seed)
        from_bgr = StrongAugment()(dict(img=np.ascontiguousarray(rgb[..., ::-1])))['img']
        np.testing.assert_array_equal(from_bgr[..., ::-1], from_rgb)


def test_output_is_a_new_writable_contiguous_array_and_input_is_kept() -> None:
    image = photo(61, 84, seed=0)
    for prob in (0.0, 1.0):
        source = image[:, ::-1]  # not contiguous, as after a flip
        result = StrongAugment(prob=prob)(dict(img=source))['img']
        assert result.flags.c_contiguous and result.flags.writeable
        assert not np.shares_memory(result, source)
        np.testing.assert_array_equal(source, photo(61, 84, seed=0)[:, ::-1])
    np.testing.assert_array_equal(StrongAugment(num_ops=0)(dict(img=image))['img'], image)


def test_randomness_is_numpys_alone() -> None:
    image = photo(61, 84, seed=0)
    states = random.getstate(), torch.get_rng_state()
    transform = StrongAugment(prob=1.0)
    np.random.seed(3)
    first = transform(dict(img=image))['img']
    assert random.getstate() == states[0] and torch.equal(torch.get_rng_state(), states[1])
    np.random.seed(3)
    np.testing.assert_array_equal(transform(dict(img=image))['img'], first)
    assert (transform(dict(img=image))['img'] != first).any()


def test_wrong_channel_order() -> None:
    with pytest.raises(ValueError, match="channel_order must be 'bgr' or 'rgb', got 'grb'"):
        StrongAugment(channel_order='grb')


@pytest.mark.parametrize('shape', [(32, 32), (32, 32, 1), (32, 32, 4), (32, 32, 13)])
def test_other_channel_counts_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match='three-channel.*grey images as colour.*RandomFlip'):
        StrongAugment()(dict(img=np.zeros(shape, dtype=np.uint8)))


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(ValueError, match='uint8 values .*float32.*before any normalisation'):
        StrongAugment()(dict(img=np.zeros((32, 32, 3), dtype=np.float32)))
