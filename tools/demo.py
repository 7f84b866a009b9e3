"""The main job end to end on embedded pictures: pretrain, evaluate before and after, draw figures.

Runs the commands that a user would type, one after the other, and prints each of them.

    python tools/demo.py            # or: make demo
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt
from benchmarks.commands import ROOT, run

PRETRAIN = 'configs/embedded/clsa_r18_1xb64_24e_embedded.py'
LINEAR = 'configs/benchmarks/classification/linear_r18_1xb64_15e_embedded.py'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='CLSA on embedded pictures, end to end')
    parser.add_argument('--work-dir', default='work_dirs/demo', help='folder of all results')
    parser.add_argument(
        '--data', default='data/embedded', help='folder of the embedded pictures, made where there are none'
    )
    parser.add_argument('--images', type=int, default=2000, help='pictures to pretrain on')
    parser.add_argument('--epochs', type=int, help="epochs of each training, if not the configs'")
    return parser.parse_args()


def start_anew(work_dir: Path) -> None:
    """Remove what an earlier demo left, and nothing else.

    Raises:
        SystemExit: If the folder has content and is not an earlier demo's.
    """
    mark = work_dir / '.demo'
    if work_dir.exists() and any(work_dir.iterdir()) and not mark.exists():
        raise SystemExit(
            f'{work_dir.absolute()} is not empty and no earlier demo has made it: give another --work-dir.'
        )
    shutil.rmtree(work_dir / 'seed_0', ignore_errors=True)
    work_dir.mkdir(parents=True, exist_ok=True)
    mark.touch()


def compare(work_dir: Path, pictures: Path, epochs: int | None) -> None:
    """Pretrain and evaluate before and after, by tools/benchmarks/compare.py."""
    root = f'train_dataloader.dataset.data_root={pictures}'
    schedule = [] if epochs is None else [f'train_cfg.max_epochs={epochs}']
    options = {'model': [root], 'train': schedule, 'linear': schedule}
    command = ['tools/benchmarks/compare.py', PRETRAIN, '--linear', LINEAR, '--work-dir', str(work_dir)]
    command += [f'--{name}-options={" ".join(words)}' for name, words in options.items()]
    if code := subprocess.run([sys.executable, *command]).returncode:
        raise SystemExit(code)


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


def main() -> None:
    """Run the demo."""
    args = parse_args()
    os.chdir(ROOT)
    start = time.time()
    work_dir = Path(args.work_dir)
    start_anew(work_dir)
    pictures = Path(args.data) / 'imagenet'

    run(
        'Pictures of the embedded world',
        *('tools/dataset_converters/make_embedded_data.py', args.data, '--layouts', 'imagenet'),
        *('--num-train', str(args.images)),  # refuses what was made otherwise, and names the remedy
    )
    run(
        'A key, a weak and a strong view of some of them',
        *('tools/analysis_tools/browse_views.py', PRETRAIN, '--num', '6'),
        *('--out', str(work_dir / 'views.png')),
        *('--cfg-options', f'train_dataloader.dataset.data_root={pictures}'),
    )
    compare(work_dir, pictures, args.epochs)
    draw_curves(work_dir / 'seed_0' / Path(PRETRAIN).stem, work_dir / 'curves.png')
    print(f'\n{time.time() - start:.0f} s in all. In {work_dir}: views.png, curves.png, results.md,')
    print('and in seed_0 the logs and checkpoints.')


if __name__ == '__main__':
    main()
