"""A long training on small images, watched from outside: does it grow, does it slow down?

tools/train.py, or tools/dist_train.sh with several processes, trains a small CLSA on generated pictures with
data workers and checkpoints. Every few seconds memory, handles and threads of its processes are looked up in
/proc. The first half counts as warm-up, in which pages come apart that workers share after the fork; over the
rest a straight line is fitted to each figure. The verdict is on what the line rises by; of handles, threads
and files on whether their smallest number becomes larger too.

Leaks are told by what each main process has allocated (allocated.py): half a kilobyte per iteration is one.
What the system gives to it rises by megabytes for hundreds of iterations without one, as the C library keeps
what is freed in pieces; it is judged by a wider limit. --leak BYTES makes one of so many per iteration.

    python tools/benchmarks/soak.py --iterations 5000
    python tools/benchmarks/soak.py --iterations 5000 --processes 2

The exit status is 1 where something grows.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from processes import children, memory, open_files, shared_memory, threads

ROOT = Path(__file__).resolve().parents[2]
CONFIG = 'configs/cifar10/clsa_r18_1xb256_200e_cifar10.py'
IMAGES, BATCH = 640, 16  # for each process: 40 iterations an epoch
# What the line of a memory may rise by over the measured part: a share of its mean, or so many MiB.
SHARE, LEAST = 0.05, 4.0
LEAK = 512  # bytes per iteration, of what is allocated
SLOWER = 0.1  # share of its speed that the last third may lose to the first


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--iterations', type=int, default=5000)
    parser.add_argument('--processes', type=int, default=1, help='ranks, with gloo')
    parser.add_argument('--workers', type=int, default=2, help='data workers of each process')
    parser.add_argument('--every', type=float, default=2.0, help='seconds between two looks')
    parser.add_argument('--leak', type=int, default=0, help='bytes that each iteration loses on purpose')
    parser.add_argument('--folder', type=Path, help='for pictures and run; default: a temporary one')
    return parser.parse_args()


def write_pictures(folder: Path, number: int) -> None:
    """PNG files of noise of 32 x 32 pixels, in two folders."""
    rng = np.random.default_rng(0)
    for index in range(number):
        path = folder / f'{index % 2}' / f'{index}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (32, 32, 3), dtype=np.uint8))


def start(folder: Path, args: argparse.Namespace) -> subprocess.Popen:
    """Start the training, in a process group of its own."""
    config = folder / 'soak.py'
    config.write_text(
        f"_base_ = '{ROOT / CONFIG}'\ncustom_imports = dict(imports=['clsa_mm', 'allocated'])\n"
        f"custom_hooks = [dict(type='AllocatedHook', leak={args.leak})]\n"
    )
    per_epoch = IMAGES // BATCH
    epochs = -(-args.iterations // per_epoch)
    options = [
        f'train_dataloader.dataset.data_root={folder / "pictures"}',
        'train_dataloader.dataset.data_prefix=',
        'train_dataloader.dataset.subfolders=None',
        f'train_dataloader.batch_size={BATCH}',
        f'train_dataloader.num_workers={args.workers}',
        f'train_cfg.max_epochs={epochs}',
        'model.backbone.base_channels=8',
        'model.backbone.stem_channels=8',
        'model.neck.in_channels=64',
        'model.neck.hid_channels=32',
        'model.queue_len=256',
        'default_hooks.knn=None',
        'default_hooks.logger.interval=10',
        # Before the first look, so that what it keeps does not count as growth.
        'default_hooks.log_history.keep=40',
        'default_hooks.log_history.interval=40',
        f'default_hooks.checkpoint.interval={max(1, epochs // 20)}',
    ]
    if args.processes == 1:
        command = [sys.executable, 'tools/train.py', str(config)]
    else:
        command = ['tools/dist_train.sh', str(config), f'{args.processes}']
    command += ['--work-dir', str(folder / 'run'), '--cfg-options', *options]
    environment = {'OMP_NUM_THREADS': '1', 'PYTHON': sys.executable, **os.environ}
    environment |= {'PYTHONPATH': f'{ROOT}:{Path(__file__).parent}', 'PYTHONMALLOC': 'malloc'}
    # torch notes its last collectives, which takes 3 kB an iteration until the list is full.
    environment |= {'TORCH_FR_BUFFER_SIZE': '0', 'TORCH_NCCL_TRACE_BUFFER_SIZE': '0'}
    with (folder / 'output.txt').open('w') as output:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
        )


def ranks_of(pid: int) -> list[int]:
    """The training processes: this one, or those that torchrun has started, in their order."""
    ranks = [
        child
        for child in children().get(pid, [])
        if any(word.startswith(b'RANK=') for word in _environment(child))
    ]
    return sorted(ranks) or [pid]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f'/proc/{pid}/environ').read_bytes().split(b'\0')
    except OSError:
        return []


def look(pid: int) -> dict[str, dict[int, float]]:
    """Figures by name and process; '' for those of the machine."""
    figures: dict[str, dict[int, float]] = {}
    known = children()
    for number, rank in enumerate(ranks_of(pid)):
        kinds = [('main', rank), *(('worker', child) for child in known.get(rank, []))]
        for kind, process in kinds:
            try:
                # Of a main process not its part of what workers share, which rises as they write to it.
                left_out = 'own' if kind == 'main' else 'anonymous'
                sizes = memory(process).items()
                values = {f'{name} MiB': value for name, value in sizes if name != left_out}
                values |= dict(handles=open_files(process), threads=threads(process))
            except OSError:
                continue  # it has ended meanwhile
            for name, value in values.items():
                figures.setdefault(f'rank {number} {kind} {name}', {})[process] = value
    number, used = shared_memory()
    return figures | {'/dev/shm files': {0: number}, 'shared memory MiB': {0: used}}


def progress(run: Path) -> list[tuple[int, float]]:
    """(iteration, seconds of one) of all lines that the training has logged."""
    lines = [line for path in run.glob('*/vis_data/scalars.json') for line in path.read_text().splitlines()]
    entries = [json.loads(line) for line in lines if line.endswith('}')]
    return [(entry['step'], entry['time']) for entry in entries if 'time' in entry]


def watch(process: subprocess.Popen, run: Path, every: float) -> list[tuple[int, dict]]:
    """(iteration, figures) until the training ends."""
    samples = []
    while process.poll() is None:
        time.sleep(every)
        steps = progress(run)
        if steps:
            samples.append((steps[-1][0], look(process.pid)))
    last = samples[-1][0] if samples else 0
    return [sample for sample in samples if sample[0] < last]  # at the end processes vanish


def slope_lines(samples: list[tuple[int, dict]]) -> list[tuple[str, bool]]:
    """One line for each figure, and whether it grows; of several workers the steepest."""
    samples = samples[len(samples) // 2 :]
    iterations = np.array([iteration for iteration, _ in samples], float)
    span = iterations[-1] - iterations[0]
    lines = []
    for name in samples[0][1]:
        # Those that were there all the time; others come and go with what they are for.
        processes = set.intersection(*({*figures.get(name, {})} for _, figures in samples))
        fits = []
        for process in processes:
            values = np.array([figures[name][process] for _, figures in samples])
            slope = np.polyfit(iterations, values, 1)[0]
            # Handles come and go with each batch; where they leak the fewest become more, and the line rises.
            more = values[len(values) // 2 :].min() > values[: len(values) // 2].min()
            rises = bool(more and slope * span > 0.5)
            fits.append((slope, values.mean(), values[0], values[-1], rises))
        if not fits:
            continue
        slope, mean, first, last, _ = max(fits)
        rises = any(fit[-1] for fit in fits)
        if name.endswith('MiB'):
            grows = bool(slope * span > max(SHARE * mean, LEAST))
        else:
            grows = rises
        lines.append(
            (
                f'{name:<28}{len(fits):>3} {first:10.1f} {last:10.1f} {1000 * slope:+10.3f}   '
                f'{"GROWS" if grows else "flat"}',
                grows,
            )
        )
    return lines


def allocation_lines(run: Path) -> list[tuple[str, bool]]:
    """One line for each main process, and whether what it has allocated grows."""
    lines = []
    for path in sorted(run.glob('allocated_*.txt')):
        iterations, sizes = np.loadtxt(path, ndmin=2).T
        half = len(sizes) // 2
        slope = np.polyfit(iterations[half:], sizes[half:], 1)[0]
        first, last = sizes[half] / 2**20, sizes[-1] / 2**20
        name = f'rank {path.stem.split("_")[1]} main allocated MiB'
        grows = bool(slope > LEAK)
        verdict = 'GROWS' if grows else 'flat'
        lines.append(
            (f'{name:<28}  1 {first:10.1f} {last:10.1f} {slope * 1000 / 2**20:+10.3f}   {verdict}', grows)
        )
    return lines


def main() -> None:
    """Train, watch, and print slopes and verdict."""
    args = parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.folder or Path(temporary)).resolve()
        write_pictures(folder / 'pictures', IMAGES * args.processes)
        process = start(folder, args)
        try:
            samples = watch(process, folder / 'run', args.every)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        if process.returncode or len(samples) < 8:
            print((folder / 'output.txt').read_text()[-3000:])
            raise SystemExit(
                f'the training ended with status {process.returncode} after {len(samples)} looks'
            )
        allocations = allocation_lines(folder / 'run')
        seconds = [each for _, each in progress(folder / 'run')][1:]
    print(f'{samples[-1][0]} iterations, {args.processes} process(es), {len(samples)} looks')
    print(f'{"":<28}  n      first       last  per 1,000   (of several workers the steepest)')
    lines = allocations + slope_lines(samples)
    print('\n'.join(line for line, _ in lines))
    third = max(1, len(seconds) // 3)
    first, last = float(np.median(seconds[:third])), float(np.median(seconds[-third:]))
    slower = last > first / (1 - SLOWER)
    print(
        f'throughput: {BATCH / first:.1f} images/s and process in the first third, {BATCH / last:.1f} in the '
        f'last   {"SLOWER" if slower else "flat"}'
    )
    raise SystemExit(int(slower or any(grows for _, grows in lines)))


if __name__ == '__main__':
    main()
