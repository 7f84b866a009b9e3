"""Pretrain with one or more configs, evaluate each and its random-initialised floor, print one table.

Runs the commands that a user would type and prints each of them. Repeated, it goes on with an interrupted
pretraining, skips a finished one, and evaluates anew; with other options or a changed config it needs another
work dir, for other seeds too. Other configs and seeds join the table of the work dir, which has one row for
floors that are equal.
Without ``--linear`` it has kNN alone. Options in quotes go to ``--cfg-options``.

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
from collections.abc import Collection, Sequence
from itertools import product
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

from commands import ROOT, claim, config_sha256, options, remove_checkpoints, run
from mmengine.config import Config

from clsa_mm.checkpoints.unfinished import write_text
from clsa_mm.printable import markdown_cell

FLOOR = 'random-initialised'
Scores = dict[str, dict[int, tuple[float, ...]]]  # name -> seed -> kNN, and linear where there is one


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('configs', nargs='+', help='pretraining configs with a KNNHook')
    parser.add_argument('--linear', help='config of the linear evaluation; none without')
    parser.add_argument('--work-dir', required=True, help='folder of all results')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0])
    parser.add_argument('--train-arguments', default='', help='of tools/train.py, in pretraining')
    parser.add_argument('--model-options', default='', help='key=value ..., for every command')
    parser.add_argument('--train-options', default='', help='key=value ..., for pretraining')
    parser.add_argument('--knn-options', default='', help='key=value ..., for pretraining and kNN')
    parser.add_argument('--linear-options', default='', help='key=value ..., for the linear evaluation')
    return parser.parse_args()


def knn(name: str, config: str, args: argparse.Namespace, seed: int, checkpoint: str | None) -> float:
    """Top-1 accuracy of weighted kNN, in percent."""
    output = run(
        f'kNN of {name}, seed {seed}',
        *('tools/knn.py', config, *([checkpoint] if checkpoint else ['--random-init'])),
        *options(args.model_options, args.knn_options, f'randomness.seed={seed}'),
    )
    return last_top1(output)


def linear(
    name: str, args: argparse.Namespace, work_dir: Path, seed: int, checkpoint: str | None
) -> tuple[float, ...]:
    """Top-1 accuracy of a linear classifier on the frozen backbone, in percent; none without ``--linear``."""
    if not args.linear:
        return ()
    command = (
        *('tools/train.py', args.linear, '--work-dir', str(work_dir)),
        *(['--backbone', checkpoint] if checkpoint else []),
        *options(args.model_options, args.linear_options, f'randomness.seed={seed}'),
    )
    refuse_other_seeds(work_dir, command)
    claim(work_dir, command)
    remove_checkpoints(work_dir)
    return (last_top1(run(f'Linear classifier on {name}, seed {seed}', *command)),)


def last_top1(output: str) -> float:
    """The last top-1 accuracy that a command printed."""
    return float(re.findall(r'top1: ([\d.]+)', output)[-1])


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


def refuse_other_seeds(folder: Path, command: Sequence[str]) -> None:
    """Stop where another seed of a run had other settings, for the table takes the mean over the seeds.

    Args:
        folder: The command's work dir, ``seed_<seed>/<name>``; that of each other seed has the same name.
        command: All of its words; the second is its config.

    Raises:
        SystemExit: If a command of another seed differs in more than the seed, or the config has changed.
    """
    expected = (config_sha256(Config.fromfile(command[1])), settings_of(command))
    for record in sorted(folder.parent.parent.glob(f'seed_*/{folder.name}/command.json')):
        earlier = json.loads(record.read_text())
        found = (earlier['config_sha256'], settings_of(earlier['command']))
        if record.parent != folder and found != expected:  # its own folder is for claim() to judge
            raise SystemExit(
                f'{record.parent.absolute()} holds a run of `{shlex.join(earlier["command"])}`, from which '
                f'`{shlex.join(command)}` differs in more than the seed, or its config has changed since: '
                'the table would average the two as seeds of one training. Nothing is run: give another '
                '--work-dir, or the same options.'
            )


def settings_of(command: Sequence[str]) -> list[str]:
    """The words of a command without the seed and the paths, which each seed has of its own."""
    paths = [place + 1 for place, word in enumerate(command) if word in ('--work-dir', '--backbone')]
    return [
        word
        for place, word in enumerate(command)
        if place not in paths and not word.startswith('randomness.seed=')
    ]


def keep(folder: Path, name: str, floor: tuple[float, ...], top1: tuple[float, ...]) -> None:
    """Write down a config's scores, and those of its floor."""
    write_text(folder / 'scores' / f'{name}.json', json.dumps(dict(name=name, floor=floor, top1=top1)))


def finished_scores(work_dir: Path) -> Scores:
    """All scores that are kept in a work dir; floors that are equal are one, others bear a config's name."""
    floors, scores = Scores(), Scores()
    for path in sorted(work_dir.glob('seed_*/scores/*.json'), key=lambda path: path.name):
        score, seed = json.loads(path.read_text()), int(path.parts[-3].removeprefix('seed_'))
        floors.setdefault(score['name'], {})[seed] = tuple(score['floor'])
        scores.setdefault(score['name'], {})[seed] = tuple(score['top1'])
    first, *others = floors.values()
    if all(other == first for other in others):
        return {FLOOR: first, **scores}
    return {f'{FLOOR}, {name}': of_seeds for name, of_seeds in floors.items()} | scores


def table(scores: Scores) -> str:
    """A Markdown table of top-1 accuracies; of several seeds mean, standard deviation and each."""
    columns = max(len(values) for of_seeds in scores.values() for values in of_seeds.values())
    rows = [f'| backbone | {" | ".join(["kNN", "linear"][:columns])} |', '|---' * (columns + 1) + '|']
    for name, of_seeds in scores.items():
        rows.append(row(name, of_seeds.values(), columns))
    seeds = sorted({seed for of_seeds in scores.values() for seed in of_seeds})
    if len(seeds) > 1:
        for seed, (name, of_seeds) in product(seeds, scores.items()):
            if seed in of_seeds:
                rows.append(row(f'{name}, seed {seed}', [of_seeds[seed]], columns))
    return '\n'.join(rows)


def row(name: str, of_seeds: Collection[tuple[float, ...]], columns: int) -> str:
    """A row of the table; what is not there is a dash."""
    cells = []
    for column in range(columns):
        values = [values[column] for values in of_seeds if column < len(values)]
        spread = f' ± {statistics.stdev(values):.2f}' if len(values) > 1 else ''
        cells.append(f'{statistics.mean(values):.2f}{spread}' if values else '–')
    return f'| {markdown_cell(name)} | {" | ".join(cells)} |'


def main() -> None:
    """Run everything and write the table of the work dir to its ``results.md``."""
    args = parse_args()
    refuse_equal_names(args.configs)
    os.chdir(ROOT)
    work_dir = Path(args.work_dir)
    folders = {seed: work_dir / f'seed_{seed}' for seed in args.seeds}
    for take in (refuse_other_seeds, claim):  # all before the work of the first
        for (seed, folder), config in product(folders.items(), args.configs):
            name = Path(config).stem
            take(folder / name, pretraining(config, args, folder / name, seed))
    for seed, folder in folders.items():
        floor = linear(FLOOR, args, folder / 'linear_random', seed, None)  # of one network for all configs
        for config in args.configs:
            name = Path(config).stem
            own_floor = (knn(f'{FLOOR} {name}', config, args, seed, None), *floor)
            run(f'Pretraining {name}, seed {seed}', *pretraining(config, args, folder / name, seed))
            checkpoint = (folder / name / 'last_checkpoint').read_text().strip()
            top1 = knn(name, config, args, seed, checkpoint)
            classifier = linear(name, args, folder / f'linear_{name}', seed, checkpoint)
            keep(folder, name, own_floor, (top1, *classifier))
    results = table(finished_scores(work_dir))
    write_text(work_dir / 'results.md', results + '\n')
    print(f'\nTop-1 accuracy, %\n{results}')


if __name__ == '__main__':
    main()
