"""Runs of several processes that are told to end, started as users start them."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bitwise import difference, run_state

ROOT = Path(__file__).parents[2]

CONFIG = """
_base_ = 'clsa_mm::cifar10/clsa_r18_1xb256_200e_cifar10.py'
custom_imports = dict(imports=['clsa_mm', 'told_to_end'])
model = dict(
    backbone=dict(base_channels=8, stem_channels=8),
    neck=dict(in_channels=64, hid_channels=32),
    queue_len=24,
)
train_dataloader = dict(batch_size=4, num_workers=1, dataset=dict(data_root='{images}'))
train_cfg = dict(max_epochs={epochs})
optim_wrapper = dict(accumulative_counts=4)
default_hooks = dict(knn=None, told_to_end=dict(type='ToldToEnd', iteration={iteration}))
"""
HOOK = '''
import os, pathlib, signal
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class ToldToEnd(Hook):
    """The second process gets a signal in an iteration, once."""

    def __init__(self, iteration):
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        told = pathlib.Path(runner.work_dir, 'told')
        if runner.iter == self.iteration and runner.rank == 1 and not told.exists():
            told.touch()
            os.kill(os.getpid(), signal.SIGTERM)
'''


@pytest.fixture
def start(image_root: Path, tmp_path: Path):
    """Start two processes in a work dir, of which the second may be told to end in some iteration."""
    (tmp_path / 'told_to_end.py').write_text(HOOK)
    processes = []

    def start(work_dir: Path, epochs: int, iteration: int = -1, **environment: str) -> subprocess.Popen:
        config = tmp_path / f'{work_dir.name}.py'
        config.write_text(CONFIG.format(images=image_root, epochs=epochs, iteration=iteration))
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = str(free.getsockname()[1])
        environment = dict(
            os.environ, PYTHONPATH=f'{ROOT}:{tmp_path}', OMP_NUM_THREADS='1', PORT=port, **environment
        )
        process = subprocess.Popen(
            ['tools/dist_train.sh', config, '2', '--work-dir', work_dir, '--resume'],
            cwd=ROOT,
            env=environment | dict(PYTHON=sys.executable),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.terminate()  # and with it those that torchrun has started
        process.wait(60)


@pytest.mark.slow
def test_torchrun_goes_on_by_itself(start, tmp_path: Path) -> None:
    """One of two processes is told to end within a step: both save, exit, and are started anew."""
    straight, told = tmp_path / 'straight', tmp_path / 'run'
    processes = [start(straight, 2), start(told, 2, iteration=9, MAX_RESTARTS='1')]
    logs = [process.communicate(timeout=500)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], '\n'.join(logs)
    assert 'SIGTERM: saved after iteration 10. Exits with status 75' in logs[1]
    assert 'resumed epoch: 1, iter: 10' in logs[1] and 'resumed epoch' not in logs[0]
    expected, resumed = (run_state(path / 'epoch_2.pth') for path in (straight, told))
    assert expected['iter'] == 12 and expected['state_dict']['queue.num_enqueued'] == 96
    assert difference(expected, resumed) is None


@pytest.mark.slow
def test_torchrun_passes_signals_on(start, tmp_path: Path) -> None:
    """A signal to torchrun reaches its processes, which save before it ends them."""
    run = tmp_path / 'run'
    process = start(run, 1000)
    deadline = time.monotonic() + 300
    while not (run / 'epoch_1.pth').exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGUSR1)
    output, _ = process.communicate(timeout=100)
    assert process.returncode != 0 and 'SIGUSR1: saved after iteration' in output, output
    assert len(list(run.glob('latest_iter_*.pth'))) == 1
