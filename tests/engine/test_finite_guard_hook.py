"""Values that are not finite are skipped, or stop a run, before anything takes them over."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from ranks import PARALLEL, WORLD, run_ranks, start_gloo
from small_runs import small_model, small_run
from torch import nn

from clsa_mm.engine import FiniteGuardHook
from clsa_mm.engine.unwrap import unwrap_model
from clsa_mm.models import DDMHead


def hooks(**settings) -> dict:
    return dict(
        momentum_queue=dict(type='MomentumQueueHook'),
        finite_guard=dict(type='FiniteGuardHook', **settings),
    )


HOOKS = hooks(max_skipped=0)
NAN = float('nan')


class Poison(Hook):
    """Does something before the fourth iteration, and undoes it after it unless it is to last."""

    priority = 'HIGHEST'

    def __init__(self, spoil, lasts: bool = True) -> None:
        self.spoil = spoil
        self.lasts = lasts

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        if runner.iter == 3:
            self.before = {name: value.clone() for name, value in runner.model.state_dict().items()}
            self.undo = self.spoil(runner)

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        if runner.iter == 3 and not self.lasts:
            self.undo()


def spoil_loss(runner: Runner):
    head = unwrap_model(runner.model).head
    before, head.ddm_temperature = head.ddm_temperature, NAN
    return lambda: setattr(head, 'ddm_temperature', before)


def spoil_gradient(value: float):
    """A finite loss with a gradient that is not, as of a square root at 0."""

    def spoil(runner: Runner) -> None:
        def replace(gradient: torch.Tensor) -> torch.Tensor:
            return gradient.index_fill(0, torch.tensor([1]), value)

        return unwrap_model(runner.model).neck.fc.bias.register_hook(replace).remove

    return spoil


def spoil_activations(runner: Runner):
    """Infinite images, which would get into the running statistics too."""
    conv = unwrap_model(runner.model).backbone.conv
    handles = [
        conv.register_forward_pre_hook(lambda layer, images: images[0] * float('inf')),
        unwrap_model(runner.model).key_encoder.backbone.conv.register_forward_pre_hook(
            lambda layer, images: images[0] * NAN
        ),
    ]
    return lambda: [handle.remove() for handle in handles]


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
    assert_equal(runner.model.state_dict(), before)
    assert runner.model.queue.total == 3 * 8


def assert_equal(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    assert not [name for name, value in found.items() if not value.equal(expected[name])]


def unpoisoned_run(work_dir, left_out: tuple[int, ...], **settings) -> dict[str, torch.Tensor]:
    """State after an epoch without the batches of these numbers."""
    runner = small_run(work_dir, hooks(), epochs=1, **settings)
    batches = [batch for number, batch in enumerate(runner.train_dataloader) if number not in left_out]
    runner.train_loop.dataloader = Batches(batches)
    runner.train()
    return runner.model.state_dict() | momenta(runner)


class Batches(list):
    """What the training loop asks of a data loader."""

    dataset = range(48)


def momenta(runner: Runner) -> dict[str, torch.Tensor]:
    states = runner.optim_wrapper.optimizer.state_dict()['state']
    return {f'{i}.{name}': v for i, state in states.items() for name, v in state.items() if v is not None}


@pytest.mark.parametrize('spoil', [spoil_loss, spoil_gradient(NAN), spoil_activations])
@pytest.mark.parametrize('kind', ['SGD', 'Adam', 'AdamW', 'LARS'])
def test_a_skipped_iteration_never_was(tmp_path, monkeypatch, spoil, kind):
    """The run ends as one without the batch: weights, statistics, queue, key encoder and momenta."""
    monkeypatch.setattr('clsa_mm.models.heads.ddm_head.DDMHead.loss', unchecked_loss)
    momentum = dict(momentum=0.9) if kind in ('SGD', 'LARS') else {}
    wrapper = dict(optimizer=dict(type=kind, lr=0.06, weight_decay=1e-3, **momentum))
    runner = small_run(tmp_path / 'a', hooks(max_skipped=1), epochs=1, optim_wrapper=wrapper)
    warnings = []
    monkeypatch.setattr(runner.logger, 'warning', lambda message, *a, **k: warnings.append(message))
    runner.register_hook(Poison(spoil, lasts=False))
    runner.train()
    assert runner.model.queue.total == 5 * 8
    expected = unpoisoned_run(tmp_path / 'b', (3,), optim_wrapper=wrapper)
    assert_equal(runner.model.state_dict() | momenta(runner), expected)
    assert re.search('is not finite in iteration 3, which is skipped.* 1 of 1 that may', warnings[-2])
    assert warnings[-1] == '1 iterations were skipped for values that are not finite.'


def test_a_skipped_iteration_takes_its_group_along(tmp_path, monkeypatch):
    """Of accumulated iterations those before it lose their gradients too, but not their keys."""
    monkeypatch.setattr('clsa_mm.models.heads.ddm_head.DDMHead.loss', unchecked_loss)
    wrapper = dict(optimizer=dict(type='SGD', lr=0.06, momentum=0.9), accumulative_counts=2)
    runner = small_run(tmp_path / 'a', hooks(), epochs=1, optim_wrapper=wrapper)
    runner.register_hook(Poison(spoil_loss, lasts=False))
    before = {}

    class Keep(Hook):
        def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
            if runner.iter in (2, 4):
                before[runner.iter] = {
                    name: value.detach().clone() for name, value in runner.model.named_parameters()
                }

    runner.register_hook(Keep())
    runner.train()
    assert_equal(before[4], before[2])  # no step, no step of the key encoder
    assert runner.model.queue.total == 5 * 8
    assert not dict(runner.model.named_parameters())['neck.fc.bias'].equal(before[4]['neck.fc.bias'])


@pytest.mark.parametrize(
    ('settings', 'last'), [(dict(max_skipped=2), 5), (dict(max_skipped=2, window=3), 5), (dict(), 11)]
)
def test_the_limit(tmp_path, monkeypatch, settings, last):
    monkeypatch.setattr('clsa_mm.models.heads.ddm_head.DDMHead.loss', unchecked_loss)
    runner = small_run(tmp_path, hooks(**settings), epochs=2)
    runner.register_hook(Poison(spoil_loss))
    if last == 11:
        runner.train()
    else:
        with pytest.raises(
            FloatingPointError, match='^loss_ddm is not finite in iteration 5: .*as 3 of the last'
        ):
            runner.train()
    assert runner.model.queue.total == 3 * 8
    assert all(value.isfinite().all() for value in runner.model.state_dict().values())


@pytest.mark.parametrize('interrupted', [False, True])
def test_a_resumed_run_stops_at_the_same_iteration(tmp_path, interrupted):
    """Iterations 2, 5 and 7 are skipped, of which a window of 6 allows two; the checkpoint is of 6."""

    class SpoilSome(Hook):
        undo = staticmethod(lambda: None)

        def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
            if runner.iter in (2, 5, 7):
                self.undo = spoil_gradient(NAN)(runner)

        def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
            self.undo()

    settings = hooks(max_skipped=2, window=6) | dict(checkpoint=dict(type='CheckpointHook', interval=1))
    runner = small_run(tmp_path, settings, epochs=1 if interrupted else 2, custom_hooks=[SpoilSome()])
    if interrupted:
        runner.train()
        assert sorted(path.name for path in tmp_path.glob('*.pth')) == ['epoch_1.pth']
        runner = small_run(tmp_path, settings, epochs=2, custom_hooks=[SpoilSome()], resume=True)
    with pytest.raises(FloatingPointError, match='in iteration 7: .*as 3 of the last 6 iterations'):
        runner.train()


def test_far_apart_ones_are_not_added_up(tmp_path):
    class SpoilEveryThird(Hook):
        def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
            if runner.iter % 3 == 0:
                undo = spoil_gradient(NAN)(runner)
                self.undo = undo

        def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
            self.undo()

    runner = small_run(tmp_path, hooks(max_skipped=1, window=3), epochs=2)
    runner.register_hook(SpoilEveryThird())
    runner.train()
    assert runner.model.queue.total == 8 * 8


class OwnQueue(nn.Module):
    """A model that fills a queue in its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.register_buffer('keys', torch.zeros(1))
        self.register_buffer('mask', torch.full((2,), float('-inf')))

    def train_step(self, data: dict, optim_wrapper) -> dict:
        loss = self.layer(torch.ones(1, 3)).sum()
        self.keys.copy_(loss.detach())
        optim_wrapper.update_params(loss)
        return dict(loss=loss)


def spoil_weight(runner: Runner) -> None:
    nn.init.constant_(runner.model.layer.weight, NAN)


def test_what_took_it_over_in_the_forward_stops_the_run(tmp_path):
    guard = dict(finite_guard=dict(type='FiniteGuardHook'))
    stopped(small_run(tmp_path, guard, model=OwnQueue()), spoil_weight, 'keys, layer.weight took it over')


def test_no_checkpoint_of_it(tmp_path):
    """A step that overflows is followed by the end of the epoch."""
    guard = dict(
        finite_guard=dict(type='FiniteGuardHook'), checkpoint=dict(type='CheckpointHook', interval=1)
    )

    class Overflow(Hook):
        def after_train_epoch(self, runner: Runner) -> None:
            if runner.epoch == 1:
                spoil_weight(runner)

    runner = small_run(tmp_path, guard, model=OwnQueue())
    runner.register_hook(Overflow())
    with pytest.raises(
        FloatingPointError, match='^layer.weight is not finite after iteration 12: no checkpoint'
    ):
        runner.train()
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_1.pth']


def train_rank(rank: int, port: int, folder: str, max_skipped: int, spoil) -> None:
    """Rank 1 alone has a bad iteration, or a bad iteration that lasts where none may be skipped."""
    start_gloo(rank, port)
    DDMHead.loss = unchecked_loss
    wrapper = dict(optimizer=dict(type='SGD', lr=0.06, momentum=0.9))
    runner = small_run(
        Path(folder, 'work'), hooks(max_skipped=max_skipped), epochs=2, optim_wrapper=wrapper, **PARALLEL
    )
    if rank == 1:
        runner.register_hook(Poison(spoil, lasts=False))
    error = ''
    try:
        runner.train()
    except FloatingPointError as stop:
        error = str(stop)
    state = unwrap_model(runner.model).state_dict() | momenta(runner)
    torch.save(dict(error=error, iter=runner.iter, state=state), Path(folder, f'{rank}.pth'))
    torch.distributed.barrier()  # neither leaves while the other still talks to it
    torch.distributed.destroy_process_group()


def spoil_without_gradient(runner: Runner):
    """Infinite, and without a gradient of its own: nothing of it comes with the averaged gradients."""

    def lose(self, weak, strong, bank):
        return unchecked_loss(self, weak, strong, bank) | dict(loss_flat=torch.tensor(float('inf')))

    DDMHead.loss = lose
    return lambda: setattr(DDMHead, 'loss', unchecked_loss)


@pytest.mark.parametrize('spoil', [spoil_loss, spoil_gradient(NAN), spoil_without_gradient])
@pytest.mark.parametrize('max_skipped', [0, 1])
def test_one_rank_alone_is_skipped_on_all(tmp_path, spoil, max_skipped):
    run_ranks(train_rank, str(tmp_path), max_skipped, spoil)
    ends = [torch.load(tmp_path / f'{rank}.pth') for rank in range(WORLD)]
    assert ends[0]['error'] == ends[1]['error']
    for end in ends:
        assert end['iter'] == (6 if max_skipped else 3)
        assert end['state']['queue.num_enqueued'] == (5 if max_skipped else 3) * 16
        assert all(value.isfinite().all() for value in end['state'].values())
    own = [name for name in ends[0]['state'] if 'running' in name]
    assert own
    for name, value in ends[0]['state'].items():
        assert name in own or value.equal(ends[1]['state'][name]), name
    if max_skipped == 0:
        which = {spoil_loss: 'loss_ddm of rank 1', spoil_without_gradient: 'loss_flat of rank 1'}
        assert ends[0]['error'].startswith(f'{which.get(spoil, "the gradient of ")}')
        assert 'is not finite in iteration 3: stopped before' in ends[0]['error']


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(max_skipped=-1), 'max_skipped must be at least 0, got -1'),
        (dict(max_skipped=5, window=5), 'window must be more iterations than max_skipped=5, got 5'),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        FiniteGuardHook(**settings)


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
