"""Checkpoints that a signal or the clock asks for."""

import os
import signal
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from threading import Thread, current_thread, main_thread
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from clsa_mm.checkpoints.newest import INTERRUPTED, LAST
from clsa_mm.checkpoints.whole import write_whole
from clsa_mm.engine.hooks.accumulated_gradients_hook import AccumulatedGradientsHook
from clsa_mm.engine.hooks.atomic_checkpoint_hook import AtomicCheckpointHook
from clsa_mm.given_numbers import check_numbers

# "Temporary failure, try again": EX_TEMPFAIL of sysexits.h.
EXIT_STATUS = os.EX_TEMPFAIL
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
# One event often comes as several signals: from Slurm to every process, from torchrun to its own.
_ONE_EVENT_SECONDS = 10.0


@HOOKS.register_module()
class InterruptHook(Hook):
    """Saves and ends the run on SIGTERM or SIGUSR1, and saves every few minutes where that is wanted.

    After the iteration in which a signal arrives at any of the processes, ``latest_iter_N.pth`` is written
    and all of them exit with status 75 (``EX_TEMPFAIL``), by which ``torchrun --max-restarts``, Slurm or a
    loop of the shell knows that the run is to go on with ``--resume``. Nothing is lost. More signals within
    ten seconds change nothing, a later one ends the process at once; so does Ctrl-C.

    With ``minutes`` such a checkpoint is also written whenever so much time has passed since the last one of
    any kind, by the clock of the first process. Of these checkpoints only the latest is kept, and none once
    ``CheckpointHook`` has written a later one.

    Args:
        minutes: Minutes between checkpoints, above 0. Defaults to None, none by the clock.
        interval: Iterations after which several processes ask each other whether a signal has come; a
            single one looks after each. Defaults to 1.

    Raises:
        ValueError: If ``minutes`` is not above 0 or ``interval`` is less than 1.
        SystemExit: In training, after a signal.
        OSError: In training, if the checkpoint cannot be written.
    """

    # After everything else that belongs to an iteration.
    priority = 'LOWEST'

    def __init__(self, minutes: float | None = None, interval: int = 1) -> None:
        check_numbers('InterruptHook', minutes=minutes)
        check_numbers('InterruptHook', whole=True, interval=interval)
        if minutes is not None and not minutes > 0:
            raise ValueError(f'minutes between checkpoints must be above 0, or None, got {minutes}')
        if interval < 1:
            raise ValueError(f'interval must be at least 1 iteration, got {interval}')
        self.minutes = minutes
        self.interval = interval
        self._signal = 0
        self._since = self._saved_at = 0.0
        self._former: dict[int, Any] = {}
        self._regular: str | None = None

    def before_train(self, runner: Runner) -> None:
        """Listen to the signals."""
        self._saved_at = time.monotonic()
        if current_thread() is main_thread():  # no other may
            self._former = {number: signal.signal(number, self._note) for number in SIGNALS}
            _listening.add(os.getpid())
        loops = [loop for loop in (runner.train_loop, runner.val_loop) if loop is not None]
        for loader in (loop.dataloader for loop in loops if isinstance(loop.dataloader, DataLoader)):
            let_workers_outlive_signals(loader)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Save if a signal or the clock asks for it, and exit if it was a signal."""
        self._drop_superseded(runner)
        number, due = self._agree(runner)
        if number or due:
            self._save(runner)
        if number:
            barrier()  # a launcher kills the others as soon as one exits, and the first may still be writing
            runner.logger.warning(
                f'{signal.Signals(number).name}: saved after iteration {runner.iter + 1}. Exits with status '
                f'{EXIT_STATUS}; go on with --resume.'
            )
            runner.visualizer.close()
            for each in self._former:  # what follows is the launcher's answer to the first exit
                signal.signal(each, signal.SIG_IGN)
            raise SystemExit(EXIT_STATUS)

    def after_train_epoch(self, runner: Runner) -> None:
        """Remove what the epoch's checkpoint supersedes."""
        self._drop_superseded(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Start the clock anew; the runner calls this in the first process alone."""
        self._saved_at = time.monotonic()

    def after_train(self, runner: Runner) -> None:
        """Leave the signals to whom they were."""
        _listening.discard(os.getpid())
        for number, handler in self._former.items():
            signal.signal(number, handler or signal.SIG_DFL)

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self._signal:
            self._signal, self._since = number, now
        elif now - self._since > _ONE_EVENT_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _agree(self, runner: Runner) -> tuple[int, bool]:
        """The signal, or 0, and whether it is time to save: the same in all processes."""
        passed = time.monotonic() - self._saved_at
        due = self.minutes is not None and is_main_process() and passed >= 60 * self.minutes
        if runner.world_size == 1:
            return self._signal, due
        if not self.every_n_train_iters(runner, self.interval):
            return 0, False
        asked = torch.tensor([self._signal, int(due)])
        all_reduce(asked, 'max')
        return int(asked[0]), bool(asked[1])

    def _save(self, runner: Runner) -> None:
        regular = _checkpoint_hook(runner)
        if regular and not regular.by_epoch and _is_of(regular, runner.iter + 1):
            return  # it has just been written
        for hook in runner.hooks:
            if isinstance(hook, AccumulatedGradientsHook):
                hook.collect(runner)
        runner.logger.info(f'Saving checkpoint at {runner.iter + 1} iterations')
        atomic = isinstance(regular, AtomicCheckpointHook)
        with regular.explained(runner) if atomic else nullcontext():
            self._write(runner, regular)

    def _write(self, runner: Runner, regular: CheckpointHook | None) -> None:
        folder = regular.out_dir if regular else runner.work_dir
        name = INTERRUPTED.format(runner.iter + 1)
        runner.save_checkpoint(
            folder,
            name,
            save_param_scheduler=runner.param_schedulers is not None,
            meta=dict(epoch=runner.epoch, iter=runner.iter + 1),
            by_epoch=False,
            backend_args=regular.backend_args if regular else None,
        )
        path = str(Path(folder, name))
        if isinstance(regular, AtomicCheckpointHook):
            regular.note(runner, LAST, path)
        elif is_main_process():
            write_whole(Path(runner.work_dir, LAST), path.encode())
        if is_main_process():
            _remove(Path(folder), but=name)

    def _drop_superseded(self, runner: Runner) -> None:
        regular = _checkpoint_hook(runner)
        if regular and regular.last_ckpt != self._regular:
            self._regular = regular.last_ckpt
            if is_main_process():
                _remove(Path(regular.out_dir))


def _checkpoint_hook(runner: Runner) -> CheckpointHook | None:
    return next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)


def _is_of(hook: CheckpointHook, number: int) -> bool:
    """Whether the last checkpoint of the hook is of this epoch or iteration."""
    return hook.last_ckpt is not None and Path(hook.last_ckpt).name == hook.filename_tmpl.format(number)


def _remove(folder: Path, but: str | None = None) -> None:
    """Remove this hook's checkpoints in a folder, and what lies beside them under their names."""
    for path in folder.glob(INTERRUPTED.format('*') + '*'):
        if but is None or not path.name.startswith(but):
            path.unlink(missing_ok=True)


# Processes that are forked, a metric's pool for one, are ended by SIGTERM: they must not note it. One that
# comes while they start, when Python runs no handler, waits for them.
_listening: set[int] = set()
_masks: list[set[signal.Signals]] = []


def _before_fork() -> None:
    if os.getpid() in _listening:
        _masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS))


def _after_fork(handlers: dict[int, signal.Handlers]) -> None:
    if _masks:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, _masks.pop())


os.register_at_fork(
    before=_before_fork,
    after_in_parent=partial(_after_fork, {}),
    after_in_child=partial(_after_fork, {signal.SIGTERM: signal.SIG_DFL, signal.SIGUSR1: signal.SIG_IGN}),
)


def let_workers_outlive_signals(loader: DataLoader) -> None:
    """Let a loader's data workers go on after a signal that came to all processes of the run.

    Args:
        loader: Changed in place, for the workers that it starts from now on.
    """
    loader.worker_init_fn = partial(_outlive_signal, loader.worker_init_fn)


def _outlive_signal(initialise: Any, worker: int) -> None:
    """Initialise a data worker."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    # In a thread, for it can tell who sent the signal: the parent ends a worker by a single SIGTERM.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    Thread(target=_end_when_told, args=(os.getppid(),), daemon=True).start()
    if initialise is not None:
        initialise(worker)


def _end_when_told(parent: int) -> None:
    """End this process at the first SIGTERM of its parent, or the second one of others."""
    for status in (None, 128 + signal.SIGTERM):
        by_parent = signal.sigwaitinfo({signal.SIGTERM}).si_pid == parent
        if by_parent or status is not None:
            os._exit(0 if by_parent else status)
