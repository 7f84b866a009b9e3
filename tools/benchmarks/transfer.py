"""Run the transfer suite, or a part of it, with a pretrained backbone and print one table.

Runs the commands that a user would type and prints each of them. Repeated, it skips what is finished with the
same command, config and content of the checkpoint; other contents have other folders and tables, and another
command or config needs another work dir. The table has all finished runs of the work dir with that
content. A data set that is missing or fails is named at the end, and the others go on.

    python tools/benchmarks/transfer.py work_dirs/clsa_r50_8xb32_200e/epoch_200.pth \
        --datasets cifar10 food101 voc07 --protocol linear finetune --random --work-dir work_dirs/transfer
"""

import argparse
import json
import os
import re
import shlex
import sys
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

from commands import ROOT, config_sha256, options, refuse_other_results, remove_checkpoints, run
from mmengine.config import Config

from clsa_mm.checkpoints.unfinished import write_text
from clsa_mm.checkpoints.whole import file_sha256
from clsa_mm.datasets import check_layout
from clsa_mm.printable import markdown_cell

CONFIGS = Path('configs/benchmarks/classification/transfer')
PROTOCOLS = ('linear', 'finetune')
RANDOM = 'random'
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
    """One cell of the table: a data set, a protocol and a backbone; the content of ``transfer.json``."""

    dataset: str
    protocol: str
    backbone: str
    metric: str
    command: tuple[str, ...]
    config_sha256: str
    folder: Path
    checkpoint_sha256: str | None = None
    value: float | None = None

    @property
    def record(self) -> Path:
        """The file that keeps this run."""
        return self.folder / 'transfer.json'

    @property
    def made_by(self) -> dict[str, object]:
        """What its result depends on."""
        return dict(
            command=list(self.command),
            config_sha256=self.config_sha256,
            checkpoint_sha256=self.checkpoint_sha256,
        )

    @property
    def column(self) -> str:
        """Heading of the column that the run belongs to."""
        return f'{self.protocol}, {self.backbone}'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoint', help='any checkpoint that --backbone of tools/train.py takes')
    parser.add_argument('--datasets', nargs='+', choices=DATASETS, default=DATASETS, metavar='NAME')
    parser.add_argument('--protocol', nargs='+', choices=PROTOCOLS, default=['linear'])
    parser.add_argument('--random', action='store_true', help='also run a random-initialised backbone')
    parser.add_argument('--work-dir', default='work_dirs/transfer', help='folder of all results')
    parser.add_argument('--data', help="folder that stands for the configs' data/")
    parser.add_argument('--backbone-name', default='pretrained', help='what the table calls the checkpoint')
    parser.add_argument('--train-arguments', default='', help="of tools/train.py: '--amp bf16'")
    parser.add_argument('--options', default='', help="key=value ... for every run's --cfg-options")
    parser.add_argument('--linear-options', default='', help='key=value ..., for linear runs')
    parser.add_argument('--finetune-options', default='', help='key=value ..., for fine-tuning')
    args = parser.parse_args()
    if args.backbone_name == RANDOM:
        parser.error(f'--backbone-name {RANDOM} stands for the random-initialised backbone: take another')
    return args


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
        moved = [f'train_dataloader.dataset.data_root={root}']
    check_layout(published.dataset, root)
    backbone, digest, content = RANDOM, None, ''
    if checkpoint:
        backbone, digest = args.backbone_name, args.checkpoint_sha256
        content = f'_{digest[:8]}'
    folder = Path(args.work_dir) / f'{protocol}_{dataset}_{backbone}{content}'
    command = (
        *('tools/train.py', str(config), '--work-dir', str(folder)),
        *(('--backbone', checkpoint) if checkpoint else ()),
        *shlex.split(args.train_arguments),
        *options(shlex.join(moved), args.options, getattr(args, f'{protocol}_options')),
    )
    return Run(dataset, protocol, backbone, cfg.metric, command, config_sha256(cfg), folder, digest)


def perform(planned: Run) -> None:
    """Run a command and keep its result, unless the same one was finished at an earlier time.

    Raises:
        SystemExit: If the command fails; the message holds the end of what it printed.
        ValueError: If it printed no result.
    """
    if planned.record.exists():
        earlier = read(planned.record)
        if earlier.value is not None and earlier == replace(planned, value=earlier.value):
            print(f'\n== {planned.dataset}, {planned.column}: done before, {planned.record}', flush=True)
            return
    keep(planned)
    remove_checkpoints(planned.folder)
    output = run(f'{planned.dataset}, {planned.column}', *planned.command)
    values = re.findall(rf'(?:Epoch|Iter)\(val\).*\s{re.escape(planned.metric)}: ([\d.]+)', output)
    if not values:
        raise ValueError(f'the log has no {planned.metric}; is validation switched off?')
    keep(replace(planned, value=float(values[-1])))


def keep(planned: Run) -> None:
    """Write a run's record."""
    write_text(planned.record, json.dumps(asdict(planned), indent=1, default=str))


def read(record: Path) -> Run:
    """Read a run's record."""
    content = json.loads(record.read_text())
    return Run(**{**content, 'command': tuple(content['command']), 'folder': Path(content['folder'])})


def finished_runs(work_dir: Path, checkpoint_sha256: str) -> list[Run]:
    """All finished runs of a work dir with a checkpoint or with none, in the table's order."""
    runs = [read(record) for record in work_dir.glob('*/transfer.json')]
    current = (run for run in runs if run.backbone == RANDOM or run.checkpoint_sha256 == checkpoint_sha256)
    return sorted(
        (run for run in current if run.value is not None),
        key=lambda run: (PROTOCOLS.index(run.protocol), run.backbone == RANDOM, run.backbone),
    )


def table(runs: list[Run]) -> str:
    """Format the results.

    Args:
        runs: Of :func:`finished_runs`.

    Returns:
        A Markdown table; what is not there is a dash.
    """
    columns = list(dict.fromkeys(run.column for run in runs))
    rows = [
        f'| data set | metric, % | {" | ".join(map(markdown_cell, columns))} |',
        '|---|---' + '|---:' * len(columns) + '|',
    ]
    for dataset, row in by_dataset(runs).items():
        cells = [f'{row[column].value:.2f}' if column in row else '–' for column in columns]
        metric = next(iter(row.values())).metric
        rows.append(f'| {dataset} | {METRICS[metric]} | {" | ".join(cells)} |')
    return '\n'.join(rows)


def by_dataset(runs: list[Run]) -> dict[str, dict[str, Run]]:
    """Runs as a row for each data set: column -> run."""
    found = {dataset: {run.column: run for run in runs if run.dataset == dataset} for dataset in DATASETS}
    return {dataset: row for dataset, row in found.items() if row}


def main() -> None:
    """Run everything; write ``results_SHA256.md`` and ``.json`` in the work dir."""
    args = parse_args()
    for name in ('checkpoint', 'work_dir', 'data'):  # as the user's folder has them
        if getattr(args, name):
            setattr(args, name, str(Path(getattr(args, name)).expanduser().absolute()))
    if not Path(args.checkpoint).is_file():
        raise SystemExit(f'There is no checkpoint {args.checkpoint}')
    args.checkpoint_sha256 = file_sha256(Path(args.checkpoint))
    os.chdir(ROOT)
    failures: dict[str, str] = {}
    planned: list[Run] = []
    for dataset, protocol, checkpoint in product(
        args.datasets, args.protocol, [args.checkpoint, *([None] if args.random else [])]
    ):
        try:
            planned.append(plan(args, dataset, protocol, checkpoint))
        except FileNotFoundError as error:
            failures[f'{dataset}, {protocol}, {args.backbone_name if checkpoint else RANDOM}'] = str(error)
    for one in planned:  # all of them before the work of the first
        refuse_other_results(one.record, one.made_by)
    for one in planned:
        try:
            perform(one)
        except (FileNotFoundError, ValueError, SystemExit) as error:
            name = f'{one.dataset}, {one.column}'
            failures[name] = str(error)
            print(f'\n== {name}: FAILED, see the end', flush=True)
    report(Path(args.work_dir), args.checkpoint_sha256, failures)


def report(work_dir: Path, checkpoint_sha256: str, failures: dict[str, str]) -> None:
    """Write and print the table, then what failed; exit with 1 if anything did."""
    runs = finished_runs(work_dir, checkpoint_sha256)
    text = table(runs)
    rows = [
        dict(dataset=name, metric=next(iter(row.values())).metric, **{c: run.value for c, run in row.items()})
        for name, row in by_dataset(runs).items()
    ]
    content = dict(checkpoint_sha256=checkpoint_sha256, results=rows, failures=failures)
    results = work_dir / f'results_{checkpoint_sha256[:8]}'
    write_text(results.with_suffix('.md'), text + '\n')
    write_text(results.with_suffix('.json'), json.dumps(content, indent=1))
    print(f'\n{text}\n\nwrote {results}.md and {results}.json')
    # The same data set is missing for each protocol and backbone: its message is shown once.
    for message in dict.fromkeys(failures.values()):
        names = [name for name, other in failures.items() if other == message]
        print(f'\nNOT RUN TO THE END: {"; ".join(names)}\n{message}')
    if failures:
        sys.exit(1)


if __name__ == '__main__':
    main()
