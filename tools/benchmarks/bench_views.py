"""Images per second and core, from file to sample, beside torchvision, mmpretrain and the authors' code.

Every pipeline reads, decodes and augments the same files in one process with one thread. Repetitions take
turns, so that what slows the machine down slows all of them; the fastest of each counts, in CPU time. Then
follow the time of each of our operations and how far crops are from PIL's.

    python tools/benchmarks/bench_views.py --data data/imagenet/val --official path/to/the/official/code
"""

import argparse
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault('OMP_NUM_THREADS', '1')

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

import cv2
import mmpretrain
import numpy as np
import torch
import torchvision.transforms as T
from mmcv.transforms import Compose
from mmengine import fileio
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from clsa_mm.datasets import ImageFolder, SeededIndex
from clsa_mm.datasets.transforms.decode_image import decode_image
from clsa_mm.datasets.transforms.make_views import to_planes
from clsa_mm.datasets.views import View, build_views
from clsa_mm.datasets.views.crop import draw_box, resize_box
from clsa_mm.datasets.views.randomness import ViewGenerator
from clsa_mm.datasets.views.without_ipp import without_ipp

Make = Callable[[int, int], Any]
"""(index of an image, repetition) -> a sample."""

WEAK = dict(size=224, area=(0.2, 1.0))
STRONG = dict(size=96, area=(0.086, 0.429), num_ops=5)
FIVE = dict(
    num_views=5,
    size=(224, 192, 160, 128, 96),
    area=((0.2, 1.0), (0.172, 0.86), (0.143, 0.715), (0.114, 0.571), (0.086, 0.429)),
)
RECIPES: dict[str, dict[str, dict]] = {
    'MoCo v2': dict(key=WEAK, weak=WEAK),
    'CLSA-Single': dict(key=WEAK, weak=WEAK, strong=STRONG),
    'CLSA-Multi': dict(key=WEAK, weak=FIVE, strong=dict(FIVE, num_ops=5)),
}
STEPS = ('brightness', 'contrast', 'saturation', 'hue')  # of colour jitter
NORMALIZE = [T.ToTensor(), T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', required=True, help='folder of images')
    parser.add_argument('--official', help="checkout of the authors' code")
    parser.add_argument('--num', type=int, default=200, help='images per repetition')
    parser.add_argument('--repeat', type=int, default=5)
    parser.add_argument('--recipes', nargs='+', choices=RECIPES, default=list(RECIPES))
    return parser.parse_args(argv)


def ours(data: str, views: dict[str, dict]) -> Make:
    """The data set as in training."""
    dataset = ImageFolder(data, views=views)
    return lambda index, repetition: dataset[SeededIndex(index, (0, repetition, index))]


def from_pil(paths: list[str], views: Sequence[Callable[[Image.Image], Any]]) -> Make:
    """Transforms of a PIL image, one for each view."""

    def make(index: int, repetition: int) -> list:
        with Image.open(paths[index]) as file:
            image = file.convert('RGB')
        return [view(image) for view in views]

    return make


def torchvision_view(view: View) -> T.Compose:
    """MoCo v2's view by torchvision's own transforms; strong operations are left out."""
    jitter = T.RandomApply([T.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8)
    blur = T.RandomApply([T.GaussianBlur(13, (0.1, 2.0))], p=0.5)
    crop = T.RandomResizedCrop(view.size, scale=view.area)
    return T.Compose([crop, jitter, T.RandomGrayscale(0.2), blur, T.RandomHorizontalFlip(), *NORMALIZE])


def mmpretrain_moco(paths: list[str]) -> Make:
    """The pipeline of mmpretrain's config of MoCo v2."""
    base = Path(mmpretrain.__file__).parent / '.mim/configs/_base_/datasets/imagenet_bs32_mocov2.py'
    steps = Config.fromfile(base).train_dataloader.dataset.pipeline
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        pipeline = Compose([TRANSFORMS.build(step) for step in steps])
    return lambda index, repetition: pipeline(dict(img_path=paths[index]))


def official(path: str, paths: list[str], recipe: str) -> dict[str, Make]:
    """The authors' transforms: all views they make, and for CLSA-Single also the three they use."""
    sys.path.insert(0, path)
    from data_processing.Multi_FixTransform import Multi_Fixtransform

    sizes, areas = ((224, 96), ((0.2, 1.0), (0.086, 0.429)))
    if recipe == 'CLSA-Multi':
        sizes, areas = FIVE['size'], FIVE['area']
    low, high = zip(*areas, strict=True)
    made = Multi_Fixtransform(sizes, [1] * len(sizes), low, high, NORMALIZE[1], 5)
    if recipe == 'MoCo v2':
        return {"authors' transforms": from_pil(paths, [made.weak, made.weak])}
    pipelines = {"authors' code": from_pil(paths, [made])}
    if recipe == 'CLSA-Single':  # key, weak 224, weak 96, strong 224, strong 96
        used = [made.trans[view] for view in (0, 1, 4)]
        pipelines["authors' code, used views"] = from_pil(paths, used)
    return pipelines


def measure(pipelines: dict[str, Make], num: int, repeat: int) -> dict[str, float]:
    """Return the CPU time per image in ms of the fastest repetition of each."""
    best = dict.fromkeys(pipelines, float('inf'))
    for repetition in range(repeat):
        for name, make in pipelines.items():
            start = time.process_time()
            for index in range(num):
                make(index, repetition)
            best[name] = min(best[name], (time.process_time() - start) / num * 1e3)
    return best


class Clock:
    """Adds up the CPU time of steps by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.times: dict[str, int] = defaultdict(int)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time what is inside."""
        start = time.process_time()
        yield
        self.seconds[name] += time.process_time() - start
        self.times[name] += 1


@without_ipp()
def budget(paths: list[str], views: dict[str, dict]) -> Clock:
    """Time each operation of our pipeline on the same images."""
    clock, generator, built = Clock(), ViewGenerator(), build_views(views)
    for index, path in enumerate(paths):
        with clock('read'):
            data = fileio.get(path)
        with clock('decode'):
            image = decode_image(data)
        for v, view in enumerate(built):
            with clock('draw'):
                rng = generator.at(SeededIndex(index, (0, 0, index)), v)
                box = draw_box(*image.shape[:2], view.area, view.ratio, rng)
                draw = view.recipe.draw(rng)
            with clock(f'crop to {view.size}'):
                pixels = resize_box(image, box, view.size)
            steps = [(STEPS[s], draw._replace(jitter=[(s, m)])) for s, m in draw.jitter]
            steps += [('grey', draw)] * draw.grey + [('flip', draw)] * draw.flip
            steps += [('blur', draw)] * (draw.blur_sigma is not None)
            for name, step in steps:
                only = step._replace(
                    jitter=step.jitter if name in STEPS else [],
                    grey=name == 'grey',
                    blur_sigma=draw.blur_sigma if name == 'blur' else None,
                    flip=name == 'flip',
                )
                with clock(name):
                    pixels = view.recipe.apply(pixels, only)
            if view.strong.num_ops:
                with clock('strong operations'):
                    pixels = view.strong(pixels, rng)
            with clock('pack'):
                to_planes(pixels)
    return clock


def crop_error(paths: list[str], views: dict[str, dict]) -> np.ndarray:
    """Return the mean absolute difference from PIL's antialiased resizing, in levels of 255, of each crop."""
    rng, errors = np.random.default_rng(0), []
    for path in paths:
        image = decode_image(fileio.get(path))
        for view in build_views(views):
            box = draw_box(*image.shape[:2], view.area, view.ratio, rng)
            part = Image.fromarray(image[box.top : box.top + box.height, box.left : box.left + box.width])
            expected = np.asarray(part.resize((view.size, view.size), Image.Resampling.BILINEAR))
            errors.append(np.abs(resize_box(image, box, view.size).astype(int) - expected).mean())
    return np.array(errors)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables."""
    args = parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    folder = ImageFolder(args.data)
    num = min(args.num, len(folder))
    paths = [folder.get_data_info(index)['img_path'] for index in range(num)]
    for recipe in args.recipes:
        views = RECIPES[recipe]
        pipelines = {'clsa_mm': ours(args.data, views)}
        pipelines['torchvision'] = from_pil(paths, [torchvision_view(view) for view in build_views(views)])
        if recipe == 'MoCo v2':
            pipelines['mmpretrain'] = mmpretrain_moco(paths)
        if args.official:
            pipelines |= official(args.official, paths, recipe)
        times = measure(pipelines, num, args.repeat)
        print(f'\n{recipe}, {num} images, fastest of {args.repeat}')
        for name, milliseconds in times.items():
            ratio = milliseconds / times['clsa_mm']
            print(f'  {name:28s}{1e3 / milliseconds:8.1f} img/s {milliseconds:8.2f} ms   ours: {ratio:.2f}x')
        clock = budget(paths, views)
        print('  of which ms per image (calls):')
        for name, seconds in clock.seconds.items():
            print(f'    {name:26s}{1e3 * seconds / num:8.3f} ({clock.times[name] / num:.1f})')
        errors = crop_error(paths, views)
        print(f'  crops differ from PIL by {errors.mean():.3f}/255 on average, {errors.max():.3f} at most')


if __name__ == '__main__':
    main()
