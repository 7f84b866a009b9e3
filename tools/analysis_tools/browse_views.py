"""Draw the views of images: ``python tools/analysis_tools/browse_views.py CONFIG``; see ``--help``.

A row is an image in one epoch: the original, then its views with their roles, at their own sizes. Rows from
the training set show the very views that training with this seed sees, where the data set has ``views``, or
its pipeline MakeViews or SeededMultiView.
"""

import argparse
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.registry import DATASETS, TRANSFORMS, init_default_scope
from PIL import Image, ImageDraw

from clsa_mm.datasets import SeededIndex
from clsa_mm.datasets.transforms import LoadImage, MakeViews
from clsa_mm.engine.options import OptionsAction
from clsa_mm.engine.settings import load_config
from clsa_mm.printable import printable

MARGIN = 8  # pixels between pictures
LINE = 14  # pixels of a line of text
SMALLEST_PICTURE = 160  # pixels; sets the zoom where none is given

BACKGROUND = (214, 222, 230)  # neither black nor white, which views may hold at their borders

Row = tuple[str, list[Image.Image]]
Transform = Callable[[dict], dict]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Draw the views that a pretraining config makes')
    parser.add_argument('config', help='path of the config')
    source = parser.add_mutually_exclusive_group()
    source.add_argument('--image', nargs='+', default=[], help='image files to take the views of')
    source.add_argument(
        '--num', type=int, default=4, help='images, evenly spaced in the training set (default 4)'
    )
    parser.add_argument('--draws', type=int, default=1, help='epochs to show of every image')
    parser.add_argument('--seed', type=int, help="seed of the run (default: the config's, or 0)")
    parser.add_argument('--zoom', type=int, help='enlargement (default: 1, more for small views)')
    parser.add_argument('--out', default='work_dirs/views.png', help='picture to write')
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, help='override the config: key=value'
    )
    args = parser.parse_args(argv)
    for name in ('num', 'draws', 'zoom'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f'--{name} must be at least 1')
    return args


def find_samples(dataset_cfg: ConfigDict, images: Sequence[str], num: int) -> dict[int, dict]:
    """Choose what to show.

    Args:
        dataset_cfg: Config of the training set; built only if there are no ``images``.
        images: Image files.
        num: Number of images from the training set otherwise.

    Returns:
        Index in the data set (or in ``images``) -> input of the pipeline.
    """
    missing = [path for path in images if not Path(path).is_file()]
    if missing:
        raise SystemExit(f'No such image: {", ".join(missing)}. Mend the paths after --image.')
    if images:
        return {index: dict(img_path=path) for index, path in enumerate(images)}
    dataset = DATASETS.build(dataset_cfg)
    indices = np.linspace(0, len(dataset) - 1, min(num, len(dataset))).astype(int)
    return {int(index): dataset.get_data_info(int(index)) for index in indices}


def split_pipeline(dataset_cfg: ConfigDict) -> tuple[list[Transform], Transform]:
    """Build the transforms up to the one that makes the views, and that one.

    Args:
        dataset_cfg: Config of the training set, with ``views`` or a ``pipeline``.

    Returns:
        The transforms that load an image, and the one that makes views.
    """
    if dataset_cfg.get('views'):
        return [LoadImage()], MakeViews(dataset_cfg.views)
    pipeline = dataset_cfg.get('pipeline', [])
    for i, transform in enumerate(pipeline):
        if transform['type'] == 'MakeViews' or 'num_views' in transform:
            return [TRANSFORMS.build(t) for t in pipeline[:i]], TRANSFORMS.build(transform)
    raise SystemExit(
        'The training set has neither `views` nor MakeViews, SeededMultiView or MultiView in its pipeline: '
        'there are no views to show. Give a pretraining config, such as configs/clsa_r50_8xb32_200e.py.'
    )


def to_picture(bgr: np.ndarray) -> Image.Image:
    """Turn an image of the pipeline, uint8 BGR of shape (H, W, 3), into a PIL image."""
    return Image.fromarray(np.ascontiguousarray(bgr[..., ::-1]))


def make_rows(
    samples: dict[int, dict], loading: Sequence[Transform], make_views: Transform, seed: int, draws: int
) -> tuple[list[str], list[Row]]:
    """Make the views of every sample in every epoch.

    Args:
        samples: Index -> input of the pipeline.
        loading: Transforms that load an image.
        make_views: Transform that makes its views.
        seed: Seed of the run.
        draws: Number of epochs.

    Returns:
        Titles of the columns, and for each row its caption and pictures, the original first.
    """
    # A plain MultiView does not know the seed in the index.
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    rows = []
    for index, sample in samples.items():
        loaded = dict(sample)
        for transform in loading:
            loaded = transform(loaded)
        name = printable(Path(sample.get('img_path', f'image {index}')).name)
        for epoch in range(draws):
            key = SeededIndex(index, (seed, epoch, index))
            results = make_views(dict(loaded, sample_idx=key))
            pictures = [to_picture(view) for view in (loaded['img'], *results['img'])]
            rows.append((f'{name}, epoch {epoch}', pictures))
    roles = results.get('view_roles') or [f'view {i}' for i in range(len(results['img']))]
    sizes = [f'{view.width}x{view.height}' for view in pictures[1:]]
    return ['original', *(f'{role} {size}' for role, size in zip(roles, sizes, strict=True))], rows


def draw_grid(titles: Sequence[str], rows: Sequence[Row], zoom: int) -> Image.Image:
    """Draw the rows under their captions, with the titles on top.

    Args:
        titles: One per column.
        rows: Captions and pictures; the originals are shrunk to the size of the largest view.
        zoom: Enlargement of every picture, each pixel becoming a square.

    Returns:
        The drawing.
    """
    limit = max(max(view.size) for _, pictures in rows for view in pictures[1:])
    grid = []
    for caption, (original, *views) in rows:
        shown = original.copy()
        shown.thumbnail((limit, limit))
        nearest = Image.Resampling.NEAREST
        zoomed = [p.resize((p.width * zoom, p.height * zoom), nearest) for p in (shown, *views)]
        grid.append((caption, zoomed))
    text = ImageDraw.Draw(Image.new('RGB', (1, 1)))
    widths = [
        max(int(text.textlength(title)) + 1, *(pictures[c].width for _, pictures in grid))
        for c, title in enumerate(titles)
    ]
    widest = max(int(text.textlength(caption)) + 1 for caption, _ in rows)
    lefts = np.cumsum([MARGIN, *(width + MARGIN for width in widths)])
    heights = [max(p.height for p in pictures) + LINE + MARGIN for _, pictures in grid]
    size = (max(int(lefts[-1]), widest + 2 * MARGIN), LINE + 2 * MARGIN + sum(heights))
    canvas = Image.new('RGB', size, BACKGROUND)
    text = ImageDraw.Draw(canvas)
    for title, left in zip(titles, lefts, strict=False):
        text.text((left, MARGIN), title, 'black')
    top = LINE + 2 * MARGIN
    for (caption, pictures), height in zip(grid, heights, strict=True):
        text.text((MARGIN, top), caption, 'black')
        for picture, left in zip(pictures, lefts, strict=False):
            canvas.paste(picture, (int(left), top + LINE))
        top += height
    return canvas


def main(argv: Sequence[str] | None = None) -> None:
    """Write the picture."""
    args = parse_args(argv)
    cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    dataset_cfg = cfg.train_dataloader.dataset
    while 'dataset' in dataset_cfg:  # a wrapper, RepeatDataset
        dataset_cfg = dataset_cfg.dataset
    seed = args.seed if args.seed is not None else cfg.get('randomness', {}).get('seed') or 0
    loading, make_views = split_pipeline(dataset_cfg)
    samples = find_samples(dataset_cfg, args.image, args.num)
    titles, rows = make_rows(samples, loading, make_views, seed, args.draws)
    views = rows[0][1][1:]
    zoom = args.zoom or max(1, SMALLEST_PICTURE // max(max(view.size) for view in views))
    out = Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    draw_grid(titles, rows, zoom).save(out)
    print(f'{len(rows)} rows of {", ".join(titles)} (zoom {zoom}) written to {out}')


if __name__ == '__main__':
    main()
