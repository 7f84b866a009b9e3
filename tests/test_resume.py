"""Interrupted and resumed equals uninterrupted, bit for bit."""

from pathlib import Path

import pytest
import torch
from bitwise import difference, run_state
from mmengine.hooks import Hook
from mmengine.runner import Runner


class Interrupt(Hook):
    """Ends the process's training in the middle of the second epoch."""

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        if runner.epoch == 1 and batch_idx == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize('accumulate', [1, 3])
def test_resumed_equals_uninterrupted(tiny_pretraining, tmp_path, accumulate):
    options = {
        'model.backbone.drop_path_rate': 0.3,  # a network with randomness of its own
        'train_cfg.max_epochs': 3,
        'optim_wrapper.accumulative_counts': accumulate,
        'default_hooks.momentum_queue.schedule': 'cosine',
    }
    straight = tiny_pretraining(**options, work_dir=str(tmp_path / 'straight'))
    Runner.from_cfg(straight).train()

    work_dir = str(tmp_path / 'broken')
    workers = {'train_dataloader.num_workers': 2, 'train_dataloader.persistent_workers': True}
    broken = Runner.from_cfg(tiny_pretraining(**options, **workers, work_dir=work_dir))
    broken.register_hook(Interrupt())
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    assert not Path(work_dir, 'epoch_2.pth').exists()
    torch.manual_seed(12345)  # a new process has other random states
    # Other workers, and a seed that has to give way to the checkpoint's.
    others = {'train_dataloader.num_workers': 1, 'randomness.seed': 7}
    Runner.from_cfg(tiny_pretraining(**options, **others, work_dir=work_dir, resume=True)).train()

    expected, resumed = (run_state(tmp_path / name / 'epoch_3.pth') for name in ('straight', 'broken'))
    assert expected['state_dict']['queue.num_enqueued'] == 3 * 6 * 8
    assert difference(expected, resumed) is None
    # The comparison can fail: an epoch earlier the weights were others.
    assert difference(expected['state_dict'], run_state(tmp_path / 'straight/epoch_2.pth')['state_dict'])
