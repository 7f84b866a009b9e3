"""Draw the views of images: ``python tools/analysis_tools/browse_views.py CONFIG``; see ``--help``.

A row is an image in one epoch: the original, then its views with their roles, at their own sizes. Rows from
the training set show the very views that training with this seed sees, where the data set has ``views``, or
its pipeline MakeViews or SeededMultiView.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

import numpy as np
from mmengine.registry import init_default_scope
from PIL import Image, ImageDraw

from clsa_mm.engine.options import OptionsAction
from clsa_mm.engine.settings import load_config
from clsa_mm.visualization.drawn_views import Row, find_samples, make_rows, split_pipeline

MARGIN = 8  # pixels between pictures
LINE = 14  # pixels of a line of text
SMALLEST_PICTURE = 160  # pixels; sets the zoom where none is given

BACKGROUND = (214, 222, 230)  # neither black nor white, which views may hold at their borders


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
    try:
        loading, make_views = split_pipeline(dataset_cfg)
        samples = find_samples(dataset_cfg, args.image, args.num)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from None
    titles, rows = make_rows(samples, loading, make_views, seed, args.draws)
    views = rows[0][1][1:]
    zoom = args.zoom or max(1, SMALLEST_PICTURE // max(max(view.size) for view in views))
    out = Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    draw_grid(titles, rows, zoom).save(out)
    print(f'{len(rows)} rows of {", ".join(titles)} (zoom {zoom}) written to {out}')


if __name__ == '__main__':
    main()
