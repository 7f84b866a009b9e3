"""The VOC07 SVM benchmark: a linear SVM per class on frozen features, trainval to test.

python tools/voc07_svm.py configs/benchmarks/classification/linear_r50_1xb256_100e_voc07.py CHECKPOINT
python tools/voc07_svm.py configs/benchmarks/classification/linear_r50_1xb256_100e_voc07.py --random-init
python tools/voc07_svm.py --features features     # of tools/extract_features.py
"""

import argparse
import json
import math
import os
import tempfile
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

import numpy as np
from mmengine.registry import init_default_scope

from clsa_mm.checkpoints.read import register_safe_loader
from clsa_mm.engine.machine import adapt_to_machine
from clsa_mm.engine.options import OptionsAction
from clsa_mm.engine.settings import load_config
from clsa_mm.evaluation import FeatureSet, load_features, save_features
from clsa_mm.evaluation.dataloaders import build_dataloader
from clsa_mm.evaluation.feature_files import check_same_source
from clsa_mm.evaluation.frozen_model import build_frozen_model, describe_source
from clsa_mm.evaluation.voc07_svm import (
    COSTS,
    require_scikit_learn,
    svm_report,
    svm_table,
    train_class_svms,
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('config', nargs='?', help='linear evaluation config of a multi-label data set')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint of the backbone')
    parser.add_argument('--random-init', action='store_true', help='take the random-initialised one')
    parser.add_argument('--features', type=Path, help='instead: folder with train/ and test/ features')
    parser.add_argument('--costs', type=float, nargs='+', default=COSTS, help='values of C to choose from')
    parser.add_argument('--jobs', type=int, default=os.cpu_count(), help='classes trained at the same time')
    parser.add_argument('--out', type=Path, help='write the figures to this .json')
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, help='settings to override, key=value'
    )
    parser.add_argument('--trust-checkpoint', action='store_true', help='run code that is in a checkpoint')
    args = parser.parse_args()
    if bool(args.features) == bool(args.config):
        parser.error('give either a config or --features')
    if args.config and bool(args.checkpoint) == args.random_init:
        parser.error('give either a checkpoint or --random-init')
    if not all(0 < cost < math.inf for cost in args.costs):
        parser.error(f'--costs must be > 0, got {", ".join(f"{cost:g}" for cost in args.costs)}')
    if args.jobs < 1:
        parser.error(f'--jobs must be at least 1, got {args.jobs}')
    return args


def extract(args: argparse.Namespace, folder: Path) -> None:
    """Write the features of both splits into a folder."""
    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = 'none'
    adapt_to_machine(cfg)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    source = describe_source(cfg, args.checkpoint)
    model = build_frozen_model(cfg, args.checkpoint)
    for split in ('train', 'test'):
        save_features(model, build_dataloader(cfg, split), folder / split, source)


def evaluate(train: FeatureSet, test: FeatureSet, costs: list[float], jobs: int) -> dict:
    """Train on one split, score on the other."""
    check_same_source(train, test, labels='multi')
    labels = np.array(test.labels)
    svms = train_class_svms(
        np.array(train.features), np.array(train.labels), np.array(test.features), costs, jobs,
        train.meta['classes'],
    )  # fmt: skip
    return svm_report(svms, labels, train.meta, costs)


def main() -> None:
    """Print the table."""
    args = parse_args()
    register_safe_loader(args.trust_checkpoint)
    require_scikit_learn()  # this and the folder before the work, which takes long
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.features or Path(temporary)
        if args.config:
            extract(args, folder)
        report = evaluate(
            load_features(folder / 'train'), load_features(folder / 'test'), args.costs, args.jobs
        )
    print(svm_table(report))
    if args.out:
        args.out.write_text(json.dumps(report, indent=2) + '\n')


if __name__ == '__main__':
    main()
