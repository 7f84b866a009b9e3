"""Ranks and data workers that die, hang or fail, in real runs: who ends, how soon, and what is said."""

import os
import re
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import torch.multiprocessing as mp
from mmengine.hooks import Hook
from mmengine.runner import Runner
from ranks import PARALLEL, start_gloo, start_ranks
from small_runs import RandomViews, small_run
from torch.utils.data import get_worker_info

from clsa_mm.engine.failures import ending_together

HOOKS = dict(momentum_queue=dict(type='MomentumQueueHook'))
GROUP_TIMEOUT, DATA_TIMEOUT = 4, 2  # seconds


class FaultyViews(RandomViews):
    """Does something when a worker loads image 20 or 21, of one rank and the other."""

    def __init__(self, fault: Callable[[], None] | None) -> None:
        super().__init__()
        self.fault = fault

    def __getitem__(self, index: int) -> dict:
        if index in (20, 21) and self.fault and get_worker_info():
            self.fault()
        return super().__getitem__(index)


class Fault(Hook):
    """Does something in the second iteration of a rank."""

    def __init__(self, fault: Callable[[], None]) -> None:
        self.fault = fault

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        if runner.iter == 1:
            self.fault()


def fail() -> None:
    raise ValueError('no such thing')


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def hang() -> None:
    """Wait for what nobody writes, as for an image on a dead network drive."""
    reader, writer = os.pipe()
    print('hangs', flush=True)
    os.read(reader, 1)


def train(rank: int, port: int, folder: str, faulty_rank: int, where: str, fault: Callable[[], None]) -> None:
    start_gloo(rank, port, timeout=timedelta(seconds=GROUP_TIMEOUT))
    run_with(Path(folder, 'work'), where, fault if rank == faulty_rank else None, **PARALLEL)


def run_with(
    work_dir: Path,
    where: str,
    fault: Callable[[], None] | None,
    data_timeout: float = DATA_TIMEOUT,
    **settings,
) -> None:
    loader = dict(
        batch_size=8,
        num_workers=2,
        persistent_workers=True,
        timeout=data_timeout,
        dataset=FaultyViews(fault if where == 'worker' else None),
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
    )
    runner = small_run(work_dir, HOOKS, epochs=20, train_dataloader=loader, **settings)
    if fault and where == 'main':
        runner.register_hook(Fault(fault))
    with ending_together(runner, interval=0.2, patience=1):
        runner.train()


def children_of(pid: int) -> list[int]:
    """Processes of the session that a process has begun."""
    found = []
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            session = int((folder / 'stat').read_text().rpartition(')')[2].split()[3])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if session == pid and int(folder.name) != pid:
            found.append(int(folder.name))
    return found


def shared_memory() -> set[str]:
    return {path.name for path in Path('/dev/shm').iterdir() if not path.name.startswith('sem.')}


def ended(processes: list[mp.Process], timeout: float) -> None:
    """Wait for the processes, and for what they have started."""
    until = time.monotonic() + timeout
    for process in processes:
        process.join(max(0, until - time.monotonic()))
        assert process.exitcode is not None, 'it still runs'
    while any(children_of(process.pid) for process in processes) and time.monotonic() < until:
        time.sleep(0.05)
    orphans = {process.pid: children_of(process.pid) for process in processes}
    assert not any(orphans.values()), orphans


@pytest.mark.parametrize(
    ('where', 'fault', 'codes', 'message'),
    [
        ('main', fail, (1, 1), 'failed: in iteration 1, ValueError: no such thing'),
        ('main', kill, (1, -9), r'has not answered for \d s, since it was in (iteration|the start)'),
        ('main', stop, (1, None), r'has not answered for \d s, since it was in (iteration|the start)'),
        (
            'worker',
            fail,
            (1, 1),
            'failed: in iteration 1, ValueError: Caught ValueError in DataLoader',
        ),
        ('worker', kill, (1, 1), r'failed: .* DataLoader worker \(pid.*\. A data worker was killed\. If the'),
        ('worker', hang, (1, 1), r'failed: .* DataLoader timed out after 2 seconds\. No batch came'),
        ('worker', stop, (1, 1), r'failed: .* DataLoader timed out after 2 seconds\. No batch came'),
    ],
)
def test_rank_1(tmp_path, where, fault, codes, message):
    """Rank 0 ends within the time-out and names rank 1 and the cause; nothing is left."""
    before = shared_memory()
    start = time.monotonic()
    processes = start_ranks(train, tmp_path, str(tmp_path), 1, where, fault)
    try:
        ended(processes[:1], GROUP_TIMEOUT + 10)
        print(f'{where} {fault.__name__}: {time.monotonic() - start:.1f} s')
        if codes[1] is None:  # whoever started it ends it
            processes[1].kill()
        ended(processes, 10)
    finally:
        for process in processes:
            process.kill()
    assert processes[0].exitcode == codes[0] and processes[1].exitcode == (codes[1] or -9)
    said = (tmp_path / '0.txt').read_text()
    assert re.search(rf'RankFailure: Rank 0 stops in iteration \d+, because rank 1 {message}', said)
    assert shared_memory() <= before


def test_rank_0_which_has_the_store(tmp_path):
    processes = start_ranks(train, tmp_path, str(tmp_path), 0, 'main', kill)
    ended(processes, GROUP_TIMEOUT + 10)
    assert [process.exitcode for process in processes] == [-9, 1]
    said = (tmp_path / '1.txt').read_text()
    assert 'RankFailure: Rank 1 stops in iteration' in said
    assert 'the store of the ranks, in the process of rank 0 or of torchrun, does not answer' in said


def test_no_orphans_that_hang(tmp_path):
    """A worker that hangs does not see by itself that its parent was killed."""

    def alone(rank: int, port: int) -> None:
        if rank == 0:
            run_with(tmp_path / 'work', 'worker', hang, data_timeout=0)

    process, _ = start_ranks(alone, tmp_path)
    while 'hangs' not in (tmp_path / '0.txt').read_text():
        time.sleep(0.05)
        assert process.is_alive()
    assert len(children_of(process.pid)) == 2
    process.kill()
    ended([process], 10)


def test_a_single_process_says_what_helps(tmp_path):
    def alone(rank: int, port: int) -> None:
        if rank == 0:
            run_with(tmp_path / 'work', 'worker', kill)

    process, _ = start_ranks(alone, tmp_path)
    ended([process], 10)
    said = (tmp_path / '0.txt').read_text()
    assert process.exitcode == 1 and 'RuntimeError: DataLoader worker' in said
    assert said.count('A data worker was killed. If the system ran out of memory') == 1
