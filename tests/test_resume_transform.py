"""Feature transformation that starts in the middle of a run, interrupted and resumed."""

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

NAME = 'feature_transformation/mocov2-bothdim_r50_8xb32_200e_imagenet100.py'


class Note(Hook):
    """Notes the loss of each iteration; ends the process's training in the given one."""

    def __init__(self, losses: list[float], last: int | None = None) -> None:
        self.losses = losses
        self.last = last

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        if runner.iter == self.last:
            raise KeyboardInterrupt

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        self.losses.append(outputs['loss_contrastive'].item())


def test_start_epoch_and_shares_after_a_resume(tiny_pretraining, tmp_path):
    def train(folder: str, last: int | None = None, **options: object) -> list[float]:
        cfg = tiny_pretraining(
            NAME, work_dir=str(tmp_path / folder), **{'train_cfg.max_epochs': 3}, **options
        )
        torch.seed()  # a process has other random states than the next
        runner = Runner.from_cfg(cfg)
        losses: list[float] = []
        runner.register_hook(Note(losses, last))
        if last is None:
            runner.train()
        else:
            with pytest.raises(KeyboardInterrupt):
                runner.train()
        return losses

    start = {'model.head.start_epoch': 1}
    straight = train('straight', **start)
    assert train('broken', last=14, **start) == straight[:14]
    assert train('broken', resume=True, **start) == straight[12:]
    from_the_beginning = train('other')
    assert from_the_beginning[0] != straight[0]
    plain = train('plain', **{'model.head.start_epoch': 2})
    assert plain[:6] == straight[:6] and plain[6] != straight[6]
