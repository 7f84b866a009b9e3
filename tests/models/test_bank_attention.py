"""Attention over the bank against loops over its entries, dense softmax in float64 and finite differences."""

import dataclasses
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import reference
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader

from clsa_mm.models.losses import attention_kernels as kernels
from clsa_mm.models.losses import bank_attention, merge_attention, own_attention

DOUBLE = torch.float64


def unit(*shape: int, seed: int, dtype: torch.dtype = DOUBLE) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=DOUBLE), dim=-1).to(dtype)


def dense(queries: torch.Tensor, bank: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    logits = queries.double() @ bank.double().T / temperature
    return torch.softmax(logits, dim=1) @ bank.double(), torch.logsumexp(logits, dim=1)


def test_equals_loops_over_the_bank():
    queries, bank = unit(4, 6, seed=0), unit(13, 6, seed=1)
    expected_keys, log_partitions = bank_attention(queries, bank, 0.3)
    for query, expected_key, log_partition in zip(queries, expected_keys, log_partitions, strict=True):
        probabilities = reference.distribution(query, bank, 0.3)
        slow = sum(p * entry for p, entry in zip(probabilities, bank, strict=True))
        torch.testing.assert_close(expected_key, slow, rtol=0, atol=1e-12)
        total = sum(reference.exponentials(query, bank, 0.3))
        torch.testing.assert_close(log_partition, torch.log(total), rtol=0, atol=1e-12)


def check(kernel: kernels.Kernel, dtype: torch.dtype, tolerance: float, shape: tuple[int, int, int]) -> None:
    number, entries, channels = shape
    queries, bank = unit(number, channels, seed=2, dtype=dtype), unit(entries, channels, seed=3, dtype=dtype)
    result = kernel(queries, bank, 1 / 0.2)
    assert [tensor.dtype for tensor in result] == [dtype, dtype]
    for ours, expected in zip(result, dense(queries, bank, 0.2), strict=True):
        torch.testing.assert_close(ours.double(), expected, rtol=tolerance, atol=tolerance)


# Queries, bank, channels: nothing is a multiple of anything.
SHAPES = [(1, 1, 1), (1, 1, 16), (3, 7, 3), (33, 64, 17), (70, 65, 128), (200, 31, 5)]


@pytest.mark.parametrize(
    ('kernel', 'dtype', 'tolerance'),
    [
        (kernels.PLAIN, torch.float64, 1e-12),
        (kernels.ONEDNN, torch.float32, 2e-6),
        (kernels.CPU_FLASH, torch.float64, 1e-12),
        (kernels.CPU_FLASH, torch.float32, 2e-6),
    ],
)
@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('rows', [7, 2048])
def test_every_kernel(kernel, dtype, tolerance, shape, rows):
    check(dataclasses.replace(kernel, rows=rows), dtype, tolerance, shape)


def in_a_fork(function: Callable[[int], None]) -> None:
    """Run elsewhere what compiles or starts threads: after it, processes that tests fork would not run."""
    mp.start_processes(function, nprocs=1, start_method='fork')


def attend_with_flex(_: int) -> None:
    kernels._flex_attention = lambda: kernels.flex.flex_attention  # not compiled
    check(dataclasses.replace(kernels.FLEX, rows=7), torch.float32, 2e-6, SHAPES[3])


def test_flex_attention():
    in_a_fork(attend_with_flex)


def test_a_long_bank_in_parts():
    queries, bank = unit(5, 16, seed=4, dtype=torch.float32), unit(9001, 16, seed=5, dtype=torch.float32)
    for ours, expected in zip(bank_attention(queries, bank, 0.2), dense(queries, bank, 0.2), strict=True):
        torch.testing.assert_close(ours.double(), expected, rtol=1e-6, atol=1e-6)


def test_gradients():
    queries, bank = unit(3, 5, seed=6).requires_grad_(), unit(9, 5, seed=7)
    assert torch.autograd.gradcheck(lambda q: bank_attention(q, bank, 0.3)[1], (queries,))
    # Of the queries alone: the expected key is detached, and a queue gets none.
    expected_key, log_partition = bank_attention(queries, bank, 0.3)
    assert not expected_key.requires_grad
    log_partition.sum().backward()
    torch.testing.assert_close(queries.grad, expected_key / 0.3)


def test_keys_that_need_gradients_get_them():
    queries, keys = unit(3, 5, seed=8).requires_grad_(), unit(4, 5, seed=9).requires_grad_()
    assert torch.autograd.gradcheck(lambda q, k: bank_attention(q, k, 0.3)[1], (queries, keys))
    expected_key, log_partition = bank_attention(queries, keys, 0.3)
    assert not expected_key.requires_grad
    torch.testing.assert_close((expected_key, log_partition.detach()), dense(queries, keys, 0.3))
    with torch.no_grad():
        assert not bank_attention(queries, keys, 0.3)[1].requires_grad


def test_the_bank_may_change_before_the_backward_pass():
    queries, bank = unit(3, 5, seed=10).requires_grad_(), unit(9, 5, seed=11)
    expected_key, log_partition = bank_attention(queries, bank, 0.3)
    bank.zero_()
    log_partition.sum().backward()
    torch.testing.assert_close(queries.grad, expected_key / 0.3)


class Largest(TorchDispatchMode):
    """Notes the number of elements of the largest tensor that an operation returns."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


def test_no_tensor_of_queries_times_bank_exists():
    queries = unit(64, 4, seed=12, dtype=torch.float32).requires_grad_()
    bank = unit(40_960, 4, seed=13, dtype=torch.float32)
    kernels.kernel_for(bank)  # probed once, which is no part of it
    with Largest() as largest:
        bank_attention(queries, bank, 0.2)[1].sum().backward()
    assert largest.elements == bank.numel()  # the bank itself, as a view; logits of a part are fewer
    with Largest() as largest:
        torch.logsumexp(queries @ bank.T / 0.2, dim=1)
    assert largest.elements == 64 * 40_960


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_at_least_float32_under_autocast(dtype):
    queries, bank = unit(8, 16, seed=14).to(dtype), unit(300, 16, seed=15).to(dtype)
    own = unit(8, 2, 16, seed=16).to(dtype)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        results = bank_attention(queries, bank, 0.07), own_attention(queries, own, 0.07)
        mixed = bank_attention(queries, bank.double(), 0.07)
    exact = dense(queries, bank, 0.07)
    assert {tensor.dtype for pair in results for tensor in pair} == {torch.float32}
    assert {tensor.dtype for tensor in mixed} == {torch.float64}
    for ours, expected in zip(results[0], exact, strict=True):
        torch.testing.assert_close(ours.double(), expected, rtol=1e-6, atol=1e-6)
    for i, (key, log) in enumerate(zip(*results[1], strict=True)):
        expected = dense(queries[i : i + 1], own[i], 0.07)
        torch.testing.assert_close(key.double(), expected[0][0], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(log.double(), expected[1][0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize('size', [1e4, 1e30])
def test_large_logits(size):
    """One key is all that counts: the log-partition is its logit."""
    bank = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    expected_key, log_partition = bank_attention(torch.tensor([[size, 0.0], [0.0, -size]]), bank, 0.5)
    assert log_partition.tolist() == pytest.approx([2 * size, 0.6931472], rel=1e-6)
    torch.testing.assert_close(expected_key, torch.tensor([[1.0, 0.0], [0.0, 0.0]]))


@pytest.mark.parametrize('dtype', [torch.float32, DOUBLE])
@pytest.mark.parametrize(
    ('query_size', 'key_size'), [(1e-30, 1e-30), (1e-38, 1e38), (20, 0.1), (3e38, 1e-37)]
)
def test_queries_and_keys_of_any_length(query_size, key_size, dtype):
    queries, bank = (
        unit(5, 16, seed=31, dtype=dtype) * query_size,
        unit(4500, 16, seed=32, dtype=dtype) * key_size,
    )
    expected_key, log_partition = bank_attention(queries, bank, 0.2)
    slow_key, slow_log = dense(queries, bank, 0.2)
    torch.testing.assert_close(log_partition.double(), slow_log, rtol=1e-6, atol=0)
    torch.testing.assert_close(expected_key.double() / key_size, slow_key / key_size, rtol=0, atol=1e-5)


def attend_with_threads(_: int) -> None:
    queries = unit(200, 16, seed=33, dtype=torch.float32).requires_grad_()
    bank = unit(9001, 16, seed=34, dtype=torch.float32)
    exact = dense(queries.detach(), bank, 0.2)
    results = []
    product, recorded = kernels._product, []

    def record(*factors: torch.Tensor) -> torch.Tensor:
        recorded.append(product(*factors).requires_grad)
        return product(*factors)

    kernels._product = record
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append(bank_attention(queries, bank, 0.2))
        assert torch.get_num_threads() == threads
        with ThreadPoolExecutor(1) as later:  # begins with the process's number
            assert later.submit(torch.get_num_threads).result() == threads
        torch.testing.assert_close(results[-1], results[0], rtol=0, atol=0)
    assert recorded and not any(recorded)  # or all logits would stay in memory
    for ours, expected in zip(results[0], exact, strict=True):
        torch.testing.assert_close(ours.detach().double(), expected, rtol=1e-6, atol=1e-6)


def test_the_number_of_threads_changes_no_bit_and_is_kept():
    in_a_fork(attend_with_threads)  # threads of this process would be missing in those that tests fork


def test_a_value_that_is_not_finite_shows():
    for bad in (float('nan'), float('inf')):
        queries, bank = unit(3, 5, seed=17), unit(5000, 5, seed=18)
        queries[1, 2] = bad
        finite = torch.isfinite(bank_attention(queries, bank, 0.2)[1])
        assert finite.tolist() == [True, False, True]
        bank[4000, 1] = float('nan')
        assert not torch.isfinite(bank_attention(unit(3, 5, seed=17), bank, 0.2)[1]).any()


def test_no_queries():
    queries = torch.zeros(0, 5, requires_grad=True)
    expected_key, log_partition = bank_attention(queries, torch.ones(7, 5), 0.2)
    assert (expected_key.shape, log_partition.shape) == ((0, 5), (0,))
    log_partition.sum().backward()
    assert queries.grad.shape == (0, 5)


def test_queries_and_banks_that_are_not_contiguous():
    queries, bank = unit(5, 4, seed=19).T, unit(5, 9, seed=20).T
    torch.testing.assert_close(bank_attention(queries, bank, 0.2), dense(queries, bank, 0.2))


def compile_a_loss(_: int) -> None:
    queries, bank = unit(3, 5, seed=21).requires_grad_(), unit(9, 5, seed=22)

    def loss(queries: torch.Tensor) -> torch.Tensor:
        expected_key, log_partition = bank_attention(queries * 2, bank, 0.3)
        return (log_partition - (queries * expected_key).sum(dim=1)).mean()

    compiled = torch.compile(loss, backend='eager')(queries)
    torch.testing.assert_close(compiled, loss(queries))
    torch.testing.assert_close(
        torch.autograd.grad(compiled, queries), torch.autograd.grad(loss(queries), queries)
    )


def test_within_a_compiled_function():
    in_a_fork(compile_a_loss)


def other_base(queries: torch.Tensor, keys: torch.Tensor, scale: float) -> kernels.Attention:
    outputs, logs = kernels._run_plain(queries, keys, scale)
    return outputs, logs / 0.6931472


def missing(*_: object) -> kernels.Attention:
    return torch.ops.aten._no_such_kernel()


@pytest.mark.parametrize(('run', 'reason'), [(other_base, 'not close'), (missing, '_no_such_kernel')])
def test_a_kernel_that_is_missing_or_differs_is_replaced_and_announced_once(run, reason, monkeypatch):
    messages = []
    monkeypatch.setattr(kernels, 'print_log', lambda message, **_: messages.append(message))
    monkeypatch.setattr(kernels, 'KERNELS', {'cpu': (kernels.Kernel('changed kernel', run, rows=8),)})
    kernels._fastest.cache_clear()
    try:
        queries, bank = unit(3, 5, seed=23), unit(9, 5, seed=24)
        for _ in range(2):
            torch.testing.assert_close(bank_attention(queries, bank, 0.2), dense(queries, bank, 0.2))
    finally:
        kernels._fastest.cache_clear()
    assert len(messages) == 1
    assert 'uses the plain path on cpu' in messages[0] and 'changed kernel' in messages[0]
    assert reason in messages[0]


def test_a_data_worker_that_dies_is_no_fault_of_a_kernel(monkeypatch):
    """torch raises its death in whatever the main process does: here while the kernels are tried."""
    loader = iter(DataLoader(range(8), num_workers=1))
    next(loader)

    def run(queries, keys, scale):
        os.kill(loader._workers[0].pid, signal.SIGKILL)
        for _ in range(1000):  # until the signal of it is noticed
            time.sleep(0.01)

    monkeypatch.setattr(kernels, 'KERNELS', {'cpu': (kernels.Kernel('slow kernel', run, rows=8),)})
    kernels._fastest.cache_clear()
    try:
        with pytest.raises(RuntimeError, match='DataLoader worker .* is killed by signal'):
            kernels.kernel_for(torch.zeros(2, 4))
    finally:
        kernels._fastest.cache_clear()


def test_the_fastest_kernel_is_used_where_it_can_be():
    assert kernels.kernel_for(torch.zeros(1, 2)) is kernels.ONEDNN
    assert kernels.kernel_for(torch.zeros(1, 2, dtype=DOUBLE)) is kernels.CPU_FLASH


def test_own_keys_merge_with_the_bank():
    """A query against the bank and three keys of its own, as if all were rows of one bank."""
    views, bank, own = unit(2, 4, 6, seed=25), unit(13, 6, seed=26), unit(4, 3, 6, seed=27)
    further = own_attention(views, own, 0.3)
    assert (further[0].shape, further[1].shape) == ((2, 4, 6), (2, 4))
    for view, *more in zip(views, *further, strict=True):
        merged = merge_attention(bank_attention(view, bank, 0.3), tuple(more))
        for i in range(4):
            expected = dense(view[i : i + 1], torch.cat([own[i], bank]), 0.3)
            torch.testing.assert_close(merged[0][i], expected[0][0], rtol=0, atol=1e-12)
            torch.testing.assert_close(merged[1][i], expected[1][0], rtol=0, atol=1e-12)


def test_gradients_of_merged_attention():
    queries, bank = unit(3, 5, seed=28).requires_grad_(), unit(9, 5, seed=29)
    own = unit(3, 2, 5, seed=30).requires_grad_()

    def log_partition(queries: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        parts = bank_attention(queries, bank, 0.3), own_attention(queries, own, 0.3)
        expected_key, merged = merge_attention(*parts)
        assert not expected_key.requires_grad
        return merged

    assert torch.autograd.gradcheck(log_partition, (queries, own))


def test_a_learned_temperature_scales_the_queries():
    """As the error on a temperature that needs a gradient says."""
    queries, bank = torch.randn(3, 4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    scale = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: bank_attention(queries * s, bank, 1.0)[1], scale)


@pytest.mark.parametrize(
    ('call', 'match'),
    [
        (lambda z: bank_attention(z(2, 3), z(4, 5), 0.2), r'\(N, C\).*\(2, 3\) and \(4, 5\).*feat_dim'),
        (lambda z: bank_attention(z(2, 3, 3), z(4, 3), 0.2), r'queries must be \(N, C\)'),
        (lambda z: bank_attention(z(2, 3), z(0, 3), 0.2), 'bank holds no key'),
        (lambda z: bank_attention(z(2, 3), z(4, 3), 0), 'temperature must be positive, got 0'),
        (lambda z: bank_attention(z(2, 3), z(4, 3), float('nan')), 'temperature=nan must be a finite number'),
        (lambda z: bank_attention(z(2, 3), z(4, 3), z(()).add(1).requires_grad_()), 'Scale the queries'),
        (lambda z: own_attention(z(2, 3), z(2, 1, 3), z(()).add(1).requires_grad_()), 'Scale the queries'),
        (lambda z: own_attention(z(2, 3), z(3, 1, 3), 0.2), r'\(N, P, C\).*\(2, 3\) and \(3, 1, 3\)'),
        (lambda z: own_attention(z(2, 3), z(2, 0, 3), 0.2), 'P >= 1'),
        (lambda z: own_attention(z(2, 3), z(2, 1, 3), -1), 'temperature must be positive'),
        (lambda z: merge_attention(), 'parts to merge'),
        (lambda z: merge_attention((z(2, 3), z(2)), (z(4, 3), z(4))), r'same queries.*\(4, 3\)'),
    ],
)
def test_errors_name_cause_and_remedy(call, match):
    with pytest.raises(ValueError, match=match):
        call(torch.zeros)
