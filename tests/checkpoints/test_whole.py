"""Whatever happens while a checkpoint is written: the old one is there whole, or the new one."""

import hashlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import torch
from child_process import run_in_child

from clsa_mm.checkpoints import whole
from clsa_mm.checkpoints.convert import write_checkpoint
from clsa_mm.checkpoints.newest import checkpoint_to_resume, flaw, newest_whole
from clsa_mm.checkpoints.read import CheckpointError, read_checkpoint
from clsa_mm.checkpoints.whole import (
    file_sha256,
    hash_file,
    remove_checkpoint,
    write_checkpoint_bytes,
    write_whole,
)


def saved(folder: Path, value: float) -> bytes:
    """What torch writes of a checkpoint with one number."""
    path = folder / 'saved'
    torch.save(dict(state_dict=dict(weight=torch.full((1000,), value)), meta={}), path)
    return path.read_bytes()


def write(path: Path, value: float) -> Path:
    write_checkpoint_bytes(path, saved(path.parent, value))
    return path


def value_of(path: Path) -> float:
    return float(torch.load(path, weights_only=True)['state_dict']['weight'][0])


def test_the_hash_is_one_that_sha256sum_checks(tmp_path: Path) -> None:
    path = write(tmp_path / 'epoch_1.pth', 1.0)
    assert file_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    checked = subprocess.run(
        ['sha256sum', '--check', '--strict', hash_file(path).name],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (checked.returncode, checked.stdout) == (0, 'epoch_1.pth: OK\n')
    remove_checkpoint(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ['saved']


STEPS = ('fsync', 'replace', 'unlink', 'open')


def killed_at(step: int, path: Path, content: bytes) -> bool:
    """Write in a process that is killed before its n-th call of the system; False if it got to the end."""
    left = [step]

    def fatal(call):
        def counted(*arguments, **settings):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **settings)

        return counted

    def child() -> None:
        whole.os.fsync = fatal(os.fsync)
        whole.os.open = fatal(os.open)
        whole.Path.replace = fatal(Path.replace)
        whole.Path.unlink = fatal(Path.unlink)
        whole.Path.open = fatal(Path.open)
        write_checkpoint_bytes(path, content)

    return run_in_child(child).returncode == -signal.SIGKILL


@pytest.mark.parametrize('replaced', [False, True])
def test_a_kill_at_any_step_leaves_a_whole_one(tmp_path: Path, replaced: bool) -> None:
    """The older checkpoint beside it, the one that is replaced, or the new one."""
    path, content, step, seen = tmp_path / 'epoch_2.pth', saved(tmp_path, 2.0), 0, set()
    while True:
        write(tmp_path / 'epoch_1.pth', 1.0)
        if replaced:
            write(path, 1.5)
        else:
            remove_checkpoint(path)
        killed = killed_at(step, path, content)
        newest, skipped = newest_whole([tmp_path])
        assert not skipped and value_of(newest) in (1.0, 1.5, 2.0)
        assert newest == path or not replaced
        assert value_of(newest) == 2.0 or not path.exists() or value_of(path) == 1.5
        seen.add(value_of(newest))
        if not killed:
            break
        step += 1
    assert step >= 7 and seen == {1.5 if replaced else 1.0, 2.0}
    assert hash_file(path).exists() and flaw(path) is None


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    """One bit of a weight."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b'')


def text(path: Path) -> None:
    path.write_text('<html>404</html>')


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to('nowhere')


@pytest.mark.parametrize('with_hash', [True, False])
@pytest.mark.parametrize(
    ('damage', 'by_hash', 'by_sums'),
    [
        (cut, 'its sha256 starts with', 'cut off'),
        (flip, 'its sha256 starts with', 'the sum of its part .*/data/0 is another|Bad CRC'),
        (empty, 'its sha256 starts with', 'empty'),
        (text, 'its sha256 starts with', 'no checkpoint of torch'),
        (folder, 'a folder', 'a folder'),
        (pipe, 'a pipe or a device', 'a pipe or a device'),
        (dangling, 'a link to nothing', 'a link to nothing'),
    ],
)
def test_the_newest_whole_one_is_resumed(
    tmp_path: Path, damage, by_hash: str, by_sums: str, with_hash: bool
) -> None:
    for number in (1, 2, 3):
        write(tmp_path / f'epoch_{number}.pth', number)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_3.pth'))
    damaged = tmp_path / 'epoch_3.pth'
    damage(damaged)
    if not with_hash:
        hash_file(damaged).unlink()
        os.utime(damaged, (9e9, 9e9), follow_symlinks=False)
    reason = by_hash if with_hash else by_sums
    chosen, lines = checkpoint_to_resume([tmp_path])
    assert chosen == str(tmp_path / 'epoch_2.pth') and len(lines) == 1
    with pytest.raises(CheckpointError, match=rf'epoch_3.pth: .*({reason})'):
        raise CheckpointError(lines[0])
    with pytest.raises(CheckpointError, match=rf'({reason}).*the newest whole one is .*epoch_2.pth'):
        checkpoint_to_resume([tmp_path], wanted=str(damaged))


def test_checkpoints_of_before_have_no_hash(tmp_path: Path) -> None:
    for number in (1, 2):
        hash_file(write(tmp_path / f'iter_{number}.pth', number)).unlink()
    assert checkpoint_to_resume([tmp_path]) == (str(tmp_path / 'iter_2.pth'), [])
    path = tmp_path / 'epoch_3.pth'
    torch.save(dict(state_dict={}), path, _use_new_zipfile_serialization=False)  # as before torch 1.6
    assert checkpoint_to_resume([tmp_path]) == (str(path), [])


def test_that_of_an_interruption_is_one_of_them(tmp_path: Path) -> None:
    for number, name in enumerate(('latest_iter_5.pth', 'epoch_1.pth', 'latest_iter_9.pth')):
        write(tmp_path / name, number)
    assert checkpoint_to_resume([tmp_path]) == (str(tmp_path / 'latest_iter_9.pth'), [])


def test_a_copy_without_its_times_is_resumed_all_the_same(tmp_path: Path) -> None:
    for number in range(8, 12):  # by name, 9 is the last
        write(tmp_path / f'epoch_{number}.pth', number)
    shutil.copytree(tmp_path, tmp_path / 'copy', copy_function=shutil.copyfile)
    for age, path in enumerate(sorted((tmp_path / 'copy').iterdir())):
        os.utime(path, (age, age))
    assert newest_whole([tmp_path / 'copy'])[0].name == 'epoch_11.pth'


def test_a_copied_folder_is_a_run_of_its_own(tmp_path: Path) -> None:
    source, copied = tmp_path / 'source', tmp_path / 'copied'
    source.mkdir()
    write(source / 'epoch_1.pth', 1)
    (source / 'last_checkpoint').write_text(str(source / 'epoch_1.pth'))
    shutil.copytree(source, copied)
    write(source / 'epoch_1.pth', 2)  # newer, and of the same name
    assert newest_whole([copied]) == (copied / 'epoch_1.pth', {})


def test_what_is_not_to_resume_from_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / 'epoch_1.pth', 1)
    for name in ('best_top1_epoch_1.pth', 'epoch_1-1a2b3c4d.pth', 'epoch_2.pth.part', 'other.pth'):
        write(tmp_path / name, 2)
    assert newest_whole([tmp_path])[0].name == 'epoch_1.pth'
    assert newest_whole([tmp_path], 'othe{}.pth')[0].name == 'epoch_1.pth'
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'other.pth'))
    assert newest_whole([tmp_path])[0].name == 'other.pth'


def test_none_whole_is_no_new_start(tmp_path: Path) -> None:
    assert checkpoint_to_resume([tmp_path, tmp_path / 'not there']) == (None, [])
    cut(write(tmp_path / 'epoch_1.pth', 1))
    with pytest.raises(CheckpointError, match=r'No checkpoint of this run is whole: .*epoch_1.pth: damaged'):
        checkpoint_to_resume([tmp_path])
    with pytest.raises(CheckpointError, match='no other is whole either'):
        checkpoint_to_resume([tmp_path], wanted=str(tmp_path / 'epoch_1.pth'))


def test_every_tool_checks_the_hash(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.pth', 1)
    flip(path)
    torch.load(path, weights_only=True)  # sees nothing
    with pytest.raises(CheckpointError, match=r'a.pth is damaged or changed.* remove .*a.pth.sha256 if you'):
        read_checkpoint(path)
    hash_file(path).write_text('illegible')
    read_checkpoint(path)


def test_another_file_in_its_place_has_no_hash(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.pth', 1)
    write_checkpoint(dict(state_dict={}), path)
    assert not hash_file(path).exists() and read_checkpoint(path) == dict(state_dict={})


def test_a_folder_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r'a.txt cannot be written: .*No such file.*gone'):
        write_whole(tmp_path / 'gone' / 'a.txt', b'a')
    assert not (tmp_path / 'gone').exists()
