"""The hook in real runs of the runner."""

from pathlib import Path

import pytest
import reference
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from small_runs import ScaledOptimWrapper, small_model, small_run

from clsa_mm.engine import MomentumQueueHook
from clsa_mm.models import CLSA

HOOKS = dict(momentum_queue=dict(type='MomentumQueueHook'))


class Spy(Hook):
    """Writes down the calls of the model's two updates, and runs as the last hook."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.calls: list[tuple] = []
        self.scalars: dict[str, list[float]] = {}

    def before_train(self, runner: Runner) -> None:
        model = runner.model
        update, enqueue = model.momentum_update, model.enqueue
        model.momentum_update = lambda m: (self.calls.append(('ema', m)), update(m))
        model.enqueue = lambda: (self.calls.append(('enqueue',)), enqueue())

    def after_train(self, runner: Runner) -> None:
        for name, buffer in runner.message_hub.log_scalars.items():
            self.scalars[name] = list(buffer.data[0])


def run(runner: Runner, *hooks: Hook) -> tuple[Runner, Spy]:
    spy = Spy()
    for hook in (spy, *hooks):
        runner.register_hook(hook)
    runner.train()
    return runner, spy


def test_one_update_and_one_enqueue_an_iteration(tmp_path):
    runner, spy = run(small_run(tmp_path, HOOKS))
    assert spy.calls == [('enqueue',), ('ema', 0.99)] * 12
    assert runner.model.queue.total == 12 * 8


def test_gradient_accumulation_updates_once_per_optimizer_step(tmp_path):
    """6 iterations an epoch in groups of 4: the runner steps at 4, 8 and at the end, 12."""
    steps = []

    class CountSteps(Hook):
        def before_train(self, runner: Runner) -> None:
            runner.optim_wrapper.optimizer.register_step_post_hook(lambda *_: steps.append(runner.iter))

    wrapper = dict(optimizer=dict(type='SGD', lr=0.01), accumulative_counts=4)
    runner, spy = run(small_run(tmp_path, HOOKS, optim_wrapper=wrapper), CountSteps())
    assert steps == [3, 7, 11]
    expected = [('enqueue',)] * 12
    for position in (4, 9, 14):
        expected.insert(position, ('ema', 0.99))
    assert spy.calls == expected
    assert runner.model.queue.total == 12 * 8


@pytest.mark.parametrize('fused', [False, True])
@pytest.mark.parametrize('guard', [False, True])
def test_a_step_that_the_scaler_skips_moves_no_key_encoder(tmp_path, fused, guard):
    """A fused optimizer is called also in a step that it is to skip."""
    hooks = {**HOOKS, **(dict(finite_guard=dict(type='FiniteGuardHook')) if guard else {})}
    runner = small_run(tmp_path, hooks)
    parameters = [p for p in runner.model.parameters() if p.requires_grad]
    runner.optim_wrapper = ScaledOptimWrapper(torch.optim.SGD(parameters, lr=0.01, fused=fused))
    _, spy = run(runner)
    assert [call[0] for call in spy.calls].count('ema') == 11
    assert spy.calls[4:7] == [('enqueue',), ('enqueue',), ('ema', 0.99)]


def test_the_order_is_the_official_one(tmp_path):
    """Keys come from an encoder that has seen all optimizer steps before, none of this iteration."""
    expected = {}

    class Oracle(Hook):
        priority = 'VERY_HIGH'

        def before_train(self, runner: Runner) -> None:
            model: CLSA = runner.model
            self.key = [p.clone() for p in model.key_encoder.parameters()]

        def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
            model: CLSA = runner.model
            queries = [*model.backbone.parameters(), *model.neck.parameters()]
            # The official forward starts with this.
            self.key = [0.99 * k + 0.01 * q for k, q in zip(self.key, queries, strict=True)]
            expected[runner.iter] = all(
                torch.allclose(a, b, atol=1e-6)
                for a, b in zip(self.key, model.key_encoder.parameters(), strict=True)
            )

    run(small_run(tmp_path, HOOKS), Oracle())
    assert expected == {i: True for i in range(12)}


def test_cosine_schedule(tmp_path):
    hook = dict(type='MomentumQueueHook', schedule='cosine', end_momentum=0.999)
    _, spy = run(small_run(tmp_path, dict(momentum_queue=hook)))
    used = [call[1] for call in spy.calls if call[0] == 'ema']
    assert used == pytest.approx(
        [reference.cosine_momentum(0.99, 0.999, step, 12) for step in range(12)], abs=1e-12
    )


def test_reports(tmp_path):
    _, spy = run(small_run(tmp_path, dict(momentum_queue=dict(type='MomentumQueueHook', interval=1))))
    assert spy.scalars['train/queue_fill'] == pytest.approx([1 / 3, 2 / 3] + [1] * 10)
    assert spy.scalars['train/momentum'] == [0.99] * 12
    assert spy.scalars['train/chance_level'] == pytest.approx([3.4657359] * 12)  # ln(8 + 24)
    assert all(-1 <= v <= 1 for v in spy.scalars['train/positive_similarity'])
    assert all(0 < v < 0.5 for v in spy.scalars['train/feature_std'])
    # Only what is called a loss is minimised.
    terms = [spy.scalars[f'train/{name}'] for name in ('loss_contrastive', 'loss_ddm')]
    assert spy.scalars['train/loss'] == pytest.approx([sum(pair) for pair in zip(*terms, strict=True)])


def test_warns_of_a_queue_as_long_as_the_data_set(tmp_path, monkeypatch):
    for length, warns in ((48, True), (47, False)):
        runner = small_run(tmp_path, HOOKS, model=small_model(queue_len=length), epochs=1)
        messages = []
        monkeypatch.setattr(runner.logger, 'warning', lambda message, *a, m=messages: m.append(message))
        runner.train()
        found = [m for m in messages if 'queue of 48 keys' in m and '48 images' in m and 'example 12' in m]
        assert bool(found) is warns


class OtherModel(torch.nn.Module):
    """Not a CLSA, and without a queue, but with what the hook asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.model = small_model()
        self.data_preprocessor = self.model.data_preprocessor
        self.momentum = 0.9
        self.moved = []

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict:
        return self.model.train_step(data, optim_wrapper)

    def momentum_update(self, momentum: float) -> None:
        self.moved.append(momentum)

    def enqueue(self) -> None:
        self.model.enqueue()


def test_any_model_with_the_two_updates(tmp_path):
    runner = small_run(tmp_path, HOOKS, model=OtherModel(), epochs=1)
    runner.train()
    assert runner.model.moved == [0.9] * 6
    assert runner.model.model.queue.total == 48


def test_errors_name_cause_and_remedy(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="'constant' or 'cosine', got 'linear'"):
        MomentumQueueHook(schedule='linear')
    with pytest.raises(ValueError, match=r'end_momentum must be in \[0, 1\], got 2'):
        MomentumQueueHook(end_momentum=2)
    for hooks, custom, place in (
        (HOOKS, [], 'take momentum_queue out of default_hooks'),
        ({}, [HOOKS['momentum_queue']], 'take the hook out of custom_hooks'),
    ):
        model = OtherModel()
        del model.momentum
        monkeypatch.delattr(OtherModel, 'enqueue', raising=False)
        runner = small_run(tmp_path, hooks, model=model, custom_hooks=custom)
        with pytest.raises(TypeError, match=rf'OtherModel lacks momentum, enqueue\(\): add .*or {place}'):
            runner.train()


def test_a_run_without_the_hook_fails_and_names_it(tmp_path):
    with pytest.raises(RuntimeError, match="momentum_queue=dict.type='MomentumQueueHook'. to default_hooks"):
        small_run(tmp_path, {}).train()


def test_logged_where_users_look(tiny_pretraining):
    runner = Runner.from_cfg(tiny_pretraining(**{'default_hooks.logger.interval': 1}))
    runner.train()
    text = next(Path(runner.log_dir).glob('*.log')).read_text()
    assert 'queue_fill: 1.0000' in text and 'positive_similarity: ' in text
    assert 'Effective batch: 8 images per optimizer step = 8 per process x 1 process(es)' in text
    assert 'Learning rate: 0.06, as in the config, not scaled' in text
