"""Pretrain with one or more configs, evaluate each and the random-initialised floor, print one table.

Runs the commands that a user would type and prints each of them. Repeated, it goes on with an interrupted
pretraining, skips a finished one, and evaluates anew; with other options or a changed config it needs another
work dir. Options in quotes go to ``--cfg-options``.

    python tools/benchmarks/compare.py configs/cifar10/clsa_r18_1xb256_200e_cifar10.py \
        configs/cifar10/mocov2_r18_1xb256_200e_cifar10.py \
        --linear configs/benchmarks/classification/linear_r18_1xb256_100e_cifar10.py \
        --work-dir work_dirs/cifar10 --seeds 0 1 2 --train-arguments='--amp bf16 --channels-last'
"""

import argparse
import os
import re
import shlex
import statistics
from itertools import product
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

from commands import ROOT, claim, options, run

FLOOR = 'random-initialised'
Scores = dict[str, list[tuple[float, float]]]  # name -> (kNN, linear) of each seed


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('configs', nargs='+', help='pretraining configs with a KNNHook')
    parser.add_argument('--linear', required=True, help='config of the linear evaluation')
    parser.add_argument('--work-dir', required=True, help='folder of all results')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0])
    parser.add_argument('--train-arguments', default='', help='of tools/train.py, in pretraining')
    parser.add_argument('--model-options', default='', help='key=value ..., for every command')
    parser.add_argument('--train-options', default='', help='key=value ..., for pretraining')
    parser.add_argument('--knn-options', default='', help='key=value ..., for pretraining and kNN')
    parser.add_argument('--linear-options', default='', help='key=value ..., for the linear evaluation')
    return parser.parse_args()


def evaluate(
    name: str, config: str, args: argparse.Namespace, work_dir: Path, seed: int, checkpoint: str | None
) -> tuple[float, float]:
    """Top-1 accuracies in percent: weighted kNN, and a linear classifier on the frozen backbone."""
    seeded = f'randomness.seed={seed}'
    knn = run(
        f'kNN of {name}, seed {seed}',
        *('tools/knn.py', config, *([checkpoint] if checkpoint else ['--random-init'])),
        *options(args.model_options, args.knn_options, seeded),
    )
    command = (
        *('tools/train.py', args.linear, '--work-dir', str(work_dir)),
        *(['--backbone', checkpoint] if checkpoint else []),
        *options(args.model_options, args.linear_options, seeded),
    )
    claim(work_dir, command)
    linear = run(f'Linear classifier on {name}, seed {seed}', *command)
    accuracy = re.findall(r'accuracy/top1: ([\d.]+)', linear)[-1]
    return float(re.findall(r'top1: ([\d.]+)', knn)[-1]), float(accuracy)


def pretraining(config: str, args: argparse.Namespace, work_dir: Path, seed: int) -> tuple[str, ...]:
    """The command of a pretraining, which goes on with an interrupted one."""
    return (
        *('tools/train.py', config, '--work-dir', str(work_dir), '--resume'),
        *shlex.split(args.train_arguments),
        *options(args.model_options, args.train_options, args.knn_options, f'randomness.seed={seed}'),
    )


def table(scores: Scores, seeds: list[int]) -> str:
    """A Markdown table of top-1 accuracies; of several seeds mean, standard deviation and each."""
    rows = ['| backbone | kNN | linear |', '|---|---|---|']
    for name, values_of_seeds in scores.items():
        cells = []
        for values in zip(*values_of_seeds, strict=True):
            spread = f' ± {statistics.stdev(values):.2f}' if len(values) > 1 else ''
            cells.append(f'{statistics.mean(values):.2f}{spread}')
        rows.append(f'| {name} | {" | ".join(cells)} |')
    if len(seeds) > 1:
        for index, seed in enumerate(seeds):
            for name, values_of_seeds in scores.items():
                knn, linear = values_of_seeds[index]
                rows.append(f'| {name}, seed {seed} | {knn:.2f} | {linear:.2f} |')
    return '\n'.join(rows)


def main() -> None:
    """Run everything and write the table to ``results.md`` in the work dir."""
    args = parse_args()
    os.chdir(ROOT)
    work_dir = Path(args.work_dir)
    scores: Scores = {}
    folders = {seed: work_dir / f'seed_{seed}' for seed in args.seeds}
    for (seed, folder), config in product(folders.items(), args.configs):  # before the work of the first
        name = Path(config).stem
        claim(folder / name, pretraining(config, args, folder / name, seed))
    for seed, folder in folders.items():
        floor = evaluate(FLOOR, args.configs[0], args, folder / 'linear_random', seed, None)
        scores.setdefault(FLOOR, []).append(floor)
        for config in args.configs:
            name = Path(config).stem
            run(f'Pretraining {name}, seed {seed}', *pretraining(config, args, folder / name, seed))
            checkpoint = (folder / name / 'last_checkpoint').read_text().strip()
            score = evaluate(name, config, args, folder / f'linear_{name}', seed, checkpoint)
            scores.setdefault(name, []).append(score)
    results = table(scores, args.seeds)
    (work_dir / 'results.md').write_text(results + '\n')
    print(f'\nTop-1 accuracy, %, {len(args.seeds)} seed(s)\n{results}')


if __name__ == '__main__':
    main()
