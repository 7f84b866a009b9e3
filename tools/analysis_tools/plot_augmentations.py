"""Draw the strong operations of a config at several magnitudes, and its views, of photographs: PNG and SVG.

    python tools/analysis_tools/plot_augmentations.py configs/clsa_r50_8xb32_200e.py --image photo.jpg

Writes OUT_operations (of the first photograph) and OUT_views. For views at their own sizes, and of images of
the training set, see browse_views.py.
"""

import argparse
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

from mmengine.registry import init_default_scope

from clsa_mm.datasets.transforms import LoadImage
from clsa_mm.engine.options import OptionsAction
from clsa_mm.engine.settings import load_config
from clsa_mm.visualization.drawn_views import find_samples, make_rows, split_pipeline
from clsa_mm.visualization.gallery import draw_operations, draw_views, strong_view
from clsa_mm.visualization.style import save_figure


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='pretraining config with strong views')
    parser.add_argument('--image', nargs='+', required=True, help='photographs')
    parser.add_argument('--steps', type=int, default=5, help='magnitudes of an operation (default 5)')
    parser.add_argument('--draws', type=int, default=3, help='epochs whose views are shown (default 3)')
    parser.add_argument('--seed', type=int, default=0, help='of the views')
    parser.add_argument(
        '--out', type=Path, default=Path('work_dirs/augmentations'), help="beginning of the files' names"
    )
    parser.add_argument('--dpi', type=int, help='of the PNG (default 200)')
    parser.add_argument('--colours', type=int, help='of the PNG, 2 to 256: a smaller file (default: all)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, help='override the config: key=value'
    )
    return parser.parse_args()


def main() -> None:
    """Write the two figures."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    dataset_cfg = cfg.train_dataloader.dataset
    while 'dataset' in dataset_cfg:  # a wrapper, RepeatDataset
        dataset_cfg = dataset_cfg.dataset
    try:
        samples = find_samples(dataset_cfg, args.image, num=1)
        loading, make_views = split_pipeline(dataset_cfg)
        photograph = LoadImage()(dict(samples[0]))['img']
        operations = draw_operations(photograph, strong_view(make_views), args.steps)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    figures = dict(
        operations=operations,
        views=draw_views(*make_rows(samples, loading, make_views, args.seed, args.draws)),
    )
    for name, figure in figures.items():
        files = save_figure(figure, args.out.with_name(f'{args.out.name}_{name}'), args.dpi, args.colours)
        print('Written: ' + ', '.join(map(str, files)))


if __name__ == '__main__':
    main()
