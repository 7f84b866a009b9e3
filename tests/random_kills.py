"""Kill a small pretraining at random moments, and compare its end with that of one left alone.

    OMP_NUM_THREADS=1 PYTHONPATH=.:tests python tests/random_kills.py --kills 250
    OMP_NUM_THREADS=1 PYTHONPATH=.:tests python tests/random_kills.py --kills 60 --processes 2

Each run starts in an empty folder, is killed with SIGKILL and resumed until it ends. Its last checkpoint is
then compared bit for bit with that of an uninterrupted run: weights, queue, key encoder, optimizer, schedules
and the counters of the log; a step of the optimizer spans three iterations. The killed process is the
training, while it starts, iterates or saves; one of its data workers; or one of two ranks, upon which the
other has to end by itself. All runs are forked from this process, which has imported everything.
"""

import argparse
import os
import random
import runpy
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from bitwise import difference, run_state
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from small_networks import begun_at_once, small_network, small_sizes
from yapf.yapflib import yapf_api

from clsa_mm.engine.settings import load_config

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / 'configs/cifar10/clsa_r18_1xb256_200e_cifar10.py'
# Of the pipe to this process, in the environment of a run.
PIPE = 'CLSA_MM_ANNOUNCE'
EPOCHS, ITERATIONS, GLOBAL_BATCH = 4, 6, 8
# How long a rank may wait for one that is gone, and a run may take, in seconds. Where rank 0 is killed before
# it opens torch's store, the others knock for a whole time-out of the process group, wait, and knock again.
PATIENCE = 240.0
TARGETS = ('main', 'saving', 'worker')


@HOOKS.register_module()
class AnnounceHook(Hook):
    """Writes to a pipe where the run is: ``i`` in an iteration, ``s`` while it saves, ``e`` after that."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.descriptor = int(os.environ[PIPE])

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """An iteration begins."""
        os.write(self.descriptor, b'i')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """The checkpoint is put together and about to be written."""
        os.write(self.descriptor, b's')

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: dict | None = None
    ) -> None:
        """All is done that belongs to an iteration."""
        os.write(self.descriptor, b'e')


@dataclass
class Attempt:
    """The processes of one start of a run.

    Attributes:
        pids: Of the ranks.
        pipe: What the first rank announces.
        log: File of what they print.
    """

    pids: list[int]
    pipe: int
    log: Path
    statuses: dict[int, int] = field(default_factory=dict)

    def poll(self) -> bool:
        """Whether all have ended."""
        for pid in self.pids:
            if pid not in self.statuses:
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    self.statuses[pid] = os.waitstatus_to_exitcode(status)
        return len(self.statuses) == len(self.pids)

    def wait(self, seconds: float) -> bool:
        """Wait for the end of all; whether it came in time."""
        end = time.monotonic() + seconds
        while not self.poll():
            if time.monotonic() > end:
                return False
            time.sleep(0.002)
        return True

    def announced(self) -> bytes:
        """All that the first rank has announced since the last call."""
        try:
            return os.read(self.pipe, 1 << 16)
        except BlockingIOError:
            return b''

    def clear_away(self) -> None:
        """End what is left of the processes and their workers."""
        for pid in self.pids:
            try:
                os.killpg(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.wait(PATIENCE)
        os.close(self.pipe)


def write_images(folder: Path, number: int) -> None:
    """Pictures of noise with a square in them."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for i in range(number):
        image = rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)
        image[8:24, 10:30] = rng.integers(0, 256, 3)
        cv2.imwrite(str(folder / f'{i}.png'), image)


def write_config(folder: Path, processes: int) -> None:
    """A pretraining of 24 iterations, with a step of the optimizer every three and a checkpoint of each."""
    whole = Config.fromfile(CONFIG)
    views = whole.train_dataloader.dataset.views
    options = small_network(whole.model) | begun_at_once(whole.param_scheduler)
    options |= {f'train_dataloader.dataset.views.{r}.size': small_sizes(v.size, r) for r, v in views.items()}
    options |= {
        'model.backbone.drop_path_rate': 0.3,
        'env_cfg.dist_cfg.timeout': int(PATIENCE) // 4,
        'optim_wrapper.accumulative_counts': 3,
        'train_cfg.max_epochs': EPOCHS,
        'train_dataloader.batch_size': GLOBAL_BATCH // processes,
        'train_dataloader.num_workers': 1,
        'train_dataloader.dataset.data_root': str(folder / 'images'),
        'train_dataloader.dataset.data_prefix': '',
        'default_hooks.checkpoint.by_epoch': False,
        'default_hooks.checkpoint.max_keep_ckpts': 2,
        'default_hooks.momentum_queue.schedule': 'cosine',
        'default_hooks.knn': None,
        'default_hooks.watch.images': 4,
        'default_hooks.watch.draws': 2,
    }
    cfg = load_config(CONFIG, options)
    cfg.default_hooks.announce = dict(type='AnnounceHook')
    cfg.dump(folder / 'config.py')


def start(work_dir: Path, processes: int) -> Attempt:
    """Fork the ranks of a run by tools/train.py, each the leader of a process group of its own."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    log = work_dir.with_suffix('.log')
    pids = []
    for rank in range(processes):
        if pid := os.fork():
            pids.append(pid)
            continue
        os.setpgid(0, 0)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ |= dict(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(processes))
        os.environ |= {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port), PIPE: str(writing)}
        launcher = 'pytorch' if processes > 1 else 'none'
        arguments = [
            work_dir.parent / 'config.py',
            '--work-dir',
            work_dir,
            '--launcher',
            launcher,
            '--resume',
        ]
        sys.argv = ['train.py', *map(str, arguments)]
        status = 1
        try:
            runpy.run_path(str(ROOT / 'tools/train.py'), run_name='__main__')
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)  # nothing of this process's own is to be ended twice
    os.close(writing)
    return Attempt(pids, reading, log)


def children(pid: int) -> list[int]:
    """The data workers of a process."""
    try:
        return list(map(int, Path(f'/proc/{pid}/task/{pid}/children').read_text().split()))
    except (FileNotFoundError, ProcessLookupError):
        return []


def kill(attempt: Attempt, target: str, duration: float, rng: random.Random) -> tuple[str, float] | None:
    """Kill one process of an attempt at a random moment.

    Args:
        attempt: That has just started.
        target: One of ``TARGETS``.
        duration: How long a whole run takes, in seconds.
        rng: Decides about moment and process.

    Returns:
        What was hit, and how long the others took to end, in seconds; None if the run ended before.
    """
    rank, seen = rng.randrange(len(attempt.pids)), b''
    moment, saves = time.monotonic() + rng.uniform(0, duration), rng.randrange(1, 8)
    while time.monotonic() < moment if target != 'saving' else seen.count(b's') < saves:
        if attempt.poll():
            return None
        time.sleep(0.0005)
        seen += attempt.announced()
    victim, name = attempt.pids[0 if target == 'saving' else rank], f'rank {rank}'
    if target == 'saving':
        time.sleep(rng.uniform(0, 0.03))
        name = 'rank 0'
    elif target == 'worker' and (workers := children(victim)):
        victim, name = rng.choice(workers), 'data worker'
    if attempt.poll():
        return None
    killed = time.monotonic()
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:  # a worker whose work was done
        return None
    if not attempt.wait(PATIENCE):
        raise SystemExit(f'A process has not ended {PATIENCE:.0f} s after {name} was killed: {attempt.log}')
    last = (seen + attempt.announced())[-1:]
    where = {b'': 'starting', b'i': 'in an iteration', b's': 'saving', b'e': 'between iterations'}[last]
    return f'{name}, {where}', time.monotonic() - killed


def one_run(
    work_dir: Path, processes: int, duration: float, rng: random.Random
) -> Iterator[tuple[str, float]]:
    """Start a run, kill it, and so on until it ends; yields what each kill has hit."""
    while True:
        attempt = start(work_dir, processes)
        try:
            hit = kill(attempt, rng.choice(TARGETS), duration, rng)
            ended = attempt.wait(PATIENCE)
        finally:
            attempt.clear_away()
        if hit is not None:
            yield hit
        elif not ended or any(attempt.statuses.values()):
            raise SystemExit(f'A run ended by itself with status {attempt.statuses.values()}: {attempt.log}')
        else:
            return


def final_state(work_dir: Path) -> dict:
    """What the last checkpoint of a run holds."""
    return run_state(work_dir / f'iter_{EPOCHS * ITERATIONS}.pth')


def campaign(folder: Path, kills: int, processes: int, seed: int) -> int:
    """Kill runs until there have been so many kills, and all runs have ended.

    Args:
        folder: For images, runs and logs.
        kills: Least number of kills.
        processes: Ranks of each run.
        seed: Decides about moments and processes.

    Returns:
        Number of runs whose end differs.
    """
    rng = random.Random(seed)
    write_images(folder / 'images', ITERATIONS * GLOBAL_BATCH)
    write_config(folder, processes)
    began = time.monotonic()
    straight = start(folder / 'straight', processes)
    if not straight.wait(PATIENCE) or any(straight.statuses.values()):
        raise SystemExit(f'The run that is left alone failed: {straight.log}')
    straight.clear_away()
    duration, expected = time.monotonic() - began, final_state(folder / 'straight')
    print(f'{processes} process(es): a whole run takes {duration:.1f} s, {EPOCHS * ITERATIONS} iterations')
    hits, slowest, runs, different = Counter(), 0.0, 0, 0
    began = time.monotonic()
    while hits.total() < kills:
        runs += 1
        work_dir = folder / f'run_{runs}'
        for name, seconds in one_run(work_dir, processes, duration, rng):
            hits[name] += 1
            slowest = max(slowest, seconds)
        found = difference(expected, final_state(work_dir))
        different += found is not None
        print(f'run {runs}: {hits.total()} kills so far, {found or "the same bits"}', flush=True)
        if found is None:
            shutil.rmtree(work_dir)
    seconds = time.monotonic() - began
    for name, number in sorted(hits.items()):
        print(f'  {number:4d} {name}')
    print(
        f'{hits.total()} kills, each followed by a resume, in {runs} runs, {seconds:.0f} s, '
        f'{seconds / max(1, hits.total()):.2f} s a kill; the others ended within {slowest:.1f} s. '
        + (f'{different} RUNS DIFFER' if different else 'All ends are bit for bit that of a run left alone.')
    )
    return different


def main() -> None:
    """Read the command line and run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--processes', type=int, default=1, choices=[1, 2])
    parser.add_argument('--seed', type=int, default=0, help='of moments and victims')
    parser.add_argument('--folder', type=Path, help='where to work, new; kept. A temporary one, if not given')
    args = parser.parse_args()
    torch.set_num_threads(1)
    yapf_api.FormatCode = lambda text, **_: (text, True)  # breaks the lines of configs that runners write
    if args.folder:
        args.folder.mkdir(parents=True)
        raise SystemExit(campaign(args.folder, args.kills, args.processes, args.seed) > 0)
    with tempfile.TemporaryDirectory() as folder:
        raise SystemExit(campaign(Path(folder), args.kills, args.processes, args.seed) > 0)


if __name__ == '__main__':
    main()
