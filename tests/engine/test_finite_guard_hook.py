"""Values that are not finite stop a run before anything takes them over."""

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from small_runs import small_model, small_run
from torch import nn

HOOKS = dict(
    momentum_queue=dict(type='MomentumQueueHook'),
    finite_guard=dict(type='FiniteGuardHook'),
)
NAN = float('nan')


class Poison(Hook):
    """Does something before the fourth iteration."""

    def __init__(self, spoil) -> None:
        self.spoil = spoil

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        if runner.iter == 3:
            self.before = {name: value.clone() for name, value in runner.model.state_dict().items()}
            self.spoil(runner)


def spoil_loss(runner: Runner) -> None:
    runner.model.head.ddm_temperature = NAN


def spoil_gradient(value: float):
    """A finite loss with a gradient that is not, as of a square root at 0."""

    def spoil(runner: Runner) -> None:
        def replace(gradient: torch.Tensor) -> torch.Tensor:
            return gradient.index_fill(0, torch.tensor([1]), value)

        runner.model.neck.fc.bias.register_hook(replace)

    return spoil


def stopped(runner: Runner, spoil, match: str) -> dict[str, torch.Tensor]:
    """State before the poisoned iteration, after checking that the run ended with an error."""
    poison = Poison(spoil)
    runner.register_hook(poison)
    with pytest.raises(FloatingPointError, match=match):
        runner.train()
    assert runner.iter == 3
    return poison.before


@pytest.mark.parametrize('wrapper', [dict(), dict(accumulative_counts=2), dict(clip_grad=dict(max_norm=1.0))])
@pytest.mark.parametrize(
    ('spoil', 'match'),
    [
        (spoil_loss, '^loss_ddm is not finite in iteration 3: stopped before.*--resume'),
        (spoil_gradient(NAN), '^the gradient of .* is not finite in iteration 3'),
        (spoil_gradient(float('inf')), '^the gradient of .* is not finite in iteration 3'),
    ],
)
def test_nothing_takes_it_over(tmp_path, monkeypatch, wrapper, spoil, match):
    monkeypatch.setattr('clsa_mm.models.heads.ddm_head.DDMHead.loss', unchecked_loss)
    optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.06, momentum=0.9), **wrapper)
    runner = small_run(tmp_path, HOOKS, optim_wrapper=optim_wrapper)
    before = stopped(runner, spoil, match)
    after = runner.model.state_dict()
    changed = {name for name, value in after.items() if not value.equal(before[name])}
    assert all('bn.' in name and ('running' in name or 'tracked' in name) for name in changed)
    assert runner.model.queue.total == 3 * 8


def unchecked_loss(self, weak, strong, bank):
    """A DDM loss whose temperature may be NaN, which the real head refuses."""
    weak, strong = torch.stack(weak), torch.stack(strong)
    return dict(
        loss_contrastive=bank.attention(weak, 0.2)[1].mean(),
        loss_ddm=bank.attention(strong, 0.2)[1].mean() * self.ddm_temperature,
    )


def test_a_loss_in_an_iteration_without_a_step(tmp_path, monkeypatch):
    monkeypatch.setattr('clsa_mm.models.heads.ddm_head.DDMHead.loss', unchecked_loss)
    wrapper = dict(optimizer=dict(type='SGD', lr=0.06), accumulative_counts=6)
    runner = small_run(tmp_path, HOOKS, optim_wrapper=wrapper)
    stopped(runner, spoil_loss, '^loss_ddm is not finite in iteration 3')
    assert runner.model.queue.total == 3 * 8


def test_the_parameter_is_named(tmp_path):
    runner = small_run(tmp_path, HOOKS)
    stopped(runner, spoil_gradient(NAN), '^the gradient of neck.fc.bias is not finite')


class Detector(nn.Module):
    """A model of another kind: lists of losses, no queue, no momentum."""

    def __init__(self) -> None:
        super().__init__()
        self.model = small_model()
        self.layer = nn.Linear(3, 1)
        self.unused = nn.Parameter(torch.zeros(0))

    def forward(self, value: float) -> dict:
        losses = self.layer(torch.full((2, 3), value)).square()
        return dict(loss_boxes=[losses[0], losses[1]], accuracy=torch.tensor(NAN))

    def train_step(self, data: dict, optim_wrapper) -> dict:
        losses, log_vars = self.model.parse_losses(self(data['inputs']['key'][0].mean().item()))
        optim_wrapper.update_params(losses)
        return log_vars


def test_any_model(tmp_path):
    def spoil(runner: Runner) -> None:
        nn.init.constant_(runner.model.layer.weight, NAN)

    guard = dict(finite_guard=HOOKS['finite_guard'])
    small_run(tmp_path, guard, model=Detector(), epochs=1).train()  # the accuracy is nobody's concern
    stopped(small_run(tmp_path, guard, model=Detector()), spoil, '^loss_boxes is not finite')


def test_large_but_finite_gradients_pass(tmp_path):
    """Their squares overflow, they do not."""
    runner = small_run(tmp_path, HOOKS, epochs=1, optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-30)))
    runner.model.neck.fc.bias.register_hook(lambda gradient: torch.full_like(gradient, 1e30))
    runner.train()
    assert runner.iter == 6
