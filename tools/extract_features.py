"""Write the frozen backbone's features of a config's images to disk, one folder per split.

    python tools/extract_features.py CONFIG CHECKPOINT --out features
    python tools/extract_features.py CONFIG CHECKPOINT --out features --images my_photos   # no labels needed
    python tools/extract_features.py CONFIG --random-init --out random_features            # the floor

Read them with ``clsa_mm.evaluation.load_features('features/train')``, tools/linear_sweep.py or
tools/voc07_svm.py.
"""

import argparse
import os
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

from mmengine.dist import init_dist, is_distributed, is_main_process
from mmengine.registry import init_default_scope

from clsa_mm.checkpoints.read import register_safe_loader
from clsa_mm.engine.machine import adapt_to_machine
from clsa_mm.engine.options import OptionsAction
from clsa_mm.engine.settings import load_config
from clsa_mm.evaluation import load_features, save_features
from clsa_mm.evaluation.dataloaders import build_dataloader, build_folder_dataloader
from clsa_mm.evaluation.feature_files import new_folder
from clsa_mm.evaluation.frozen_model import build_frozen_model, describe_source


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('config', help='linear evaluation config, or pretraining config with a KNNHook')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint of the backbone')
    parser.add_argument('--random-init', action='store_true', help='take the random-initialised backbone')
    parser.add_argument('--out', type=Path, required=True, help='gets a new folder <split>/')
    parser.add_argument(
        '--splits', nargs='+', choices=['train', 'val', 'test'], default=['train', 'test'],
        help='data of the config (default: train test); all go through its test pipeline',
    )  # fmt: skip
    parser.add_argument('--images', help='instead, all images below this folder, without labels: OUT/images')
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, help='settings to override, key=value'
    )
    parser.add_argument('--trust-checkpoint', action='store_true', help='run code that is in a checkpoint')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    if bool(args.checkpoint) == args.random_init:
        parser.error('give either a checkpoint or --random-init')
    if args.launcher == 'none' and int(os.environ.get('WORLD_SIZE', 1)) > 1:
        parser.error('several processes were started: add --launcher pytorch, so that they share the work')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main() -> None:
    """Extract each split."""
    args = parse_args()
    register_safe_loader(args.trust_checkpoint)
    splits = ['images'] if args.images else args.splits
    for split in splits:  # all of them before the work of the first
        new_folder(args.out / split)
    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    adapt_to_machine(cfg)
    if args.launcher != 'none' and not is_distributed():
        init_dist(args.launcher, **cfg.env_cfg.dist_cfg)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    source = describe_source(cfg, args.checkpoint)
    model = build_frozen_model(cfg, args.checkpoint)
    for split in splits:
        loader = build_folder_dataloader(cfg, args.images) if args.images else build_dataloader(cfg, split)
        folder = save_features(model, loader, args.out / split, dict(source, split=split))
        if is_main_process():
            meta = load_features(folder).meta
            left_out = f', {meta["unreadable"]} unreadable ones left out' if meta['unreadable'] else ''
            print(f'{folder}: features of {meta["images"]} images{left_out}')


if __name__ == '__main__':
    main()
