"""Views of images of any size from 1 x 1 up, by any number, against PIL: sizes, pixels, determinism."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis.extra import numpy as hnp
from photos import to_bgr, to_pil
from PIL import Image, ImageEnhance, ImageOps

from clsa_mm.datasets import SeededIndex
from clsa_mm.datasets.transforms import MakeViews
from clsa_mm.datasets.views import RECIPES, STRONG_OPS
from clsa_mm.datasets.views.crop import Box, draw_box, resize_box
from clsa_mm.datasets.views.photometric import _blur_kernel, gaussian_blur
from clsa_mm.datasets.views.strong_policy import POOL_TABLE

EDGES = st.integers(1, 12) | st.integers(1, 2000)
SMALL = st.integers(1, 12)


@st.composite
def pictures(draw: st.DrawFn, edges: st.SearchStrategy[int] = SMALL) -> np.ndarray:
    """Noise, one colour, or few levels, at most 50 000 pixels, of extreme ratios too."""
    height = draw(edges)
    width = min(draw(edges), 50_000 // height)
    levels = draw(st.sampled_from([[0], [255], [0, 255], range(256)]))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    return rng.choice(np.asarray(levels, np.uint8), (height, width, 3))


@st.composite
def ranges(draw: st.DrawFn, low: float, high: float) -> tuple[float, float]:
    return tuple(sorted(draw(st.tuples(st.floats(low, high), st.floats(low, high)))))


@given(EDGES, EDGES, ranges(1e-6, 1.0), ranges(1e-3, 1e3), st.integers(0, 99))
@example(20, 1, (0.5, 1.0), (10.0, 20.0), 0)  # the central part of that ratio would have no row
@example(1, 20, (0.5, 1.0), (0.1, 0.2), 0)
def test_boxes_lie_in_the_image(height, width, area, ratio, seed):
    box = draw_box(height, width, area, ratio, np.random.default_rng(seed))
    assert box.height >= 1 and box.width >= 1 and box.top >= 0 and box.left >= 0
    assert box.top + box.height <= height and box.left + box.width <= width


@given(pictures(EDGES), st.integers(1, 64), st.data())
def test_resized_boxes_are_pils(image, size, data):
    top, left = (data.draw(st.integers(0, edge - 1)) for edge in image.shape[:2])
    height, width = (
        data.draw(st.integers(1, edge - start))
        for edge, start in zip(image.shape[:2], (top, left), strict=True)
    )
    before = image.copy()
    part = to_pil(image).crop((left, top, left + width, top + height))
    expected = to_bgr(part.resize((size, size), Image.Resampling.BILINEAR))
    actual = resize_box(image, Box(top, left, height, width), size)
    assert actual.dtype == np.uint8 and actual.shape == (size, size, 3)
    assert np.abs(actual.astype(int) - expected).max() <= 2
    assert np.array_equal(image, before)


@given(pictures(EDGES), st.data(), st.integers(0, 3), st.integers(0, 3))
def test_views_of_any_image(image, data, num_weak, num_strong):
    """As many views of the sizes asked for as are asked for, the same each time, and the image as before."""
    num_strong = num_strong or 1 - min(num_weak, 1)
    counts = dict(key=1, weak=num_weak, strong=num_strong)
    sizes = {
        role: data.draw(st.lists(st.integers(1, 40), min_size=n, max_size=n)) for role, n in counts.items()
    }
    recipes = dict(key='mocov2', weak=data.draw(st.sampled_from([*RECIPES.module_dict])), strong='mocov1')
    views = {
        role: dict(
            num_views=counts[role],
            size=sizes[role] or 1,
            area=data.draw(ranges(1e-3, 1.0)),
            ratio=data.draw(ranges(1e-3, 1e3)),
            recipe=dict(type=recipes[role]),
        )
        for role in counts
    }
    views['strong'] |= dict(num_ops=8, prob=1.0, policy=data.draw(st.sampled_from(['paper', 'official'])))
    before, make = image.copy(), MakeViews(views)
    index = SeededIndex(0, data.draw(st.tuples(*[st.integers(0, 2**40)] * 3)))
    results, again = (make.transform(dict(img=image, sample_idx=index)) for _ in range(2))
    assert results['view_roles'] == [role for role, n in counts.items() for _ in range(n)]
    wanted = [(size, size, 3) for role in counts for size in sizes[role]]
    assert [view.shape for view in results['img']] == wanted
    assert all(view.dtype == np.uint8 for view in results['img'])
    assert all(np.array_equal(a, b) for a, b in zip(results['img'], again['img'], strict=True))
    assert np.array_equal(image, before)


PIL_OPS = dict(
    AutoContrast=lambda image, _: ImageOps.autocontrast(image),
    Invert=lambda image, _: ImageOps.invert(image),
    Identity=lambda image, _: image,
    Equalize=lambda image, _: ImageOps.equalize(image),
    Solarize=lambda image, magnitude: ImageOps.solarize(image, magnitude),
    Posterize=lambda image, magnitude: ImageOps.posterize(image, int(magnitude)),
    Contrast=lambda image, magnitude: ImageEnhance.Contrast(image).enhance(magnitude),
    Color=lambda image, magnitude: ImageEnhance.Color(image).enhance(magnitude),
    Brightness=lambda image, magnitude: ImageEnhance.Brightness(image).enhance(magnitude),
    Sharpness=lambda image, magnitude: ImageEnhance.Sharpness(image).enhance(magnitude),
    TranslateX=lambda image, magnitude: image.transform(
        image.size, Image.Transform.AFFINE, (1, 0, int(magnitude * image.size[0]), 0, 1, 0)
    ),
    TranslateY=lambda image, magnitude: image.transform(
        image.size, Image.Transform.AFFINE, (1, 0, 0, 0, 1, int(magnitude * image.size[1]))
    ),
)


@pytest.mark.parametrize('name', PIL_OPS)
@given(image=pictures(), data=st.data())
def test_strong_operations_of_any_image_are_pils(name, image, data):
    """At most a level off, at any magnitude of the tables' ranges, on a single pixel too."""
    limits = POOL_TABLE[name].paper or POOL_TABLE[name].official
    magnitude = data.draw(st.floats(*map(float, limits)))
    before = image.copy()
    actual = STRONG_OPS.get(name)(image, magnitude, np.random.default_rng(0))
    expected = to_bgr(PIL_OPS[name](to_pil(image), magnitude))
    assert actual.shape == image.shape and actual.dtype == np.uint8
    assert np.abs(actual.astype(int) - expected).max() <= 1
    assert np.array_equal(image, before)


@pytest.mark.parametrize('name', ['ShearX', 'ShearY', 'Rotate'])
@given(image=pictures(), data=st.data())
def test_moved_pixels_are_those_of_the_image_or_black(name, image, data):
    magnitude = data.draw(st.floats(*POOL_TABLE[name].paper))
    moved = STRONG_OPS.get(name)(image, magnitude, np.random.default_rng(0))
    known = {(0, 0, 0), *map(tuple, image.reshape(-1, 3).tolist())}
    assert moved.shape == image.shape and {*map(tuple, moved.reshape(-1, 3).tolist())} <= known
    still = STRONG_OPS.get(name)(image, 0.0, np.random.default_rng(0))
    assert np.array_equal(still, image)


@given(st.floats(0.3, 300))
def test_blur_has_the_variance_that_is_asked_for(sigma):
    """Less the ends that are cut off, which are negligible."""
    kernel = _blur_kernel(round(sigma, 2))
    places = np.arange(len(kernel)) - len(kernel) // 2
    assert kernel.sum() == pytest.approx(1) and np.array_equal(kernel, kernel[::-1])
    assert (kernel * places**2).sum() == pytest.approx(sigma**2, rel=0.1, abs=0.02)


@given(hnp.arrays(np.uint8, 3), SMALL, SMALL, st.floats(0.01, 1000))
def test_blur_of_one_colour_is_that_colour(colour, height, width, sigma):
    image = np.broadcast_to(colour, (height, width, 3)).copy()
    assert np.abs(gaussian_blur(image, sigma).astype(int) - image).max() <= 1
