"""Checkpoints that survive a kill, a full disk and a damaged file."""

import json
import os.path as osp
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from clsa_mm.checkpoints.newest import LAST, checkpoint_to_resume, newest_whole
from clsa_mm.checkpoints.read import CheckpointError
from clsa_mm.checkpoints.whole import remove_checkpoint, write_checkpoint_bytes, write_whole
from clsa_mm.engine.failed_writes import remedy, with_patience
from clsa_mm.given_numbers import check_numbers
from clsa_mm.printable import printable

RECORD = 'kept_checkpoints.json'


def checkpoint_folder(work_dir: str | Path, out_dir: str | Path | None) -> Path:
    """Where ``CheckpointHook`` writes: the work dir, or a folder of its name in ``out_dir``.

    Args:
        work_dir: Of the run.
        out_dir: The hook's setting, None if it has none.
    """
    work_dir = osp.abspath(work_dir)
    if out_dir is None or str(out_dir) == work_dir:
        return Path(work_dir)
    return Path(out_dir, osp.basename(work_dir))


@register_backend('clsa_mm.whole_files')
class WholeFiles(LocalBackend):
    """mmengine's back end of local files, for checkpoints: whole and with their hashes, or not there.

    What is to be removed stays until it is said that what takes its place is written.

    Args:
        retries: How often to try again where a file cannot be written.
        seconds: To wait before each.
    """

    def __init__(self, retries: int = 0, seconds: float = 0.0) -> None:
        self.retries, self.seconds = retries, seconds
        self._outdated: list[Path] = []

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write a checkpoint."""
        with_patience(lambda: write_checkpoint_bytes(Path(filepath), obj), self.retries, self.seconds)

    def remove(self, filepath: str | Path) -> None:
        """Note a checkpoint that is to be removed."""
        self._outdated.append(Path(filepath))

    def remove_outdated(self, *in_use: str | None) -> None:
        """Remove what was noted, but these."""
        for path in set(self._outdated) - {Path(name) for name in in_use if name}:
            remove_checkpoint(path)
        self._outdated.clear()


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook, safe against what happens to runs of days.

    - A checkpoint is written to another name in its folder, flushed and renamed, and its sha256 is put
      beside it (``epoch_1.pth.sha256``); so are ``last_checkpoint`` and the list of what is kept.
    - An older one is removed (``max_keep_ckpts``, ``save_best``) when the new one is on the disk.
    - A resume takes the newest checkpoint that is whole, and says which it passed over and why.
    - A run removes what it has written itself: numbers of checkpoints to remove are kept in the work dir,
      where mmengine takes them from the file that is resumed, whosever that is. The best checkpoint, which
      a better one replaces, is forgotten where it lies in another run's folder.
    - What cannot be written stops the run, after ``write_retries``, with an error that says what to do and
      which checkpoint is whole.

    Where ``out_dir`` is on another storage than the file system, or ``backend_args`` name one, it is written
    as mmengine does.

    Args:
        *args: Of CheckpointHook.
        write_retries: How often to try again where the system refuses to write. While one process waits the
            others wait for it, so that all tries together have to be shorter than the time-out of the
            process group (``env_cfg.dist_cfg.timeout``).
        retry_seconds: To wait before each.
        **kwargs: Of CheckpointHook.

    Raises:
        ValueError: If ``write_retries`` or ``retry_seconds`` are negative; before training, if a folder to
            write to has a name that is no UTF-8.
        CheckpointError: Before a resume, if the checkpoint that is asked for, or every one, is damaged.
        OSError: In training, if a checkpoint cannot be written.
    """

    def __init__(
        self, *args: Any, write_retries: int = 0, retry_seconds: float = 60.0, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        check_numbers('AtomicCheckpointHook', whole=True, write_retries=write_retries)
        check_numbers('AtomicCheckpointHook', retry_seconds=retry_seconds)
        if write_retries < 0 or retry_seconds < 0:
            raise ValueError(
                'AtomicCheckpointHook: write_retries and retry_seconds must be 0 or more, got '
                f'{write_retries} and {retry_seconds}.'
            )
        self.write_retries, self.retry_seconds = write_retries, retry_seconds

    def before_run(self, runner: Runner) -> None:
        """Choose the checkpoint to resume; the first process does it for all."""
        if not runner._resume:
            return
        chosen: list = [None, [], None]
        if is_main_process():
            try:
                self._clear_away(runner)
                chosen[:2] = checkpoint_to_resume(
                    self._folders(runner), self.filename_tmpl, runner._load_from
                )
            except (CheckpointError, OSError) as error:
                chosen[2] = str(error)
        broadcast_object_list(chosen)
        runner._load_from, passed_over, wrong = chosen
        for line in passed_over:
            runner.logger.warning(f'Not resumed: {line}.')
        if wrong is not None:
            raise CheckpointError(wrong)
        runner.logger.info(f'Resuming {runner._load_from or "nothing: there is no checkpoint yet"}.')

    def before_train(self, runner: Runner) -> None:
        """Take over what the run has written so far, and see that more can be written."""
        if runner._resume:
            self._take_own(runner)
        out_dir = str(self.out_dir or runner.work_dir)
        for folder in (runner.work_dir, out_dir):
            _require_utf8(folder)
        if not (self.file_client_args or self.backend_args or '://' in out_dir):
            patience = dict(retries=self.write_retries, seconds=self.retry_seconds)
            self.backend_args = dict(backend='clsa_mm.whole_files', **patience)
        super().before_train(runner)
        if is_main_process() and isinstance(self.file_backend, WholeFiles):
            with self.explained(runner):
                Path(self.out_dir).mkdir(parents=True, exist_ok=True)
                tempfile.TemporaryFile(dir=self.out_dir).close()

    def _take_own(self, runner: Runner) -> None:
        """Put the work dir's numbers in place of the checkpoint's, and forget the best of another run."""
        record, own = Path(runner.work_dir, RECORD), checkpoint_folder(runner.work_dir, self.out_dir)
        source = runner._load_from
        from_here = source is None or Path(source).resolve().parent in {
            folder.resolve() for folder in self._folders(runner)
        }
        numbers = _numbers(runner, record) if from_here else []
        done = runner.epoch if self.by_epoch else runner.iter
        runner.message_hub.update_info('keep_ckpt_ids', [number for number in numbers if number <= done])
        info = runner.message_hub.runtime_info
        for name in [name for name in info if name.startswith('best_ckpt')]:
            if Path(str(info[name])).resolve().parent != own.resolve():
                runner.message_hub.pop_info(name)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Write the checkpoint, then what names it, then remove the one that it is too much for."""
        if not isinstance(self.file_backend, WholeFiles):
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        numbers = self._count(runner, step)
        with self.explained(runner):
            self.note(runner, RECORD, json.dumps(numbers))
            runner.save_checkpoint(
                self.out_dir,
                name,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                backend_args=self.backend_args,
                **self.args,
            )
            self.note(runner, LAST, self.last_ckpt)
            self._remove_outdated()
        if numbers:
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))

    def _count(self, runner: Runner, step: int) -> list[int]:
        """The numbers of the checkpoints that are there while this one is written."""
        if self.max_keep_ckpts <= 0:
            return []
        numbers = list(self.keep_ckpt_ids)
        if step not in numbers[-1:]:
            numbers.append(step)
            self.keep_ckpt_ids.append(step)  # drops the first where they are too many
        for number in set(numbers) - set(self.keep_ckpt_ids):
            self.file_backend.remove(osp.join(self.out_dir, self.filename_tmpl.format(number)))
        runner.message_hub.update_info('keep_ckpt_ids', numbers)
        return numbers

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Write the best checkpoint, if it is, and then remove the one before."""
        with self.explained(runner):
            super()._save_best_checkpoint(runner, metrics)
            self._remove_outdated()

    def _remove_outdated(self) -> None:
        if is_main_process() and isinstance(self.file_backend, WholeFiles):
            best = getattr(self, 'best_ckpt_path_dict', {}).values()
            self.file_backend.remove_outdated(self.last_ckpt, getattr(self, 'best_ckpt_path', None), *best)

    def note(self, runner: Runner, name: str, text: str) -> None:
        """Let the first process write a file in the work dir, whole and with the patience of a checkpoint."""
        if is_main_process():
            path = Path(runner.work_dir, name)
            with_patience(lambda: write_whole(path, text.encode()), self.write_retries, self.retry_seconds)

    def _folders(self, runner: Runner) -> list[Path]:
        """Where checkpoints of the run lie."""
        folders = (Path(osp.abspath(runner.work_dir)), checkpoint_folder(runner.work_dir, self.out_dir))
        return list(dict.fromkeys(folders))

    def _clear_away(self, runner: Runner) -> None:
        """Remove what a killed run was writing."""
        for folder in self._folders(runner):
            for path in folder.glob('.*.unfinished'):
                if path.is_file():
                    path.unlink()
                    runner.logger.warning(f'Removed {path}, which a run was writing when it ended.')

    @contextmanager
    def explained(self, runner: Runner) -> Iterator[None]:
        """Say what to do about a write that fails, and what is left."""
        try:
            yield
        except OSError as error:
            folders = {Path(osp.abspath(runner.work_dir)), Path(self.out_dir)}
            newest, _ = newest_whole(folders, self.filename_tmpl)
            left = 'No whole checkpoint is to be found'
            if newest is not None:
                left = f'The newest whole checkpoint is {newest}: go on from it with --resume'
            raise OSError(
                f'{error} {remedy(error, Path(self.out_dir))} {left}. To wait instead where this happens, '
                'set default_hooks.checkpoint.write_retries.'
            ) from error


def _require_utf8(folder: str) -> None:
    """Refuse a name that no checkpoint could hold, before an epoch is lost to it."""
    try:
        folder.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f'{printable(folder)} is no name in UTF-8, so that no checkpoint could hold it: give another '
            'folder (--work-dir).'
        ) from None


def _numbers(runner: Runner, record: Path) -> list[int]:
    """The numbers that a run has noted; none where the file is damaged, so that what it has written stays."""
    if not record.exists():
        return []
    try:
        found = json.loads(record.read_bytes()) if record.is_file() else None
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, list) and all(type(number) is int for number in found):
        return found
    runner.logger.warning(f'{record} is no list of numbers: the checkpoints that are there are kept.')
    return []
