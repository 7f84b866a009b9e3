"""tools/dist_train.sh with two processes, one of which, or its data worker, is killed or stopped."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GROUP_TIMEOUT, DATA_TIMEOUT = 15, 5  # seconds


def start(config: Path, work_dir: Path) -> subprocess.Popen:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    command = ['tools/dist_train.sh', str(config), '2', '--work-dir', str(work_dir)]
    environment = dict(os.environ, PORT=port, PYTHON=sys.executable, OMP_NUM_THREADS='1')
    with (work_dir / 'log.txt').open('w') as log:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )


def tree(pid: int) -> dict[int, list[int]]:
    """Ranks below torchrun, in the order of their numbers, and the data workers of each."""
    parents: dict[int, list[int]] = {}
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = stat.read_text().rpartition(')')[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] != 'Z':
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    ranks = {}
    for child in parents.get(pid, []):
        environment = Path(f'/proc/{child}/environ').read_bytes().split(b'\0')
        rank = next((int(v[5:]) for v in environment if v.startswith(b'RANK=')), None)
        if rank is not None:
            ranks[rank] = child
    return {ranks[rank]: sorted(parents.get(ranks[rank], [])) for rank in sorted(ranks)}


def alive(pids: list[int]) -> list[int]:
    def state(pid: int) -> str:
        try:
            return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return 'Z'

    return [pid for pid in pids if state(pid) != 'Z']


@pytest.mark.slow  # two processes that import everything, and time-outs
@pytest.mark.parametrize(
    ('victim', 'sent', 'limit', 'message'),
    [
        ('rank', signal.SIGKILL, 10, r'rank +: 1 .*\n +exitcode +: -9'),
        # torchrun gives the stopped one 30 seconds to end.
        ('rank', signal.SIGSTOP, GROUP_TIMEOUT + 45, r'Rank 0 stops.*because rank 1 has not answered for'),
        ('worker', signal.SIGKILL, 25, r'Rank 1 failed: .*DataLoader worker \(pid.*A data worker was killed'),
        (
            'worker',
            signal.SIGSTOP,
            DATA_TIMEOUT + 25,
            r'Rank 1 failed: .*DataLoader timed out after 5 seconds',
        ),
    ],
)
def test_it_ends_and_is_named(tmp_path, tiny_pretraining, victim, sent, limit, message):
    work_dir, config = tmp_path / 'work', tmp_path / 'config.py'
    work_dir.mkdir()
    options = {
        'train_dataloader.num_workers': 2,
        'train_dataloader.timeout': DATA_TIMEOUT,
        'env_cfg.dist_cfg.timeout': GROUP_TIMEOUT,
        'train_cfg.max_epochs': 10_000,
        'default_hooks.checkpoint.interval': 20,
    }
    tiny_pretraining(**options).dump(config)
    before = set(os.listdir('/dev/shm'))
    process = start(config, work_dir)
    try:
        until = time.monotonic() + 120
        while not list(work_dir.glob('epoch_20.pth')):
            assert process.poll() is None and time.monotonic() < until, (work_dir / 'log.txt').read_text()
            time.sleep(0.1)
        ranks = tree(process.pid)
        everybody = [*ranks, *(worker for workers in ranks.values() for worker in workers)]
        assert len(ranks) == 2 and len(everybody) >= 6
        (_, first), (second, workers) = ranks.items()
        begin = time.monotonic()
        os.kill(second if victim == 'rank' else workers[-1], sent)
        while set(alive(everybody)) & {*list(ranks)[:1]}:
            assert time.monotonic() < begin + limit
            time.sleep(0.05)
        first_ended = time.monotonic() - begin
        process.wait(timeout=limit)
        all_ended = time.monotonic() - begin
        time.sleep(0.5)
        print(
            f'{victim} {sent.name}: rank 0 ended after {first_ended:.1f} s, torchrun after '
            f'{all_ended:.1f} s, with status {process.returncode}'
        )
        assert process.returncode == 1 and not alive(everybody)
    finally:
        for pid in tree(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.kill()
    log = (work_dir / 'log.txt').read_text()
    assert re.search(message, log), log[-3000:]
    assert set(os.listdir('/dev/shm')) <= before
    assert not [
        path.name
        for path in work_dir.iterdir()
        if path.suffix not in ('.pth', '.sha256', '.txt', '.py', '.json')
        and path.is_file()
        and path.name != 'last_checkpoint'
    ]
