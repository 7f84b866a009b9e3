"""A resumed run deletes its own old checkpoints, and nobody else's."""

from pathlib import Path

import pytest
import torch
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner
from small_training import small_runner

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


def test_numbers_of_iterations(tmp_path: Path) -> None:
    hook = dict(type='CheckpointHook', by_epoch=False, interval=6, max_keep_ckpts=2)
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
