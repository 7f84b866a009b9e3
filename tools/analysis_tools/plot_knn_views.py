"""Draw kNN accuracy on plain, weakly and strongly augmented images: figure 5 of the paper. PNG and SVG.

    python tools/analysis_tools/plot_knn_views.py CLSA=work_dirs/clsa "MoCo v2=work_dirs/mocov2"
    python tools/analysis_tools/plot_knn_views.py CLSA=work_dirs/clsa/epoch_100.pth \
        CLSA=work_dirs/clsa/epoch_200.pth --config configs/cifar10/clsa_r18_1xb256_200e_cifar10.py

Of a work dir the log is read, which has these figures if KNNHook got `augmented=['weak', 'strong']`.
Checkpoints are measured by the KNNHook of --config, with its views, whatever they were trained by. Of one
name, checkpoints of one folder are points of a curve, other folders and work dirs are seeds.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import HOOKS, init_default_scope

from clsa_mm.checkpoints.read import read_checkpoint, register_safe_loader
from clsa_mm.engine.options import OptionsAction
from clsa_mm.engine.settings import load_config
from clsa_mm.evaluation.dataloaders import find_hook
from clsa_mm.evaluation.frozen_model import build_frozen_model
from clsa_mm.printable import printable
from clsa_mm.visualization.curves import KNN_FIGURES, draw_curves, split_name
from clsa_mm.visualization.run_log import RunLog, read_run
from clsa_mm.visualization.style import save_figure


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('runs', nargs='+', metavar='NAME=RUN', help='work dirs, or checkpoint files')
    parser.add_argument('--config', help='with a KNNHook, by which checkpoints are measured')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/knn_views'), help='file, .png and .svg')
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, help='override the config: key=value'
    )
    parser.add_argument('--trust-checkpoint', action='store_true', help='run code that is in a checkpoint')
    args = parser.parse_args()
    if not args.config and any(split_name(word)[1].is_file() for word in args.runs):
        parser.error('checkpoints need --config, which says the data, the views and the backbone')
    return args


def measurer(cfg: Config) -> Callable[[Path], tuple[int, dict[str, float]]]:
    """What measures a checkpoint: a function of its path that gives the iteration and the accuracies."""
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    settings = find_hook(cfg, 'KNNHook')
    views = cfg.train_dataloader.dataset.get('views')
    if settings is None or views is None:
        raise SystemExit(
            f'{cfg.filename} has no KNNHook, or no views of its training set: give a config with both, '
            'such as configs/cifar10/clsa_r18_1xb256_200e_cifar10.py'
        )
    hook = HOOKS.build(dict(settings, augmented=['weak', 'strong'], views=views))

    def measure(path: Path) -> tuple[int, dict[str, float]]:
        scores = hook.score(build_frozen_model(cfg, str(path)))
        print(f'{printable(path)}: {hook.describe(scores)}', flush=True)
        meta = read_checkpoint(path).get('meta', {})
        return meta.get('iter', 0), {f'knn/{name}': value for name, value in scores.items()}

    return measure


def read_all(words: Sequence[str], measure: Callable | None) -> dict[str, list[RunLog]]:
    """Logs of work dirs, and what checkpoints give as logs."""
    runs: dict[str, list[RunLog]] = {}
    points: dict[tuple[str, Path], list[tuple[int, dict[str, float]]]] = {}
    for name, path in map(split_name, words):
        runs.setdefault(name, [])
        if path.is_file():
            points.setdefault((name, path.parent), []).append(measure(path))
        else:
            runs[name].append(read_run(path))
    for (name, folder), measured in points.items():
        scalars: dict[str, list[tuple[int, float]]] = {}
        for step, scores in sorted(measured, key=lambda each: each[0]):
            for figure, value in scores.items():
                scalars.setdefault(figure, []).append((step, value))
        runs[name].append(RunLog(folder, scalars, {}, []))
    return runs


def main() -> None:
    """Measure what has to be, and write the figure."""
    args = parse_args()
    register_safe_loader(args.trust_checkpoint)
    MMLogger.get_instance('plot_knn_views', log_level='WARNING')  # not how each weight was initialised
    measure = measurer(load_config(args.config, args.cfg_options)) if args.config else None
    try:
        figure = draw_curves(read_all(args.runs, measure), KNN_FIGURES, same_scale=True)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    print('Written: ' + ', '.join(map(str, save_figure(figure, args.out))))


if __name__ == '__main__':
    main()
