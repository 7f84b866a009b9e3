"""Processes that are started, watched, told to end, and fail."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from clsa_mm.pretraining.lock import locked
from clsa_mm.pretraining.training import Interrupted, TrainingError, run_training, train_command

# Notes what it was told, as a training that saves.
SAVES = """
import pathlib, signal, sys, time
def save(number, frame):
    pathlib.Path(sys.argv[1]).write_text(signal.Signals(number).name)
    sys.exit(75)
signal.signal(signal.SIGTERM, save)
print('ready', flush=True)
time.sleep(60)
"""


def child(code: str, *arguments: object) -> list[str]:
    return [sys.executable, '-c', code, *map(str, arguments)]


def wait_for(path, text: str) -> None:
    while not path.exists() or text not in path.read_text():
        time.sleep(0.05)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_makes_the_training_save(tmp_path, number):
    former = signal.getsignal(number)
    console = tmp_path / 'console.txt'

    def interrupt() -> None:
        wait_for(console, 'ready')
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt).start()
    with pytest.raises(Interrupted):
        run_training(child(SAVES, tmp_path / 'saved'), console, lambda: False)
    assert (tmp_path / 'saved').read_text() == 'SIGTERM'
    assert signal.getsignal(number) is former


def test_what_has_seen_enough_ends_it_in_order(tmp_path):
    console = tmp_path / 'console.txt'
    run_training(child(SAVES, tmp_path / 'saved'), console, lambda: 'ready' in console.read_text())
    assert (tmp_path / 'saved').read_text() == 'SIGTERM'


def test_a_failure_tells_what_was_said_last(tmp_path):
    code = "print('one\\x1b[2J'); raise MemoryError('CUDA out of memory')"
    (tmp_path / 'console.txt').write_text('of an earlier run\n')
    with pytest.raises(TrainingError, match=r'ended with status 1; .*console.txt has all') as raised:
        run_training(child(code), tmp_path / 'console.txt', lambda: False)
    assert raised.value.out_of_memory
    assert 'CUDA out of memory' in str(raised.value)
    assert '\x1b' not in str(raised.value) and 'earlier' not in str(raised.value)


def test_a_killed_training_is_a_failure_with_the_signals_name(tmp_path):
    code = 'import os, signal; os.kill(os.getpid(), signal.SIGKILL)'
    with pytest.raises(TrainingError, match='ended with signal SIGKILL') as raised:
        run_training(child(code), tmp_path / 'console.txt', lambda: False)
    assert not raised.value.out_of_memory


@pytest.mark.skipif(sys.platform != 'linux', reason='the system tells of a dead parent on Linux alone')
def test_a_training_saves_when_its_parent_is_killed(tmp_path):
    code = (
        'import sys; from pathlib import Path; from clsa_mm.pretraining.training import run_training\n'
        f'run_training([sys.executable, "-c", {SAVES!r}, sys.argv[1]], Path(sys.argv[2]), lambda: False)'
    )
    console = tmp_path / 'console.txt'
    parent = subprocess.Popen(child(code, tmp_path / 'saved', console))
    wait_for(console, 'ready')
    parent.kill()
    parent.wait()
    wait_for(tmp_path / 'saved', 'SIGTERM')


def test_several_gpus_get_a_process_each(tmp_path):
    command = train_command(tmp_path / 'config.py', tmp_path / 'run', 4, ['--resume'])
    assert command[1:5] == ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=4']
    assert command[-3:] == ['--launcher', 'pytorch', '--resume']
    one = train_command(tmp_path / 'config.py', tmp_path / 'run', 1)
    assert one[1].endswith('tools/train.py') and '--launcher' not in one


def test_a_folder_has_one_run_at_a_time(tmp_path):
    said = []
    with locked(tmp_path), pytest.raises(RuntimeError, match='another process works in .* wait for it'):
        with locked(tmp_path, patience=0.3, tell=said.append):
            pass
    assert said == [f'Another process works in {tmp_path}: waiting up to 0 s for its end.']
    with locked(tmp_path):  # it is free again
        pass


def test_a_training_keeps_the_folder_until_it_has_ended(tmp_path):
    code = (
        'import sys; from pathlib import Path; from clsa_mm.pretraining.lock import locked\n'
        'from clsa_mm.pretraining.training import run_training\n'
        'with locked(Path(sys.argv[1])) as lock:\n'
        '    run_training([sys.executable, "-c", sys.argv[3]], Path(sys.argv[2]), lambda: False, [lock])'
    )
    slow = (
        'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n'
        'print("ready", flush=True); time.sleep(2)'
    )
    console = tmp_path / 'console.txt'
    parent = subprocess.Popen(child(code, tmp_path, console, slow))
    wait_for(console, 'ready')
    parent.kill()
    parent.wait()
    with pytest.raises(RuntimeError, match='another process works in'), locked(tmp_path, patience=0):
        pass
    with locked(tmp_path):
        pass
