"""BYOL's target in real runs: one step for one of the optimizer's, as a slow loop takes them."""

import copy

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import MODELS
from mmengine.runner import Runner
from reference import cosine_momentum
from small_frameworks import ALGORITHMS
from small_runs import Projection, Stem, small_run
from torch import nn

HOOKS = dict(target_step=dict(type='TargetStepHook'))


class Record(Hook):
    """The online network's parameters before each iteration, and the target's at the end of the run."""

    def __init__(self) -> None:
        self.online: list[list[torch.Tensor]] = []

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        model = runner.model
        online = [*model.backbone.parameters(), *model.neck.parameters()]
        self.online.append([parameter.detach().clone() for parameter in online])

    def after_train(self, runner: Runner) -> None:
        self.target = [parameter.clone() for parameter in runner.model.target_net.parameters()]


def byol(kind: str = 'BYOLWithDDM') -> nn.Module:
    head = copy.deepcopy(ALGORITHMS['BYOL']['head'])
    head['predictor'].update(in_channels=6, out_channels=6)
    settings = dict(type=kind, backbone=Stem(), neck=Projection(), head=head, base_momentum=0.2)
    if kind == 'BYOLWithDDM':
        settings |= dict(ddm={}, data_preprocessor=dict(type='mmengine.BaseDataPreprocessor'))
    else:
        settings |= dict(data_preprocessor=dict(type='ViewsDataPreprocessor', as_list=True))
    return MODELS.build(settings)


CASES = [(1, 'BYOLWithDDM'), (4, 'BYOLWithDDM'), (3, 'mmpretrain.BYOL')]


@pytest.mark.parametrize(('accumulated', 'kind'), CASES)
def test_the_target_follows_the_optimizer(accumulated, kind, tmp_path):
    """12 iterations; before iteration i the optimizer has stepped where the accumulated ones divide i."""
    optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.5), accumulative_counts=accumulated)
    runner = small_run(tmp_path, HOOKS, byol(kind), optim_wrapper=optim_wrapper)
    record = Record()
    runner.register_hook(record)
    runner.train()
    target = record.online[0]
    for i in range(accumulated, 12, accumulated):
        kept = cosine_momentum(1 - 0.2, 1.0, i, 12)
        target = [kept * old + (1 - kept) * new for old, new in zip(target, record.online[i], strict=True)]
        assert not record.online[i][0].equal(record.online[i - 1][0])
    torch.testing.assert_close(record.target, target, rtol=0, atol=1e-6)


def test_a_model_without_a_target_is_refused(tmp_path):
    hooks = dict(target_step=dict(type='TargetStepHook'), momentum_queue=dict(type='MomentumQueueHook'))
    with pytest.raises(TypeError, match='CLSA has no target network.*: take target_step out of'):
        small_run(tmp_path, hooks).train()
