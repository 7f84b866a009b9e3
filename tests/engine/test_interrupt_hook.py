"""A run that is told to end: what it leaves, and how it goes on."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bitwise import difference, run_state
from child_process import run_in_child
from mmengine.hooks import Hook
from mmengine.runner import Runner
from small_training import small_runner

from clsa_mm.engine.hooks import InterruptHook
from clsa_mm.engine.hooks.interrupt_hook import _outlive_signal

ACCUMULATED = dict(optim_wrapper__accumulative_counts=3)


class Signals(Hook):
    """Sends this process signals in the eighth iteration."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        if runner.iter == 7:
            for number in self.numbers:
                os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def _handlers_as_they_were() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    yield
    assert {number: signal.getsignal(number) for number in handlers} == handlers


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob('*.pth'))


class Pooled(Hook):
    """Forks processes, as a metric's pool does, and ends them by a signal."""

    def __init__(self) -> None:
        self.ends: list[int | None] = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        context = multiprocessing.get_context('fork')
        for pause in (0, 0, 0, 0.001, 0.01, 0.1):  # before it runs anything, and while it waits
            process = context.Process(target=context.SimpleQueue().get, daemon=True)
            process.start()
            time.sleep(pause)
            process.terminate()
            process.join(20)
            self.ends.append(process.exitcode)
            process.kill()


def test_processes_of_a_pool_end_when_told(tmp_path: Path) -> None:
    pooled = Pooled()
    small_runner(tmp_path, 1, hooks=[pooled]).train()
    assert len(pooled.ends) == 36 and set(pooled.ends) == {-signal.SIGTERM}
    assert names(tmp_path) == ['epoch_1.pth']


@pytest.mark.parametrize(
    'numbers', [(signal.SIGTERM,), (signal.SIGUSR1,), (signal.SIGTERM, signal.SIGTERM, signal.SIGUSR1)]
)
def test_a_signal_loses_nothing(tmp_path: Path, numbers: tuple[int, ...]) -> None:
    small_runner(tmp_path / 'straight', 3, **ACCUMULATED).train()
    run = tmp_path / 'run'
    done = run_in_child(lambda: small_runner(run, 3, hooks=[Signals(*numbers)], **ACCUMULATED).train())
    assert done.returncode == 75
    said = f'{numbers[0].name}: saved after iteration 8. Exits with status 75; go on with --resume'
    assert said in done.stdout + done.stderr
    assert names(run) == ['epoch_1.pth', 'latest_iter_8.pth']
    assert (run / 'last_checkpoint').read_text() == str(run / 'latest_iter_8.pth')
    small_runner(run, 3, **ACCUMULATED).train()
    assert names(run) == ['epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth']
    assert difference(run_state(tmp_path / 'straight/epoch_3.pth'), run_state(run / 'epoch_3.pth')) is None


def test_a_signal_to_all_processes_of_a_run(tmp_path: Path) -> None:
    """Its data workers, too, as Slurm sends it."""
    workers = dict(train_dataloader__num_workers=2, train_dataloader__persistent_workers=True)
    run = tmp_path / 'run'

    class ToAll(Hook):
        def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
            if runner.iter == 7:
                os.killpg(0, signal.SIGTERM)

    def train() -> None:
        os.setpgid(0, 0)
        small_runner(run, 3, hooks=[ToAll()], **workers).train()

    done = run_in_child(train)
    assert done.returncode == 75, done.stderr
    assert names(run) == ['epoch_1.pth', 'latest_iter_8.pth']
    small_runner(tmp_path / 'straight', 3, **workers).train()
    small_runner(run, 3, **workers).train()
    assert difference(run_state(tmp_path / 'straight/epoch_3.pth'), run_state(run / 'epoch_3.pth')) is None


def test_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    def train() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
        small_runner(tmp_path, 3, hooks=[Signals(signal.SIGINT)]).train()

    done = run_in_child(train)
    assert 'KeyboardInterrupt' in done.stderr and done.returncode not in (0, 75)
    assert names(tmp_path) == ['epoch_1.pth']


class Stuck(Hook):
    """An iteration that ends after eleven seconds, as the hook's clock has it, and another signal."""

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        real = time.monotonic
        time.monotonic = lambda: real() + 11
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_later_signal_ends_at_once(tmp_path: Path) -> None:
    done = run_in_child(lambda: small_runner(tmp_path, 1, hooks=[Stuck()]).train())
    assert done.returncode == -signal.SIGTERM
    assert names(tmp_path) == []


def test_where_a_checkpoint_has_just_been_written(tmp_path: Path) -> None:
    by_iteration = dict(type='CheckpointHook', by_epoch=False, interval=4)
    options = dict(default_hooks__checkpoint=by_iteration)
    done = run_in_child(lambda: small_runner(tmp_path, 3, hooks=[Signals(signal.SIGTERM)], **options).train())
    assert done.returncode == 75
    assert names(tmp_path) == ['iter_4.pth', 'iter_8.pth']


@pytest.mark.parametrize('options', [{}, dict(default_hooks__interrupt__minutes=1e-9)])
def test_what_cannot_be_written_is_told_with_what_is_whole(tmp_path: Path, options: dict) -> None:
    """As of the other checkpoints."""
    small_runner(tmp_path, 1).train()
    (tmp_path / 'latest_iter_7.pth' if options else tmp_path / 'latest_iter_8.pth').mkdir()
    sends = [] if options else [Signals(signal.SIGTERM)]
    done = run_in_child(lambda: small_runner(tmp_path, 2, hooks=sends, **options).train())
    assert done.returncode == 1 and 'Is a directory' in done.stderr
    assert f'The newest whole checkpoint is {tmp_path}/epoch_1.pth: go on from it with' in done.stderr
    assert names(tmp_path) == ['epoch_1.pth', f'latest_iter_{7 if options else 8}.pth']


class Watch(Hook):
    """Lets a minute pass with each iteration, and notes which checkpoints there are at its start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.minutes, self.seen = 0, []
        monkeypatch.setattr(time, 'monotonic', lambda: 60.0 * self.minutes)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        self.seen.append(names(Path(runner.work_dir)))
        self.minutes += 1


def test_checkpoints_by_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two and four minutes after the start of an epoch of six; what is superseded goes."""
    watch = Watch(monkeypatch)
    small_runner(tmp_path, 2, hooks=[watch], default_hooks__interrupt__minutes=2).train()
    first = [f'latest_iter_{i}.pth' for i in (2, 2, 4, 4)]
    second = [f'latest_iter_{i}.pth' for i in (8, 8, 10, 10)]
    epoch = ['epoch_1.pth']
    assert watch.seen == [
        [],
        [],
        *([name] for name in first),
        epoch,
        epoch,
        *(epoch + [name] for name in second),
    ]
    assert names(tmp_path) == ['epoch_1.pth', 'epoch_2.pth']


def test_a_worker_outlives_a_signal_to_all() -> None:
    """A second one ends it."""

    def worker() -> None:
        _outlive_signal(None, 0)
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)
        print('alive', flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    done = run_in_child(worker)
    assert done.stdout == 'alive\n' and done.returncode == 128 + signal.SIGTERM


def test_a_worker_ends_when_its_parent_says_so() -> None:
    """Which it says once, and then waits without end."""
    context = multiprocessing.get_context('fork')
    ready, announce = context.Pipe(duplex=False)

    def worker() -> None:
        _outlive_signal(lambda number: announce.send(number), 3)
        time.sleep(60)

    process = context.Process(target=worker)
    process.start()
    assert ready.recv() == 3
    process.terminate()
    process.join(30)
    assert process.exitcode == 0


@pytest.mark.parametrize('settings', [dict(minutes=0), dict(minutes=-1.0), dict(interval=0)])
def test_settings(settings: dict) -> None:
    (name, value) = next(iter(settings.items()))
    with pytest.raises(ValueError, match=rf'{name} .*got {value}'):
        InterruptHook(**settings)
