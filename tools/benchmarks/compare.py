"""Pretrain with one or more configs, evaluate each and the random-initialised floor, print one table.

Runs the commands that a user would type and prints each of them. Repeated, it goes on with an interrupted
pretraining, skips a finished one, and evaluates anew; with other options or a changed config it needs another
work dir. Other configs and seeds join the table of the work dir. Options in quotes go to ``--cfg-options``.

    python tools/benchmarks/compare.py configs/cifar10/clsa_r18_1xb256_200e_cifar10.py \
        configs/cifar10/mocov2_r18_1xb256_200e_cifar10.py \
        --linear configs/benchmarks/classification/linear_r18_1xb256_100e_cifar10.py \
        --work-dir work_dirs/cifar10 --seeds 0 1 2 --train-arguments='--amp bf16 --channels-last'
"""

import argparse
import json
import os
import re
import shlex
import statistics
from collections import Counter
from itertools import product
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

from commands import ROOT, claim, options, remove_checkpoints, run, write

FLOOR = 'random-initialised'
SCORE = 'score.json'  # beside a linear classifier: what the table says of its backbone
Scores = dict[str, dict[int, tuple[float, float]]]  # name -> seed -> (kNN, linear)


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
) -> None:
    """Keep top-1 accuracies in percent: weighted kNN, and a linear classifier on the frozen backbone."""
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
    remove_checkpoints(work_dir)
    linear = run(f'Linear classifier on {name}, seed {seed}', *command)
    tops = (re.findall(r'top1: ([\d.]+)', output)[-1] for output in (knn, linear))
    write(work_dir / SCORE, json.dumps(dict(name=name, seed=seed, top1=[float(top) for top in tops])))


def pretraining(config: str, args: argparse.Namespace, work_dir: Path, seed: int) -> tuple[str, ...]:
    """The command of a pretraining, which goes on with an interrupted one."""
    return (
        *('tools/train.py', config, '--work-dir', str(work_dir), '--resume'),
        *shlex.split(args.train_arguments),
        *options(args.model_options, args.train_options, args.knn_options, f'randomness.seed={seed}'),
    )


def refuse_equal_names(configs: list[str]) -> None:
    """Stop where two configs would share a folder, which has the name of the config's file."""
    for name, count in Counter(Path(config).stem for config in configs).items():
        if count > 1:
            same = [config for config in configs if Path(config).stem == name]
            raise SystemExit(
                f'{" and ".join(same)} have one name, and so one folder and one row of the table: compare '
                'them in calls with a --work-dir each, or give one of the files another name.'
            )


def finished_scores(work_dir: Path) -> Scores:
    """All scores that are kept in a work dir: the floor's, then the others' by name."""
    scores: Scores = {FLOOR: {}}
    found = [json.loads(path.read_text()) for path in work_dir.glob(f'seed_*/*/{SCORE}')]
    for score in sorted(found, key=lambda score: (score['name'], score['seed'])):
        scores.setdefault(score['name'], {})[score['seed']] = tuple(score['top1'])
    return scores


def table(scores: Scores) -> str:
    """A Markdown table of top-1 accuracies; of several seeds mean, standard deviation and each."""
    rows = ['| backbone | kNN | linear |', '|---|---|---|']
    for name, of_seeds in scores.items():
        cells = []
        for values in zip(*of_seeds.values(), strict=True):
            spread = f' ± {statistics.stdev(values):.2f}' if len(values) > 1 else ''
            cells.append(f'{statistics.mean(values):.2f}{spread}')
        rows.append(f'| {name} | {" | ".join(cells)} |')
    seeds = sorted({seed for of_seeds in scores.values() for seed in of_seeds})
    if len(seeds) > 1:
        for seed, (name, of_seeds) in product(seeds, scores.items()):
            if seed in of_seeds:
                knn, linear = of_seeds[seed]
                rows.append(f'| {name}, seed {seed} | {knn:.2f} | {linear:.2f} |')
    return '\n'.join(rows)


def main() -> None:
    """Run everything and write the table of the work dir to its ``results.md``."""
    args = parse_args()
    refuse_equal_names(args.configs)
    os.chdir(ROOT)
    work_dir = Path(args.work_dir)
    folders = {seed: work_dir / f'seed_{seed}' for seed in args.seeds}
    for (seed, folder), config in product(folders.items(), args.configs):  # before the work of the first
        name = Path(config).stem
        claim(folder / name, pretraining(config, args, folder / name, seed))
    for seed, folder in folders.items():
        evaluate(FLOOR, args.configs[0], args, folder / 'linear_random', seed, None)
        for config in args.configs:
            name = Path(config).stem
            run(f'Pretraining {name}, seed {seed}', *pretraining(config, args, folder / name, seed))
            checkpoint = (folder / name / 'last_checkpoint').read_text().strip()
            evaluate(name, config, args, folder / f'linear_{name}', seed, checkpoint)
    results = table(finished_scores(work_dir))
    write(work_dir / 'results.md', results + '\n')
    print(f'\nTop-1 accuracy, %\n{results}')


if __name__ == '__main__':
    main()
