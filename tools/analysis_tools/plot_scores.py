"""Draw how weak and strong queries are distributed over a bank, of one network or several: PNG and SVG.

Positive probability and variance of the negative probabilities, histograms over images: figures 4 and 6 of
the paper. The bank holds the key views of the same images.

    python tools/analysis_tools/plot_scores.py configs/cifar10/clsa_r18_1xb256_200e_cifar10.py --random-init \
        "MoCo v2=work_dirs/mocov2/epoch_200.pth" CLSA=work_dirs/clsa/epoch_200.pth

One config says the encoders, the views and the temperature, so that all networks are asked the same: a config
with strong views, which checkpoints of other heads fit as well.
"""

import argparse
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, init_default_scope

from clsa_mm.checkpoints.read import register_safe_loader
from clsa_mm.engine.options import OptionsAction
from clsa_mm.engine.settings import load_config
from clsa_mm.evaluation.frozen_model import build_pretrained_model
from clsa_mm.evaluation.query_scores import role_scores
from clsa_mm.evaluation.score_statistics import temperature_of
from clsa_mm.printable import printable
from clsa_mm.visualization.curves import split_name
from clsa_mm.visualization.scores import PROBABILITIES, draw_score_histograms
from clsa_mm.visualization.style import save_figure


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='pretraining config with weak and strong views')
    parser.add_argument('checkpoints', nargs='*', metavar='NAME=CHECKPOINT', help='training checkpoints')
    parser.add_argument('--random-init', action='store_true', help='draw the random-initialised network, too')
    parser.add_argument('--images', type=int, default=4096, help='training images (default 4096)')
    parser.add_argument('--temperature', type=float, help="instead of the config's head's")
    parser.add_argument('--seed', type=int, default=0, help='of the choice of images and their views')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/scores'), help='file, .png and .svg')
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, help='override the config: key=value'
    )
    parser.add_argument('--trust-checkpoint', action='store_true', help='run code that is in a checkpoint')
    args = parser.parse_intermixed_args()  # names before and after options
    if not args.checkpoints and not args.random_init:
        parser.error('give checkpoints, or --random-init')
    if args.images < 2:
        parser.error('--images must be at least 2, or there are no negatives')
    return args


def main() -> None:
    """Measure each network, write the figure, print the medians."""
    args = parse_args()
    register_safe_loader(args.trust_checkpoint)
    MMLogger.get_instance('plot_scores', log_level='WARNING')  # not how each weight was initialised
    cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    named = [('random', None)] * args.random_init + [split_name(word) for word in args.checkpoints]
    networks, size = {}, min(args.images, len(dataset))
    for name, checkpoint in named:
        try:
            model = build_pretrained_model(cfg, checkpoint)
            temperature = args.temperature or temperature_of(getattr(model, 'head', None))
            if temperature is None:
                raise SystemExit('The head of the config has no temperature: give --temperature.')
            networks[name] = role_scores(model, dataset, args.images, temperature, args.seed)
        except (FileNotFoundError, ValueError) as error:
            raise SystemExit(str(error)) from error
        for role, found in networks[name].items():
            medians = {title: found[each].median().item() for each, title in PROBABILITIES.items()}
            said = ', '.join(f'{title} {value:.3g}' for title, value in medians.items())
            print(f'{printable(name)}, {role}: median {said}')
    files = save_figure(draw_score_histograms(networks, bank_size=size), args.out)
    print(f'{size} images, temperature {temperature}. Written: ' + ', '.join(map(str, files)))


if __name__ == '__main__':
    main()
