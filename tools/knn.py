"""Score a pretraining checkpoint by weighted kNN, on the data of its config's KNNHook.

python tools/knn.py configs/cifar10/clsa_r18_1xb256_200e_cifar10.py work_dirs/.../epoch_200.pth
python tools/knn.py configs/cifar10/clsa_r18_1xb256_200e_cifar10.py --random-init   # the floor
"""

import argparse

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

from mmengine.registry import HOOKS, init_default_scope

from clsa_mm.checkpoints.read import register_safe_loader
from clsa_mm.engine.options import OptionsAction
from clsa_mm.engine.settings import load_config
from clsa_mm.evaluation.dataloaders import find_hook
from clsa_mm.evaluation.frozen_model import build_frozen_model


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('config', help='pretraining config with a KNNHook')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint whose backbone is scored')
    parser.add_argument(
        '--random-init',
        action='store_true',
        help='score the random-initialised backbone instead: the floor',
    )
    parser.add_argument('--k', type=int, help="number of neighbours, instead of the config's")
    parser.add_argument('--temperature', type=float, help="instead of the config's")
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, help='settings to override, key=value'
    )
    parser.add_argument('--trust-checkpoint', action='store_true', help='run code that is in a checkpoint')
    args = parser.parse_args()
    if bool(args.checkpoint) == args.random_init:
        parser.error('give either a checkpoint or --random-init')
    return args


def main() -> None:
    """Print one line with the accuracies."""
    args = parse_args()
    register_safe_loader(args.trust_checkpoint)
    cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    settings = find_hook(cfg, 'KNNHook')
    if settings is None:
        raise SystemExit(
            f'{cfg.filename} has no KNNHook in `default_hooks` or `custom_hooks`, so there is no labelled '
            'data to score on. Add one, e.g. as configs/cifar10/clsa_r18_1xb256_200e_cifar10.py does.'
        )
    for name in ('k', 'temperature'):
        if getattr(args, name) is not None:
            settings[name] = getattr(args, name)
    hook = HOOKS.build(settings)
    scores = hook.score(build_frozen_model(cfg, args.checkpoint))
    print(hook.describe(scores))


if __name__ == '__main__':
    main()
