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
    parser.add_argument('--epochs', type=int, help="epochs of each training, if not the config's")
    parser.add_argument('--images', type=int, default=2000, help='pictures to pretrain on')
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


def config_options(pictures: Path, epochs: int | None) -> dict[str, list[str]]:
    """``--cfg-options`` of each command that say where the pictures are and how long to train."""
    root = f'dataset.data_root={pictures}'
    knn = [f'custom_hooks.0.{split}_dataloader.{root}' for split in ('train', 'test')]
    names = ['train_cfg.max_epochs', 'param_scheduler.0.T_max', 'param_scheduler.0.end']
    schedule = [] if epochs is None else [f'{name}={epochs}' for name in names]
    return {
        'pretrain': ['--cfg-options', f'train_dataloader.{root}/train', *knn, *schedule],
        'knn': ['--cfg-options', *knn],
        'linear': ['--cfg-options', *schedule]
        + [f'{split}_dataloader.{root}' for split in ('train', 'val', 'test')],
    }


def evaluate(
    backbone: str, work_dir: Path, options: dict[str, list[str]], checkpoint: str | None
) -> list[float]:
    """Top-1 accuracies in percent: weighted kNN, and a linear classifier on the frozen backbone."""
    source = [checkpoint] if checkpoint else ['--random-init']
    knn = run(f'kNN of the {backbone} backbone', 'tools/knn.py', PRETRAIN, *source, *options['knn'])
    source = ['--backbone', checkpoint] if checkpoint else []
    linear = run(
        f'Linear classifier on the {backbone} backbone',
        *('tools/train.py', LINEAR, '--work-dir', str(work_dir), *source, *options['linear']),
    )
    return [
        float(re.findall(r'top1: ([\d.]+)', knn)[-1]),
        float(re.findall(r'accuracy/top1: ([\d.]+)', linear)[-1]),
    ]


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
    options = config_options(Path(args.data) / 'imagenet', args.epochs)

    run(
        'Pictures of the embedded world',
        *('tools/dataset_converters/make_embedded_data.py', args.data, '--layouts', 'imagenet'),
        *('--num-train', str(args.images)),
    )
    run(
        'A key, a weak and a strong view of some of them',
        *('tools/analysis_tools/browse_views.py', PRETRAIN, '--num', '6'),
        *('--out', str(work_dir / 'views.png'), *options['pretrain']),
    )
    before = evaluate('random-initialised', work_dir / 'linear_random', options, None)
    run(
        'Pretraining with CLSA, without labels',
        *('tools/train.py', PRETRAIN, '--work-dir', str(work_dir / 'pretrain'), *options['pretrain']),
    )
    checkpoint = (work_dir / 'pretrain' / 'last_checkpoint').read_text().strip()
    after = evaluate('pretrained', work_dir / 'linear_clsa', options, checkpoint)
    draw_curves(work_dir / 'pretrain', work_dir / 'curves.png')

    print('\nTop-1 accuracy on the embedded pictures, %')
    print(f'{"backbone":<22}{"kNN":>8}{"linear":>8}')
    print(f'{"random-initialised":<22}{before[0]:>8.1f}{before[1]:>8.1f}')
    print(f'{"CLSA-pretrained":<22}{after[0]:>8.1f}{after[1]:>8.1f}')
    print(f'\n{time.time() - start:.0f} s; pictures, logs and checkpoints: {work_dir}/')


if __name__ == '__main__':
    main()
