"""What the global generators give in an iteration."""

import random
from pathlib import Path

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from small_training import small_runner


class Draw(Hook):
    """Notes what a model would draw in each iteration."""

    def __init__(self) -> None:
        self.drawn: list[float] = []

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        state = torch.get_rng_state()
        self.drawn += [torch.rand(()).item(), np.random.rand(), random.random()]
        torch.set_rng_state(state)


def train(work_dir: Path, epochs: int, **options: object) -> tuple[list[float], torch.Tensor]:
    draw = Draw()
    runner = small_runner(work_dir, epochs, hooks=[draw], **options)
    torch.seed()  # a process has other random states than the next
    return draw.drawn, runner.train().linear.weight.detach()


def test_a_function_of_seed_and_iteration(tmp_path):
    """A model with dropout, interrupted and resumed, is bit for bit the uninterrupted one."""
    drawn, weight = train(tmp_path / 'straight', 2)
    assert len(set(drawn)) == 3 * 12
    first, other_weight = train(tmp_path / 'broken', 1)
    assert not torch.equal(other_weight, weight)
    resumed, resumed_weight = train(tmp_path / 'broken', 2)
    assert first + resumed == drawn
    assert torch.equal(resumed_weight, weight)
    other, _ = train(tmp_path / 'other', 1, randomness__seed=1)
    assert not set(other) & set(drawn)


def test_ranks_draw_differently(tmp_path, monkeypatch):
    drawn, _ = train(tmp_path / 'a', 1)
    monkeypatch.setattr('clsa_mm.engine.hooks.iteration_seed_hook.get_rank', lambda: 1)
    other, _ = train(tmp_path / 'b', 1)
    assert not set(other) & set(drawn)
