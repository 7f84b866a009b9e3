"""A training in processes of its own, watched from this one."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from statistics import mean
from threading import current_thread, main_thread
from typing import NamedTuple

from clsa_mm.engine.config_bases import config_folder
from clsa_mm.engine.hooks.interrupt_hook import EXIT_STATUS
from clsa_mm.printable import printable
from clsa_mm.visualization.run_log import read_run

_POLL_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1
# Of the measured steps the first ones start workers and choose algorithms.
_WARM_UP, _FEWEST_STEPS, _MEASURED_SECONDS = 3, 8, 20.0


class Pace(NamedTuple):
    """How fast a training goes.

    Attributes:
        start: Seconds until the first step begins.
        step: Seconds of a step.
        waiting: The part of it that waits for data, in [0, 1].
    """

    start: float
    step: float
    waiting: float


class TrainingError(RuntimeError):
    """A training has failed; the message has the end of what it said."""

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.out_of_memory = 'out of memory' in said.lower()


class Interrupted(Exception):
    """The training was told to end, and has saved."""


def train_command(config: Path, work_dir: Path, gpus: int, arguments: Sequence[str] = ()) -> list[str]:
    """What to type for the same training.

    Args:
        config: The config.
        work_dir: Its work dir.
        gpus: Number of GPUs, each of which gets a process; 0 and 1 need no launcher.
        arguments: Further ones of tools/train.py.
    """
    script = str(config_folder().parent / 'tools' / 'train.py')
    start, launcher = [sys.executable], []
    if gpus > 1:
        start += ['-m', 'torch.distributed.run', '--standalone', f'--nproc-per-node={gpus}']
        launcher = ['--launcher', 'pytorch']
    return [*start, script, str(config), '--work-dir', str(work_dir), *launcher, *arguments]


def run_training(
    command: Sequence[str], console: Path, watch: Callable[[], bool], hand_on: Sequence[int] = ()
) -> None:
    """Run it to its end, or until enough is seen. Ctrl-C and SIGTERM make it save and end.

    Args:
        command: What :func:`train_command` gives.
        console: File that gets what it says.
        watch: Is called twice a second meanwhile; where it says True the training is told to end.
        hand_on: Descriptors that stay open in it, of a lock. Defaults to none.

    Raises:
        Interrupted: If it was told to end from outside, and has saved.
        TrainingError: If it has failed.
    """
    console.parent.mkdir(parents=True, exist_ok=True)
    with console.open('ab') as said:
        before = said.tell()
        child = subprocess.Popen(
            command,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C comes to this process alone, which passes it on in order
            preexec_fn=partial(_end_with_parent, os.getpid()),
            pass_fds=hand_on,
        )
    told: list[int] = []

    def tell(number: int, frame: object) -> None:
        told.append(number)
        if child.poll() is None:
            os.kill(child.pid, signal.SIGTERM if len(told) == 1 else signal.SIGKILL)

    enough = False
    heard = (signal.SIGINT, signal.SIGTERM) if current_thread() is main_thread() else ()
    former = {number: signal.signal(number, tell) for number in heard}
    try:
        while child.poll() is None:
            if watch() and not enough:
                enough = True
                child.terminate()
            time.sleep(_POLL_SECONDS)
        watch()
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        if child.poll() is None:
            child.terminate()
            child.wait()
    if told:
        raise Interrupted
    if child.returncode and not enough:
        text = console.read_bytes()[before:].decode(errors='replace')
        raise TrainingError(_failure(child.returncode, console, text), text)


def measure(config: Path, folder: Path, gpus: int, console: Path, hand_on: Sequence[int] = ()) -> Pace:
    """Time the first steps of a training that is thrown away, for some 20 seconds.

    Args:
        config: The config.
        folder: For what it writes; removed afterwards.
        gpus: As of :func:`train_command`.
        console: As of :func:`run_training`.
        hand_on: As of :func:`run_training`.

    Raises:
        Interrupted: If it was told to end.
        TrainingError: If it has failed.
    """
    options = ['default_hooks.logger.interval=1', 'log_processor.window_size=1']
    command = train_command(config, folder, gpus, ['--cfg-options', *options])
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    times: list[float] = []
    waits: list[float] = []
    passed = 0.0

    def enough() -> bool:
        nonlocal passed
        with suppress(FileNotFoundError):
            scalars = read_run(folder).scalars
            new = len(scalars.get('time', ())) > len(times)
            times[:], waits[:] = (
                [value for _, value in scalars.get(name, ())] for name in ('time', 'data_time')
            )
            passed = time.monotonic() - began if new else passed
        return len(times) >= _FEWEST_STEPS and sum(times[_WARM_UP:]) >= _MEASURED_SECONDS

    try:
        run_training(command, console, enough, hand_on)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not times:
        raise TrainingError(f'the first steps of {config} left no log; {console} has what was said', '')
    first = min(_WARM_UP, len(times) - 1)  # a training can be shorter
    step = mean(times[first:])
    return Pace(max(0.0, passed - sum(times)), step, min(1.0, mean(waits[first:]) / step))


def _end_with_parent(parent: int) -> None:
    """Let the system send SIGTERM when the parent dies in whatever way; on Linux."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it has died meanwhile
            os._exit(EXIT_STATUS)


def _failure(status: int, console: Path, said: str) -> str:
    lines = [printable(line) for line in said.splitlines() if line.strip()]
    ended = f'signal {signal.Signals(-status).name}' if status < 0 else f'status {status}'
    return '\n'.join([f'the training ended with {ended}; {console} has all that it said:', *lines[-5:]])
