"""Linear classifiers with many learning rates in one pass over features of tools/extract_features.py.

python tools/linear_sweep.py features
python tools/linear_sweep.py features --lrs 0.1 1 10 --weight-decays 0 1e-4 --standardize both
"""

import argparse
import json
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

from mmengine.device import get_device

from clsa_mm.evaluation import load_features
from clsa_mm.evaluation.feature_files import check_same_source
from clsa_mm.evaluation.linear_sweep import grid, score_heads, sweep, sweep_table

STANDARDIZE = dict(no=(False,), yes=(True,), both=(False, True))


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n')[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('features', type=Path, help='folder with the folders of two splits')
    parser.add_argument('--train', default='train', help='split to train on')
    parser.add_argument('--test', default='test', help='split to test on')
    parser.add_argument('--lrs', type=float, nargs='+', default=[0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30])
    parser.add_argument('--weight-decays', type=float, nargs='+', default=[0.0])
    parser.add_argument('--standardize', choices=STANDARDIZE, default='no', help='scale each dimension')
    parser.add_argument('--epochs', type=int, default=100)
    parser.add_argument('--batch-size', type=int, default=256)
    parser.add_argument('--momentum', type=float, default=0.9)
    parser.add_argument('--schedule', choices=['cosine', 'constant'], default='cosine')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, help='write the figures to this .json')
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    args = parse_args()
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
    train, test = (load_features(args.features / split) for split in (args.train, args.test))
    check_same_source(train, test)
    settings = grid(args.lrs, args.weight_decays, STANDARDIZE[args.standardize])
    logits = sweep(
        train.features, train.labels, test.features, settings, train.num_classes, args.epochs,
        args.batch_size, args.momentum, args.schedule, args.seed, get_device(),
    )  # fmt: skip
    scores = score_heads(logits, test.labels, train.meta['classes'])
    print(sweep_table(settings, scores))
    if args.out:
        rows = [dict(vars(setting), scores=score) for setting, score in zip(settings, scores, strict=True)]
        meta = {key: train.meta.get(key) for key in ('checkpoint', 'config', 'layer', 'images')}
        training = {
            key: getattr(args, key) for key in ('epochs', 'batch_size', 'momentum', 'schedule', 'seed')
        }
        args.out.write_text(json.dumps(dict(meta, **training, results=rows), indent=2) + '\n')


if __name__ == '__main__':
    main()
