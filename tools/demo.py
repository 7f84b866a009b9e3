"""The main job end to end on embedded pictures: pretrain, evaluate before and after, draw figures.

Runs the commands that a user would type, one after the other, and prints each of them.

    python tools/demo.py            # or: make demo
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.commands import ROOT, run

from clsa_mm.visualization import draw_curves, read_run, save_figure

PRETRAIN = 'configs/embedded/clsa_r18_1xb64_24e_embedded.py'
LINEAR = 'configs/benchmarks/classification/linear_r18_1xb64_15e_embedded.py'
PANELS = {
    'loss': ['loss_contrastive', 'loss_ddm'],
    'kNN accuracy, %': ['knn/top1'],
    'similarity': ['positive_similarity', 'negative_similarity', 'feature_std'],
}


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
    log = read_run(work_dir / 'seed_0' / Path(PRETRAIN).stem)
    save_figure(draw_curves({log.name: [log]}, PANELS), work_dir / 'curves')
    print(f'\n{time.time() - start:.0f} s in all. In {work_dir}: views.png, curves.png and .svg, results.md,')
    print('and in seed_0 the logs and checkpoints.')


if __name__ == '__main__':
    main()
