"""The main job end to end on embedded pictures: pretrain, evaluate before and after, draw figures.

Runs the commands that a user would type, one after the other, and prints each of them.

    python tools/demo.py            # or: make demo
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
PRETRAIN = 'configs/embedded/clsa_r18_1xb64_24e_embedded.py'
LINEAR = 'configs/benchmarks/classification/linear_r18_1xb64_15e_embedded.py'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='CLSA on embedded pictures, end to end')
    parser.add_argument('--work-dir', default='work_dirs/demo', help='folder of all results')
    parser.add_argument('--data', default='data/embedded', help='folder of the embedded pictures')
    parser.add_argument('--epochs', type=int, help="epochs of the pretraining, if not the config's")
    return parser.parse_args()


def run(title: str, *command: str) -> str:
    """Print and run a command of this repository, show its progress, return what it printed."""
    print(f'\n== {title}\n$ {shlex.join(["python", *command])}', flush=True)
    start = time.time()
    process = subprocess.Popen(
        [sys.executable, '-W', 'ignore', *command],
        cwd=ROOT,
        env={**os.environ, 'MPLBACKEND': 'Agg', 'PYTHONUNBUFFERED': '1'},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors='replace',
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if shown := progress(line):
            print(f'   {shown}', flush=True)
    if process.wait():
        raise SystemExit(''.join(lines[-30:]) + f'\nfailed: {shlex.join(["python", *command])}')
    print(f'   done in {time.time() - start:.0f} s', flush=True)
    return ''.join(lines)


def progress(line: str) -> str | None:
    """The part of a line of a log that shows how things go, or None."""
    patterns = (
        r'Epoch\(train\).*',
        r'Epoch\(val\).*accuracy.*',
        r'kNN .*',
        r'Effective batch.*',
        r'Learning rate.*',
        r'.*images$',
        r'.*Backbone.*',
        r'wrote .*',
    )
    for pattern in patterns:
        if match := re.search(pattern, line):
            text = re.sub(r'  (lr|time|data_time|memory|momentum): \S+', '', match.group())
            return text.strip()[:150]
    return None


def knn(title: str, options: list[str], *arguments: str) -> float:
    """Top-1 accuracy in percent that tools/knn.py prints."""
    output = run(title, 'tools/knn.py', PRETRAIN, *arguments, '--cfg-options', *options)
    return float(re.findall(r'top1: ([\d.]+)', output)[-1])


def linear(title: str, work_dir: Path, options: list[str], *arguments: str) -> float:
    """Top-1 accuracy in percent of a linear classifier on the frozen backbone."""
    output = run(
        title, 'tools/train.py', LINEAR, '--work-dir', str(work_dir), *arguments,
        '--cfg-options', *options,
    )  # fmt: skip
    return float(re.findall(r'accuracy/top1: ([\d.]+)', output)[-1])


def draw_curves(pretraining: Path, out: Path) -> None:
    """Losses, kNN accuracy and similarities over the iterations of a pretraining."""
    log = sorted(pretraining.glob('*/vis_data/scalars.json'))[-1]
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    panels = {
        'loss': ['loss_contrastive', 'loss_ddm', 'chance_level'],
        'kNN accuracy, %': ['knn/top1'],
        'similarity': ['positive_similarity', 'negative_similarity', 'feature_std'],
    }
    figure, axes = plt.subplots(1, len(panels), figsize=(14, 4), constrained_layout=True)
    for axis, (title, names) in zip(axes, panels.items(), strict=True):
        for name in names:
            points = [(row['step'], row[name]) for row in rows if name in row]
            axis.plot(*zip(*points, strict=True), label=name, marker='o' if len(points) < 20 else '')
        axis.set(title=title, xlabel='iteration')
        axis.legend()
        axis.grid(alpha=0.3)
    figure.savefig(out, dpi=110)
    print(f'   wrote {out}')


def main() -> None:
    """Run the demo."""
    args = parse_args()
    os.chdir(ROOT)
    start = time.time()
    work_dir = Path(args.work_dir)
    work_dir.mkdir(parents=True, exist_ok=True)
    pictures = Path(args.data) / 'imagenet'

    run(
        'Pictures of the embedded world, in the layouts of ImageNet, VOC and COCO',
        'tools/dataset_converters/make_embedded_data.py',
        args.data,
    )
    data = [
        f'train_dataloader.dataset.data_root={pictures}/train',
        f'custom_hooks.0.train_dataloader.dataset.data_root={pictures}',
        f'custom_hooks.0.test_dataloader.dataset.data_root={pictures}',
    ]
    labelled = [f'{split}_dataloader.dataset.data_root={pictures}' for split in ('train', 'val', 'test')]
    run('A key, a weak and a strong view of some of them',
        'tools/analysis_tools/browse_views.py', PRETRAIN, '--num', '6', '--out',
        str(work_dir / 'views.png'), '--cfg-options', *data[:1])  # fmt: skip

    before = [
        knn('kNN of the random-initialised backbone', data, '--random-init'),
        linear('Linear classifier on the random-initialised backbone', work_dir / 'linear_random', labelled),
    ]
    epochs = [] if args.epochs is None else [
        f'train_cfg.max_epochs={args.epochs}',
        f'param_scheduler.0.T_max={args.epochs}', f'param_scheduler.0.end={args.epochs}',
    ]  # fmt: skip
    run(
        'Pretraining with CLSA, without labels',
        'tools/train.py',
        PRETRAIN,
        '--work-dir',
        str(work_dir / 'pretrain'),
        '--cfg-options',
        *data,
        *epochs,
    )
    checkpoint = (work_dir / 'pretrain' / 'last_checkpoint').read_text().strip()
    after = [
        knn('kNN of the pretrained backbone', data, checkpoint),
        linear(
            'Linear classifier on the pretrained backbone',
            work_dir / 'linear_clsa',
            labelled,
            '--backbone',
            checkpoint,
        ),
    ]
    draw_curves(work_dir / 'pretrain', work_dir / 'curves.png')

    print('\nTop-1 accuracy on the embedded pictures, %')
    print(f'{"backbone":<22}{"kNN":>8}{"linear":>8}')
    print(f'{"random-initialised":<22}{before[0]:>8.1f}{before[1]:>8.1f}')
    print(f'{"CLSA-pretrained":<22}{after[0]:>8.1f}{after[1]:>8.1f}')
    print(f'\n{time.time() - start:.0f} s; pictures, logs and checkpoints: {work_dir}/')


if __name__ == '__main__':
    main()
