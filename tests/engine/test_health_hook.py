"""Warnings of runs that do not learn, with models that surely do not or surely do."""

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from small_runs import small_model, small_run
from torch import nn

from clsa_mm.engine import HealthHook


def logged(runner: Runner, monkeypatch, level: str = 'warning') -> list[str]:
    messages = []
    monkeypatch.setattr(runner.logger, level, lambda message, *a, **k: messages.append(str(message)))
    runner.train()
    return messages


def hooks(**settings) -> dict:
    return dict(
        momentum_queue=dict(type='MomentumQueueHook'),
        health=dict(type='HealthHook', patience=2, **settings),
    )


def test_warns_once_of_a_loss_that_stays_at_chance(tmp_path, monkeypatch):
    """An enormous temperature makes every bank entry equally likely: the loss is ln M exactly."""
    stuck = small_model(head=dict(type='DDMHead', temperature=1e6))
    messages = logged(small_run(tmp_path, hooks(), model=stuck, epochs=4), monkeypatch)
    chance = [m for m in messages if 'stayed at chance' in m]
    assert len(chance) == 1
    assert (
        'loss_contrastive has stayed at chance for 2 epochs (3.466 of 3.466), since iteration 0: '
        in chance[0]
    )


def test_no_warning_of_a_run_that_learns(tmp_path, monkeypatch):
    """Without noise every query equals its key."""
    torch.manual_seed(0)  # some initial weights take longer
    model = small_model(head=dict(type='DDMHead', temperature=0.02))
    messages = logged(small_run(tmp_path, hooks(), model=model, epochs=4, noise=0), monkeypatch)
    assert not [m for m in messages if 'stayed at chance' in m or 'collapsed' in m]


def test_warns_of_collapsed_features(tmp_path, monkeypatch):
    model = small_model()
    nn.init.zeros_(model.neck.fc.weight)
    nn.init.ones_(model.neck.fc.bias)
    wrapper = dict(optimizer=dict(type='SGD', lr=0.0))
    runner = small_run(tmp_path, hooks(), model=model, epochs=4, optim_wrapper=wrapper)
    (message,) = [m for m in logged(runner, monkeypatch) if 'collapsed' in m]
    assert message.startswith('feature_std has been ') and 'for 2 epochs, since iteration 0: ' in message


def test_names_the_iteration_where_it_began(tmp_path, monkeypatch):
    class CollapseLater(Hook):
        def before_train_epoch(self, runner: Runner) -> None:
            if runner.epoch == 1:
                nn.init.zeros_(runner.model.neck.fc.weight)
                nn.init.ones_(runner.model.neck.fc.bias)

    runner = small_run(tmp_path, hooks(), epochs=4, optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)))
    runner.register_hook(CollapseLater())
    (message,) = [m for m in logged(runner, monkeypatch) if 'collapsed' in m]
    assert 'for 2 epochs, since iteration 6: ' in message


def test_skipped_iterations_are_not_judged(tmp_path, monkeypatch):
    """A NaN among them would make the mean of the epoch one."""
    stuck = small_model(head=dict(type='DDMHead', temperature=1e6))
    guard = dict(finite_guard=dict(type='FiniteGuardHook'))
    runner = small_run(tmp_path, guard | hooks(), model=stuck, epochs=2)
    loss = runner.model.head.loss
    runner.model.head.loss = lambda *views: {
        name: value * (float('nan') if runner.iter == 7 else 1) for name, value in loss(*views).items()
    }
    messages = logged(runner, monkeypatch)
    assert [m for m in messages if 'in iteration 7, which is skipped' in m]
    assert [m for m in messages if 'stayed at chance for 2 epochs' in m]


class Guesser(nn.Module):
    """Another model, whose loss has another name and never changes."""

    def __init__(self, loss: float) -> None:
        super().__init__()
        self.loss = loss
        self.weight = nn.Parameter(torch.zeros(()))

    def train_step(self, data: dict, optim_wrapper) -> dict:
        return dict(loss=torch.tensor(self.loss), loss_nce=torch.tensor(self.loss))


@pytest.mark.parametrize(('loss', 'warnings'), [(2.3, 1), (2.2, 0)])
def test_any_model_and_loss_name(loss, warnings, tmp_path, monkeypatch):
    health = dict(health=dict(type='HealthHook', patience=3, loss='loss_nce', chance=2.3025851))
    runner = small_run(tmp_path, health, model=Guesser(loss), epochs=5)
    messages = logged(runner, monkeypatch)
    assert len([m for m in messages if 'loss_nce has stayed at chance for 3 epochs' in m]) == warnings


def test_says_once_what_is_not_watched(tmp_path, monkeypatch):
    runner = small_run(tmp_path, dict(health=dict(type='HealthHook')), model=Guesser(1.0))
    messages = [m for m in logged(runner, monkeypatch, 'info') if 'HealthHook' in m]
    assert len(messages) == 1
    assert 'returns no loss_contrastive, chance_level, feature_std' in messages[0]


def test_wrong_patience():
    with pytest.raises(ValueError, match='patience must be at least 1 epoch, got 0'):
        HealthHook(patience=0)
