"""The views of the base config against MoCo v2's: torchvision's transforms on PIL images."""

from collections.abc import Callable
from pathlib import Path
from types import MethodType

import numpy as np
import pytest
import torch
import torchvision.transforms as T
import torchvision.transforms.functional as F
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import TRANSFORMS
from PIL import Image, ImageFilter
from scipy.stats import kstest

from clsa_mm.datasets.transforms import StrongAugment

CONFIG = Path(__file__).parents[2] / 'configs' / 'clsa_r50_8xb32_200e.py'
SIZES = {'weak': 224, 'strong': 96}
SCALES = {'weak': (0.2, 1.0), 'strong': (0.086, 0.429)}
ROLES = pytest.mark.parametrize('role', ['weak', 'strong'])


def build_view(role: str) -> list[Callable]:
    """The transforms of the config's weak or strong view."""
    weak, strong = Config.fromfile(CONFIG).train_pipeline[1].transforms
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return [TRANSFORMS.build(t) for t in (weak if role == 'weak' else strong)]


def photo(height: int, width: int, seed: int) -> np.ndarray:
    """An RGB image with edges, gradients, saturated colours and noise."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)
    image = np.asarray(Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC))
    image = image.astype(float) + rng.normal(0, 12, image.shape)
    image[height // 3 : height // 2, : width // 2] = (250, 5, 60)
    return np.clip(image, 0, 255).astype(np.uint8)


def run(transforms: list[Callable], rgb: np.ndarray) -> np.ndarray:
    """Apply to an RGB array what expects BGR, and return RGB."""
    results = dict(img=np.ascontiguousarray(rgb[..., ::-1]))
    for transform in transforms:
        results = transform(results)
    return np.asarray(results['img'])[..., ::-1]


def pinned(transform: Callable, **values: object) -> Callable:
    """Make drawing methods return given values."""
    for method, value in values.items():
        setattr(transform, method, MethodType(lambda self, *args, value=value: value, transform))
    return transform


def names(transforms: list[Callable]) -> list[str]:
    wrapped = (getattr(t, 't', t) for t in transforms)
    return [type(t).__name__ for t in wrapped]


@ROLES
def test_order_is_the_official_one(role: str) -> None:
    moco = ['RandomResizedCrop', 'NumpyToPIL', 'RandomApply', 'RandomGrayscale', 'PILToNumpy']
    moco += ['GaussianBlur', 'RandomFlip']
    assert names(build_view(role)) == moco + (['StrongAugment'] if role == 'strong' else [])


@ROLES
@pytest.mark.parametrize('height, width', [(375, 500), (60, 45), (300, 300)])
def test_crop_equals_torchvision(role: str, height: int, width: int) -> None:
    """Reducing and enlarging; PIL's bilinear filter is the antialiased one."""
    crop, rgb = build_view(role)[0], photo(height, width, seed=0)
    for seed in range(5):
        np.random.seed(seed)
        top, left, h, w = crop.rand_crop_params(rgb)
        np.random.seed(seed)
        expected = F.resized_crop(Image.fromarray(rgb), top, left, h, w, [SIZES[role]] * 2)
        np.testing.assert_array_equal(run([crop], rgb), np.asarray(expected))


@ROLES
@pytest.mark.parametrize('height, width', [(375, 500), (400, 120)])
def test_crop_boxes_follow_torchvisions_distribution(role: str, height: int, width: int) -> None:
    rgb, image = photo(height, width, seed=0), torch.empty(3, height, width)
    np.random.seed(0)
    torch.manual_seed(0)
    official = T.RandomResizedCrop(SIZES[role], scale=SCALES[role])
    crop = build_view(role)[0]
    boxes = np.array([crop.rand_crop_params(rgb) for _ in range(3000)])
    expected = np.array([official.get_params(image, official.scale, official.ratio) for _ in range(3000)])
    for quantity in (0, 1, 2, 3):
        assert kstest(boxes[:, quantity], expected[:, quantity]).statistic < 0.04
    assert kstest(boxes[:, 2] * boxes[:, 3], expected[:, 2] * expected[:, 3]).statistic < 0.04


def official_augmentation(sigma: float | None, flip: bool) -> list[Callable]:
    """MoCo v2's steps after the crop; the random ones draw from torch's generator."""
    steps = [T.ColorJitter(0.4, 0.4, 0.4, 0.1), T.RandomGrayscale(p=0.2)]
    if sigma is not None:
        steps.append(lambda img: img.filter(ImageFilter.GaussianBlur(radius=sigma)))
    return [*steps, F.hflip] if flip else steps


@ROLES
def test_augmentation_equals_torchvision_bit_for_bit(role: str) -> None:
    """From one state of torch's generator, with the other draws dictated."""
    transforms, rgb = build_view(role)[1:7], photo(96, 120, seed=1)
    for seed in range(20):
        sigma, flip = (None, 0.1, 0.7, 2.0)[seed % 4], seed % 3 == 0
        pinned(transforms[1], random_apply=True)
        pinned(transforms[4], random_disable=sigma is None, random_magnitude=sigma)
        pinned(transforms[5], _choose_direction='horizontal' if flip else None)
        torch.manual_seed(seed)
        actual = run(transforms, rgb)
        torch.manual_seed(seed)
        expected = Image.fromarray(rgb)
        for step in official_augmentation(sigma, flip):
            expected = step(expected)
        np.testing.assert_array_equal(actual, np.asarray(expected))


@ROLES
def test_steps_are_as_frequent_as_the_official_ones(role: str) -> None:
    _, to_pil, jitter, grey, to_numpy, blur, flip = build_view(role)[:7]
    steps = [
        (0.8, [to_pil, jitter, to_numpy]),
        (0.2, [to_pil, grey, to_numpy]),
        (0.5, [blur]),
        (0.5, [flip]),
    ]
    rgb = photo(12, 12, seed=2)
    np.random.seed(0)
    torch.manual_seed(0)
    for probability, transforms in steps:
        changed = [(run(transforms, rgb) != rgb).any() for _ in range(1500)]
        assert np.mean(changed) == pytest.approx(probability, abs=0.05)


@ROLES
def test_blur_radius_is_uniform(role: str) -> None:
    np.random.seed(0)
    blur = build_view(role)[5]
    radii = [blur.random_magnitude() for _ in range(3000)]
    assert kstest(radii, 'uniform', args=(0.1, 1.9)).statistic < 0.03


def test_strong_view_has_the_papers_operations() -> None:
    assert repr(build_view('strong')[-1]) == repr(StrongAugment(5, 0.5, 'paper', 'bgr'))


@ROLES
def test_size_of_a_view(role: str) -> None:
    assert run(build_view(role), photo(120, 100, seed=0)).shape == (SIZES[role], SIZES[role], 3)
