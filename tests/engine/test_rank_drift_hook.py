"""Ranks whose tensors differ, in real runs of two processes, and the numbers by which they are compared."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from ranks import PARALLEL, WORLD, run_ranks, start_gloo
from small_runs import small_run
from torch import nn

from clsa_mm.engine import RankDriftHook
from clsa_mm.engine.hooks.rank_drift_hook import fingerprint, replicated_tensors
from clsa_mm.engine.unwrap import unwrap_model

HOOKS = dict(
    momentum_queue=dict(type='MomentumQueueHook'),
    rank_drift=dict(type='RankDriftHook', interval=2),
)


def slow_fingerprint(values: np.ndarray) -> int:
    """The sums value by value, in Python's integers."""
    bits = values.view(f'i{values.itemsize}' if values.itemsize > 1 else 'u1')
    bits = bits.reshape(len(bits), -1) if bits.ndim > 1 else bits.reshape(1, -1)
    total = 0
    for row in range(bits.shape[0]):
        for column in range(bits.shape[1]):
            total += int(bits[row, column]) * ((column + 1) + 1_000_003 * (row + 1))
    return (total + 2**63) % 2**64 - 2**63


@pytest.mark.parametrize('dtype', ['float32', 'float16', 'float64', 'int64', 'uint8', 'bool'])
@pytest.mark.parametrize('shape', [(), (5,), (4, 3), (4, 3, 2, 2), (0,), (3, 0)])
def test_against_a_slow_loop(dtype, shape):
    values = np.random.default_rng(0).normal(0, 100, shape).astype(dtype)
    assert fingerprint(torch.from_numpy(np.array(values))).item() == slow_fingerprint(np.array(values))


def test_what_changes_it():
    values = torch.randn(6, 4)
    before = fingerprint(values)
    bit = values.clone()
    bit.view(torch.int32)[3, 2] ^= 1
    negative = values.clone()
    negative[0, 0] = -0.0
    positive = values.clone()
    positive[0, 0] = 0.0
    assert negative.equal(positive) and fingerprint(negative) != fingerprint(positive)
    for other in (bit, values.roll(1, 0), values.roll(1, 1), values[[1, 0, 2, 3, 4, 5]], values.flip(0)):
        assert fingerprint(other) != before
    assert fingerprint(values.t().contiguous().t()) == before  # the memory's order does not matter
    assert fingerprint(values.bfloat16()) != fingerprint(values.half())


def test_statistics_of_batch_norm_are_each_ranks_own():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.SyncBatchNorm(2))
    model.register_buffer('queue', torch.zeros(3))
    assert set(replicated_tensors(model)) == {
        '0.weight', '0.bias', '1.weight', '1.bias', '2.weight', '2.bias', 'queue',
        '2.running_mean', '2.running_var', '2.num_batches_tracked',
    }  # fmt: skip


class Drift(Hook):
    """Changes the lowest bit of a value of tensors after an iteration, when the queue has its keys."""

    priority = 'ABOVE_NORMAL'

    def __init__(self, names: str, iteration: int) -> None:
        self.names = names.split()
        self.iteration = iteration

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        if runner.iter == self.iteration:
            state = unwrap_model(runner.model).state_dict(keep_vars=True)
            with torch.no_grad():
                for name in self.names:
                    state[name].view(torch.int32).view(-1)[-1] ^= 1


def train_rank(
    rank: int, port: int, folder: str, drifts: dict[int, tuple[str, int]], ignore: tuple[str, ...]
) -> None:
    start_gloo(rank, port)
    hooks = HOOKS | dict(rank_drift=dict(HOOKS['rank_drift'], ignore=ignore))
    runner = small_run(Path(folder, 'work'), hooks, **PARALLEL)
    if rank in drifts:
        runner.register_hook(Drift(*drifts[rank]))
    error = ''
    try:
        runner.train()
    except RuntimeError as stop:
        error = str(stop)
    Path(folder, f'{rank}.txt').write_text(f'{runner.iter} {error}')
    torch.distributed.barrier()  # neither leaves while the other still talks to it
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ('drifts', 'expected'),
    [
        ({}, '6 $'),  # each rank's batch norm has statistics of its own
        ({1: ('neck.fc.bias', 5)}, '6 $'),  # ignored
        ({1: ('queue.keys', 1)}, '1 queue.keys of rank 1 differ from those of rank 0 after iteration 1: '),
        ({1: ('key_encoder.neck.fc.bias', 2)}, '2 key_encoder.neck.fc.bias of rank 1 differ'),
        ({0: ('queue.keys neck.fc.weight', 5)}, '5 neck.fc.weight and 1 more of rank 1 differ from those'),
    ],
)
def test_two_ranks(tmp_path, drifts, expected):
    run_ranks(train_rank, str(tmp_path), drifts, ('fc.bias',) if 5 in drifts.get(1, ()) else ())
    texts = [(tmp_path / f'{rank}.txt').read_text() for rank in range(WORLD)]
    assert texts[0] == texts[1]
    assert re.match(expected, texts[0])


class ResumeAnother(Hook):
    """Each rank has another file to resume from."""

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        unwrap_model(runner.model).neck.fc.bias.data += runner.rank


def start_apart(rank: int, port: int, folder: str) -> None:
    start_gloo(rank, port)
    runner = small_run(Path(folder, 'work'), HOOKS, **PARALLEL)
    runner.register_hook(ResumeAnother())
    with pytest.raises(RuntimeError, match='^neck.fc.bias of rank 1 differ.* before training: '):
        runner.train()
    Path(folder, f'{rank}.txt').touch()
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_two_ranks_that_start_apart(tmp_path):
    run_ranks(start_apart, str(tmp_path))
    assert len(list(tmp_path.glob('*.txt'))) == WORLD


def test_one_process_is_not_compared(tmp_path):
    runner = small_run(tmp_path, HOOKS, epochs=1)
    runner.train()
    assert runner.iter == 6


def test_wrong_interval():
    with pytest.raises(ValueError, match='interval must be at least 1 iteration, got 0'):
        RankDriftHook(interval=0)
