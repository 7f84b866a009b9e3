"""Run the transfer suite, or a part of it, with a pretrained backbone and print one table.

Runs the commands that a user would type and prints each of them. Repeated, it skips what is finished. A data
set that is missing or fails is named at the end, and the others go on.

    python tools/benchmarks/transfer.py work_dirs/clsa_r50_8xb32_200e/epoch_200.pth \
        --datasets cifar10 food101 voc07 --protocol linear finetune --random --work-dir work_dirs/transfer
"""

import argparse
import json
import os
import re
import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

from compare import ROOT, options, run
from mmengine.config import Config

from clsa_mm.datasets import check_layout

CONFIGS = Path('configs/benchmarks/classification/transfer')
DATASETS = (
    'cifar10', 'cifar100', 'food101', 'sun397', 'cars', 'aircraft', 'voc07', 'dtd', 'pets', 'caltech101',
    'flowers102', 'cub200', 'inat18',
)  # fmt: skip
METRICS = {
    'accuracy/top1': 'top-1',
    'mean_per_class/recall': 'mean per class',
    'voc07/mAP_11point': '11-point mAP',
}


@dataclass(frozen=True)
class Run:
    """One cell of the table: a data set, a protocol and a backbone."""

    dataset: str
    protocol: str
    backbone: str
    metric: str
    command: tuple[str, ...]
    folder: Path

    @property
    def column(self) -> str:
        """Heading of the column that the run belongs to."""
        return f'{self.protocol}, {self.backbone}'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoint', help='any checkpoint that --backbone of tools/train.py takes')
    parser.add_argument('--datasets', nargs='+', choices=DATASETS, default=DATASETS, metavar='NAME')
    parser.add_argument('--protocol', nargs='+', choices=['linear', 'finetune'], default=['linear'])
    parser.add_argument('--random', action='store_true', help='also run a random-initialised backbone')
    parser.add_argument('--work-dir', default='work_dirs/transfer', help='folder of all results')
    parser.add_argument('--data', help="folder that stands for the configs' data/")
    parser.add_argument('--backbone-name', default='pretrained', help='what the table calls the checkpoint')
    parser.add_argument('--train-arguments', default='', help="of tools/train.py: '--amp bf16'")
    parser.add_argument('--options', default='', help="key=value ... for every run's --cfg-options")
    parser.add_argument('--linear-options', default='', help='key=value ..., for linear runs')
    parser.add_argument('--finetune-options', default='', help='key=value ..., for fine-tuning')
    return parser.parse_args()


def plan(args: argparse.Namespace, dataset: str, protocol: str, checkpoint: str | None) -> Run:
    """Put a run's command together.

    Raises:
        FileNotFoundError: If the data set is not there.
    """
    config = CONFIGS / f'{protocol}_r50_{dataset}.py'
    cfg = Config.fromfile(config)
    published = cfg.train_dataloader.dataset
    root = Path(published.data_root)
    moved = []
    if args.data:
        root = Path(args.data) / root.relative_to('data')
        moved = [f'{split}_dataloader.dataset.data_root={root}' for split in ('train', 'val', 'test')]
    check_layout(published.dataset, root)
    backbone = args.backbone_name if checkpoint else 'random'
    folder = Path(args.work_dir) / f'{protocol}_{dataset}_{backbone}'
    command = (
        *('tools/train.py', str(config), '--work-dir', str(folder)),
        *(('--backbone', checkpoint) if checkpoint else ()),
        *shlex.split(args.train_arguments),
        *options(shlex.join(moved), args.options, getattr(args, f'{protocol}_options')),
    )
    return Run(dataset, protocol, backbone, cfg.metric, command, folder)


def score(planned: Run) -> float:
    """Run a command, or take the result of the same one from an earlier time.

    Raises:
        SystemExit: If the command fails; the message holds the end of what it printed.
        ValueError: If it printed no result.
    """
    record = planned.folder / 'transfer.json'
    if record.exists():
        earlier = json.loads(record.read_text())
        if earlier['command'] == list(planned.command):
            print(f'\n== {planned.dataset}, {planned.column}: done before, {record}', flush=True)
            return earlier['value']
    output = run(f'{planned.dataset}, {planned.column}', *planned.command)
    values = re.findall(rf'(?:Epoch|Iter)\(val\).*\s{re.escape(planned.metric)}: ([\d.]+)', output)
    if not values:
        raise ValueError(f'the log has no {planned.metric}; is validation switched off?')
    value = float(values[-1])
    write(record, json.dumps({**asdict(planned), 'folder': str(planned.folder), 'value': value}, indent=1))
    return value


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}')
    temporary.write_text(text)
    os.replace(temporary, path)


def table(values: dict[str, dict[str, float]], metrics: dict[str, str]) -> str:
    """Format the results.

    Args:
        values: Of each data set, column -> percent.
        metrics: Of each data set.

    Returns:
        A Markdown table; what is not there is a dash.
    """
    columns = list(dict.fromkeys(column for row in values.values() for column in row))
    rows = [f'| data set | metric, % | {" | ".join(columns)} |', '|---|---' + '|---:' * len(columns) + '|']
    for dataset, row in values.items():
        cells = [f'{row[column]:.2f}' if column in row else '–' for column in columns]
        rows.append(f'| {dataset} | {METRICS[metrics[dataset]]} | {" | ".join(cells)} |')
    return '\n'.join(rows)


def main() -> None:
    """Run everything; write ``results.md`` and ``results.json`` in the work dir."""
    args = parse_args()
    for name in ('checkpoint', 'work_dir', 'data'):  # as the user's folder has them
        if getattr(args, name):
            setattr(args, name, str(Path(getattr(args, name)).expanduser().absolute()))
    if not Path(args.checkpoint).is_file():
        raise SystemExit(f'There is no checkpoint {args.checkpoint}')
    os.chdir(ROOT)
    values: dict[str, dict[str, float]] = {}
    metrics: dict[str, str] = {}
    failures: dict[str, str] = {}
    backbones = [args.checkpoint, *([None] if args.random else [])]
    for dataset in args.datasets:
        for protocol in args.protocol:
            for checkpoint in backbones:
                try:
                    planned = plan(args, dataset, protocol, checkpoint)
                    value = score(planned)
                except (FileNotFoundError, ValueError, SystemExit) as error:
                    name = f'{dataset}, {protocol}, {args.backbone_name if checkpoint else "random"}'
                    failures[name] = str(error)
                    print(f'\n== {name}: FAILED, see the end', flush=True)
                else:
                    metrics[dataset] = planned.metric
                    values.setdefault(dataset, {})[planned.column] = value
    report(Path(args.work_dir), values, metrics, failures)


def report(
    work_dir: Path,
    values: dict[str, dict[str, float]],
    metrics: dict[str, str],
    failures: dict[str, str],
) -> None:
    """Write and print the table, then what failed; exit with 1 if anything did."""
    text = table(values, metrics)
    results = [dict(dataset=name, metric=metrics[name], **row) for name, row in values.items()]
    write(work_dir / 'results.md', text + '\n')
    write(work_dir / 'results.json', json.dumps(dict(results=results, failures=failures), indent=1))
    print(f'\n{text}\n\nwrote {work_dir / "results.md"} and {work_dir / "results.json"}')
    # The same data set is missing for each protocol and backbone: its message is shown once.
    for message in dict.fromkeys(failures.values()):
        names = [name for name, other in failures.items() if other == message]
        print(f'\nNOT RUN TO THE END: {"; ".join(names)}\n{message}')
    if failures:
        sys.exit(1)


if __name__ == '__main__':
    main()
