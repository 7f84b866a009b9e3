"""The hook in real runs of the runner."""

import math
from pathlib import Path

import pytest
import reference
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from clsa_mm.engine import MomentumQueueHook
from clsa_mm.models import CLSA


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


def run(cfg, *hooks: Hook) -> tuple[Runner, Spy]:
    runner, spy = Runner.from_cfg(cfg), Spy()
    for hook in (spy, *hooks):
        runner.register_hook(hook)
    runner.train()
    return runner, spy


def test_one_update_and_one_enqueue_an_iteration(tiny_pretraining):
    runner, spy = run(tiny_pretraining())
    assert spy.calls == [('enqueue',), ('ema', 0.99)] * 12
    assert runner.model.queue.total == 12 * 8


def test_gradient_accumulation_updates_once_per_optimizer_step(tiny_pretraining):
    """6 iterations an epoch in groups of 4: the runner steps at 4, 8 and at the end, 12."""
    steps = []

    class CountSteps(Hook):
        def before_train(self, runner: Runner) -> None:
            runner.optim_wrapper.optimizer.register_step_post_hook(lambda *_: steps.append(runner.iter))

    cfg = tiny_pretraining(**{'optim_wrapper.accumulative_counts': 4})
    runner, spy = run(cfg, CountSteps())
    assert steps == [3, 7, 11]
    expected = [('enqueue',)] * 12
    for position in (4, 9, 14):
        expected.insert(position, ('ema', 0.99))
    assert spy.calls == expected
    assert runner.model.queue.total == 12 * 8


def test_a_skipped_optimizer_step_moves_no_key_encoder(tiny_pretraining):
    """As a gradient scaler does after an overflow: backward without step."""

    class SkipThird(OptimWrapper):
        count = 0

        def step(self, **kwargs) -> None:
            self.count += 1
            if self.count != 3:
                super().step(**kwargs)

    cfg = tiny_pretraining()
    runner, spy = Runner.from_cfg(cfg), Spy()
    runner.register_hook(spy)
    optimizer = torch.optim.SGD(runner.model.parameters(), lr=0.01)
    runner.optim_wrapper = SkipThird(optimizer)
    runner.train()
    assert [call[0] for call in spy.calls].count('ema') == 11
    assert spy.calls[4:7] == [('enqueue',), ('enqueue',), ('ema', 0.99)]


def test_the_order_is_the_official_one(tiny_pretraining):
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

    run(tiny_pretraining(), Oracle())
    assert expected == {i: True for i in range(12)}


def test_cosine_schedule(tiny_pretraining):
    cfg = tiny_pretraining(
        **{
            'default_hooks.momentum_queue.schedule': 'cosine',
            'default_hooks.momentum_queue.end_momentum': 0.999,
        }
    )
    _, spy = run(cfg)
    used = [call[1] for call in spy.calls if call[0] == 'ema']
    assert used == pytest.approx(
        [reference.cosine_momentum(0.99, 0.999, step, 12) for step in range(12)], abs=1e-12
    )


def test_reports(tiny_pretraining):
    _, spy = run(tiny_pretraining(**{'default_hooks.momentum_queue.interval': 1}))
    fill = spy.scalars['train/queue_fill']
    assert fill == pytest.approx([1 / 3, 2 / 3] + [1] * 10)
    assert spy.scalars['train/chance_level'] == pytest.approx([math.log(8 + 24)] * 12)
    assert set(spy.scalars) >= {
        'train/positive_similarity',
        'train/negative_similarity',
        'train/feature_std',
        'train/momentum',
    }
    assert all(-1 <= v <= 1 for v in spy.scalars['train/positive_similarity'])
    assert all(0 < v < 0.5 for v in spy.scalars['train/feature_std'])


def test_non_finite_loss_stops_and_names_the_term(tiny_pretraining):
    class Poison(Hook):
        def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
            if runner.iter == 3:
                runner.model.head.ddm_temperature = float('nan')

    cfg = tiny_pretraining()
    runner = Runner.from_cfg(cfg)
    runner.register_hook(Poison())
    with pytest.raises(FloatingPointError, match='^loss_ddm is not finite in iteration 3.*--resume'):
        runner.train()
    assert runner.model.queue.total == 3 * 8
    assert torch.isfinite(runner.model.queue.keys).all()


def warnings_of(cfg, monkeypatch) -> list[str]:
    runner = Runner.from_cfg(cfg)
    messages = []
    monkeypatch.setattr(runner.logger, 'warning', lambda message, *a, **k: messages.append(message))
    runner.train()
    return messages


def test_warns_of_a_queue_as_long_as_the_data_set(tiny_pretraining, monkeypatch):
    messages = warnings_of(tiny_pretraining(**{'model.queue_len': 48}), monkeypatch)
    assert any('queue of 48 keys' in m and '48 images' in m and 'for example 12' in m for m in messages)
    messages = warnings_of(tiny_pretraining(**{'model.queue_len': 47}), monkeypatch)
    assert not any('queue of' in m for m in messages)


def test_warns_once_of_a_loss_that_stays_at_chance(tiny_pretraining, monkeypatch):
    """An enormous temperature makes every bank entry equally likely: the loss is ln M exactly."""
    options = {'train_cfg.max_epochs': 4, 'default_hooks.momentum_queue.chance_patience': 2}
    stuck = tiny_pretraining(**options, **{'model.head.temperature': 1e6})
    messages = [m for m in warnings_of(stuck, monkeypatch) if 'stayed at chance' in m]
    assert len(messages) == 1
    assert '3.466 of 3.466' in messages[0]
    never_full = tiny_pretraining(**options, **{'model.head.temperature': 1e6, 'model.queue_len': 1000})
    assert not [m for m in warnings_of(never_full, monkeypatch) if 'stayed at chance' in m]
    # Without augmentation every query equals its key.
    healthy = tiny_pretraining(**options, **{'model.head.temperature': 0.02})
    views = healthy.train_dataloader.dataset.pipeline[1]
    views.transforms = [
        [dict(type='mmpretrain.ResizeEdge', scale=32), dict(type='mmpretrain.CenterCrop', crop_size=32)]
    ] * 2
    assert not [m for m in warnings_of(healthy, monkeypatch) if 'stayed at chance' in m]


def test_errors_name_cause_and_remedy(tiny_pretraining):
    with pytest.raises(ValueError, match="'constant' or 'cosine', got 'linear'"):
        MomentumQueueHook(schedule='linear')
    with pytest.raises(ValueError, match=r'end_momentum must be in \[0, 1\], got 2'):
        MomentumQueueHook(end_momentum=2)
    cfg = tiny_pretraining()
    runner = Runner.from_cfg(cfg)
    runner.model.__class__ = torch.nn.Module  # not a CLSA
    with pytest.raises(TypeError, match='drives a CLSA model.*remove the hook'):
        MomentumQueueHook().before_train(runner)


def test_a_config_without_the_hook_fails_and_names_it(tiny_pretraining):
    cfg = tiny_pretraining()
    del cfg.default_hooks['momentum_queue']
    with pytest.raises(RuntimeError, match='MomentumQueueHook'):
        Runner.from_cfg(cfg).train()


def test_logged_where_users_look(tiny_pretraining):
    runner = Runner.from_cfg(tiny_pretraining(**{'default_hooks.logger.interval': 1}))
    runner.train()
    text = next(Path(runner.log_dir).glob('*.log')).read_text()
    assert 'queue_fill: 1.0000' in text
    assert 'Effective batch: 8 images per optimizer step = 8 per process x 1 process(es)' in text
    assert 'Learning rate: 0.06, as in the config, not scaled' in text
