"""Checkpoints stay whole whatever happens; a run deletes its own old ones, and nobody else's."""

import errno
import os
import re
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from child_process import run_in_child
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner
from small_training import small_runner

from clsa_mm.checkpoints.newest import flaw
from clsa_mm.checkpoints.read import CheckpointError
from clsa_mm.engine.hooks import AtomicCheckpointHook

KEEP_TWO = dict(default_hooks__checkpoint__max_keep_ckpts=2)


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob('*.pth'))


def rewrite(path: Path, numbers: list[int]) -> None:
    """Another list of checkpoints to delete."""
    checkpoint = torch.load(path, weights_only=False)
    checkpoint['message_hub']['runtime_info']['keep_ckpt_ids'] = numbers
    torch.save(checkpoint, path)


def test_a_resumed_run_keeps_to_its_number(tmp_path: Path) -> None:
    for epochs in (3, 4, 6):
        small_runner(tmp_path, epochs, **KEEP_TWO).train()
        assert checkpoints(tmp_path) == [f'epoch_{epochs - 1}.pth', f'epoch_{epochs}.pth']


def test_a_name_that_is_no_utf8_is_refused_before_training(tmp_path: Path) -> None:
    runner = small_runner(tmp_path / os.fsdecode(b'caf\xe9'), 1)
    with pytest.raises(ValueError, match=r'caf.* is no name in UTF-8.*: give another folder'):
        runner.train()
    assert runner.iter == 0


def test_numbers_of_iterations(tmp_path: Path) -> None:
    hook = dict(type='AtomicCheckpointHook', by_epoch=False, interval=6, max_keep_ckpts=2)
    for iterations in (12, 18):
        runner = small_runner(tmp_path, 1, default_hooks__checkpoint=hook)
        runner._train_loop = dict(by_epoch=False, max_iters=iterations)
        runner.train()
    assert checkpoints(tmp_path) == ['iter_12.pth', 'iter_18.pth']


@pytest.mark.parametrize('numbers', [[7, 8, 9, 1, 2], [7], [2, 2, 2]])
def test_a_list_in_the_checkpoint_deletes_nothing(tmp_path: Path, numbers: list[int]) -> None:
    small_runner(tmp_path, 2, **KEEP_TWO).train()
    rewrite(tmp_path / 'epoch_2.pth', numbers)
    for number in (7, 8, 9):
        (tmp_path / f'epoch_{number}.pth').touch()
    small_runner(tmp_path, 3, **KEEP_TWO).train()
    assert checkpoints(tmp_path) == [f'epoch_{number}.pth' for number in (2, 3, 7, 8, 9)]


@pytest.mark.parametrize('content', ['{', '["../x", 1]', '{"a": 1}', '[' * 100_000, '\xff', None])
def test_a_damaged_list_deletes_nothing(tmp_path: Path, content: str | None) -> None:
    small_runner(tmp_path, 2, **KEEP_TWO).train()
    record = tmp_path / 'kept_checkpoints.json'
    record.unlink()
    if content is None:
        os.mkfifo(record)
    else:
        record.write_text(content, encoding='latin-1')
    lines = []
    runner = small_runner(tmp_path, 4, **KEEP_TWO)
    runner.logger.warning = lambda line, *args: lines.append(line)
    runner.train()
    assert any('json is no list of numbers: the checkpoints that are there are kept' in x for x in lines)
    assert checkpoints(tmp_path) == [f'epoch_{number}.pth' for number in (1, 2, 3, 4)]
    assert record.read_text() == '[3, 4]'


def test_a_checkpoint_from_elsewhere_deletes_nothing(tmp_path: Path) -> None:
    """Nor does it when this work dir has kept a list of its own."""
    for name in ('here', 'elsewhere'):
        small_runner(tmp_path / name, 2, **KEEP_TWO).train()
    runner = small_runner(tmp_path / 'here', 3, **KEEP_TWO)
    runner._load_from = str(tmp_path / 'elsewhere' / 'epoch_2.pth')
    runner.train()
    assert checkpoints(tmp_path / 'here') == ['epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth']


def test_going_back_spares_what_came_later(tmp_path: Path) -> None:
    small_runner(tmp_path, 4, default_hooks__checkpoint__max_keep_ckpts=3).train()
    runner = small_runner(tmp_path, 3, **KEEP_TWO)
    runner._load_from = str(tmp_path / 'epoch_2.pth')
    runner.train()
    assert checkpoints(tmp_path) == ['epoch_2.pth', 'epoch_3.pth', 'epoch_4.pth']


class Score(Hook):
    """Stands for a validation between epochs: a score that rises from one to the next."""

    def before_train_epoch(self, runner: Runner) -> None:
        if runner.epoch:
            hook = next(hook for hook in runner.hooks if isinstance(hook, CheckpointHook))
            hook.after_val_epoch(runner, dict(top1=float(runner.epoch)))


def best_runner(folder: Path, epochs: int, save_best: str | list[str], **options: object) -> Runner:
    return small_runner(
        folder, epochs, None, [Score()], default_hooks__checkpoint__save_best=save_best, **options
    )


@pytest.mark.parametrize('save_best', ['top1', ['top1']])
@pytest.mark.parametrize('out_dir', [None, 'out'])
def test_the_best_of_another_run_stays(
    tmp_path: Path, save_best: str | list[str], out_dir: str | None
) -> None:
    out = tmp_path / out_dir if out_dir else tmp_path
    options = dict(default_hooks__checkpoint__out_dir=str(out)) if out_dir else {}
    best_runner(tmp_path / 'first', 2, save_best, **options).train()
    best = 'best_top1_epoch_1.pth'
    assert checkpoints(out / 'first') == [best, 'epoch_1.pth', 'epoch_2.pth']
    second = best_runner(tmp_path / 'second', 3, save_best, **options)
    second._load_from = str(out / 'first' / 'epoch_2.pth')
    second.train()
    assert best in checkpoints(out / 'first')
    assert checkpoints(out / 'second') == ['best_top1_epoch_2.pth', 'epoch_3.pth']
    best_runner(tmp_path / 'second', 4, save_best, **options).train()  # its own it replaces
    assert checkpoints(out / 'second') == ['best_top1_epoch_3.pth', 'epoch_3.pth', 'epoch_4.pth']


class Watch(Hook):
    """Notes which checkpoints are whole whenever the runner is about to write one."""

    def __init__(self) -> None:
        self.seen: list[set[str]] = []

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        paths = Path(runner.work_dir).glob('*.pth')
        self.seen.append({path.name for path in paths if flaw(path) is None})


def test_an_old_one_goes_when_the_new_one_is_whole(tmp_path: Path) -> None:
    watch = Watch()
    options = dict(default_hooks__checkpoint__max_keep_ckpts=1, default_hooks__checkpoint__save_best='top1')
    small_runner(tmp_path, 3, None, [Score(), watch], **options).train()
    assert all(watch.seen[1:]) and watch.seen[-1] >= {'best_top1_epoch_2.pth', 'epoch_2.pth'}
    assert checkpoints(tmp_path) == ['best_top1_epoch_2.pth', 'epoch_3.pth']
    hashes = sorted(path.name for path in tmp_path.glob('*.sha256'))
    assert hashes == ['best_top1_epoch_2.pth.sha256', 'epoch_3.pth.sha256']
    assert all(flaw(path) is None for path in tmp_path.glob('*.pth'))
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'epoch_3.pth')


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets the system refuse files whose name holds a text, some times."""

    def refuse(name: str, times: int = 99, error: int = errno.ENOSPC) -> None:
        written, left = Path.open, [times]

        def open_(path: Path, mode: str = 'r', *arguments: object, **settings: object):
            if 'w' in mode and name in path.name and left[0]:
                left[0] -= 1
                raise OSError(error, os.strerror(error), str(path))
            return written(path, mode, *arguments, **settings)

        monkeypatch.setattr(Path, 'open', open_)

    return refuse


@pytest.mark.parametrize('file', ['epoch_2.pth', 'kept_checkpoints', 'last_checkpoint', 'pth.sha256'])
@pytest.mark.parametrize(
    ('error', 'remedy'),
    [
        (errno.ENOSPC, r'No space left.*Make room on the disk of .*MB are free'),
        (errno.EROFS, r'Read-only file system.*Make .* writable'),
        (errno.ESTALE, r'Stale file handle.*was there at the start: mount its disk again'),
        (errno.EFBIG, r'File too large.*raise that limit \(ulimit -f\)'),
        (errno.EIO, r'Input/output error.*See to the disk'),
    ],
)
def test_a_failed_write_stops_and_loses_nothing(
    tmp_path: Path, no_room: Callable[..., None], file: str, error: int, remedy: str
) -> None:
    small_runner(tmp_path, 1).train()
    no_room(file, error=error)
    newest = 'epoch_1' if file in ('epoch_2.pth', 'kept_checkpoints') else 'epoch_2'
    message = rf'cannot be written: .*{remedy}.*The newest whole checkpoint is .*{newest}.pth: .*--resume'
    with pytest.raises(OSError, match=message):
        small_runner(tmp_path, 2, default_hooks__checkpoint__max_keep_ckpts=1).train()
    assert flaw(tmp_path / 'epoch_1.pth') is None and not list(tmp_path.glob('.*'))


def test_it_waits_where_it_is_asked_to(
    tmp_path: Path, no_room: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr('clsa_mm.engine.failed_writes.time.sleep', waited.append)
    patient = dict(default_hooks__checkpoint__write_retries=3, default_hooks__checkpoint__retry_seconds=7.0)
    no_room('epoch_1.pth', times=3)
    small_runner(tmp_path, 2, **patient).train()
    assert waited == [7.0] * 3 and checkpoints(tmp_path) == ['epoch_1.pth', 'epoch_2.pth']
    text = next(tmp_path.glob('*/*.log')).read_text()
    assert 'epoch_1.pth cannot be written' in text and 'Trying again in 7 s; 1 of 3 tries left' in text
    no_room('epoch_3.pth', times=4)
    with pytest.raises(OSError, match='epoch_3.pth cannot be written: .*No space left'):
        small_runner(tmp_path, 3, **patient).train()


class Limit(Hook):
    """Lets the system refuse whatever is longer than 1 kB, logs included, in the middle of a write."""

    def before_train_epoch(self, runner: Runner) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


def test_the_system_itself_refuses(tmp_path: Path) -> None:
    small_runner(tmp_path, 1).train()
    runner = small_runner(tmp_path, 2, None, [Limit()], default_hooks__logger__interval=1)

    def child() -> None:
        try:
            runner.train()
        except OSError as error:  # the console of this process is a file too
            (tmp_path / 'error').write_text(str(error))

    run_in_child(child)
    error = (tmp_path / 'error').read_text()
    assert re.match(r'.*epoch_2.pth cannot be written: .*File too large.*ulimit -f.*epoch_1.pth:', error)
    assert checkpoints(tmp_path) == ['epoch_1.pth'] and flaw(tmp_path / 'epoch_1.pth') is None
    assert not list(tmp_path.glob('.*'))


def test_a_folder_that_vanishes(tmp_path: Path) -> None:
    class Vanish(Hook):
        def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
            shutil.rmtree(tmp_path / 'out')

    runner = small_runner(
        tmp_path / 'work', 1, None, [Vanish()], default_hooks__checkpoint__out_dir=str(tmp_path / 'out')
    )
    message = (
        r'epoch_1.pth cannot be written: .*No such file.*out/work was there at the start.*No whole checkpoint'
    )
    with pytest.raises(OSError, match=message):
        runner.train()
    assert not (tmp_path / 'out').exists()


def test_a_folder_that_cannot_be_written_is_told_before_training(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    runner = small_runner(tmp_path / 'work', 1, default_hooks__checkpoint__out_dir=str(tmp_path / 'file'))
    with pytest.raises(OSError, match=r'Not a directory.*mount its disk again'):
        runner.train()
    assert runner.iter == 0


def test_a_resume_passes_over_what_is_damaged(tmp_path: Path) -> None:
    """And the run overwrites it, and counts as if it had never been."""
    small_runner(tmp_path, 3).train()
    (tmp_path / 'epoch_3.pth').write_bytes((tmp_path / 'epoch_3.pth').read_bytes()[:-7])
    (tmp_path / '.epoch_4.pth.1234.unfinished').write_bytes(b'half')
    runner = small_runner(tmp_path, 4, **KEEP_TWO)
    runner.train()
    assert runner.iter == 24 and checkpoints(tmp_path) == ['epoch_3.pth', 'epoch_4.pth']
    assert all(flaw(path) is None for path in tmp_path.glob('*.pth'))
    log = max(tmp_path.glob('*/*.log'), key=lambda path: path.stat().st_mtime).read_text()
    assert re.search(r'Removed .*\.epoch_4\.pth\.1234\.unfinished', log)
    assert re.search(r'Not resumed: .*epoch_3\.pth: damaged or changed', log)
    assert re.search(r'Resuming .*epoch_2\.pth', log)
    assert not list(tmp_path.glob('.*'))


def test_a_damaged_one_that_is_asked_for_is_an_error(tmp_path: Path) -> None:
    small_runner(tmp_path, 2).train()
    (tmp_path / 'epoch_2.pth').write_bytes(b'')
    runner = small_runner(tmp_path, 3)
    runner._load_from = str(tmp_path / 'epoch_2.pth')
    with pytest.raises(CheckpointError, match=r'epoch_2.pth cannot be resumed.*whole one is .*epoch_1.pth'):
        runner.train()


def test_out_dir(tmp_path: Path) -> None:
    """All of it holds there as well."""
    options = dict(default_hooks__checkpoint__out_dir=str(tmp_path / 'out'), **KEEP_TWO)
    for epochs in (3, 4):
        small_runner(tmp_path / 'work', epochs, **options).train()
    assert checkpoints(tmp_path / 'out' / 'work') == ['epoch_3.pth', 'epoch_4.pth']
    assert all(flaw(path) is None for path in (tmp_path / 'out' / 'work').glob('*.pth'))


def test_settings() -> None:
    with pytest.raises(ValueError, match='write_retries and retry_seconds must be 0 or more, got -1 and 60'):
        AtomicCheckpointHook(write_retries=-1)
