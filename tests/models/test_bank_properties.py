"""Queue and attention for random sizes and extreme values, against slow oracles.

Sizes and values come from a generator with a seed, so that a failure is the same each time.
"""

import numpy as np
import pytest
import torch

from clsa_mm.models.losses import bank_attention
from clsa_mm.models.queues.key_queue import KeyQueue


@pytest.mark.parametrize('seed', range(25))
def test_queue_is_a_list_of_the_last_keys(seed: int) -> None:
    """The oracle writes key n to slot n mod K, one by one."""
    rng = np.random.default_rng(seed)
    length, dim = (int(n) for n in rng.integers(1, 9, 2))
    queue = KeyQueue(length, dim)
    slots, total = queue.keys.clone(), 0
    for _ in range(12):
        keys = torch.from_numpy(
            rng.standard_normal((rng.integers(1, 3 * length + 2), dim)).astype(np.float32)
        )
        queue.enqueue(keys)
        for key in keys:
            slots[total % length] = key
            total += 1
        assert torch.equal(queue.keys, slots)
        assert (queue.total, queue.pointer, queue.fill) == (total, total % length, min(1, total / length))


@pytest.mark.parametrize('seed', range(40))
def test_attention_is_the_dense_softmax(seed: int) -> None:
    """In float64, for any numbers of queries and keys, temperatures 1e-3 to 1e3 and vectors up to 1e6."""
    rng = np.random.default_rng(seed)
    number, size, dim = (int(n) for n in rng.integers(1, 40, 3))
    temperature = float(10.0 ** rng.uniform(-3, 3))
    scale = float(10.0 ** rng.uniform(-6, 6))
    queries, keys = (scale * rng.standard_normal((n, dim)) for n in (number, size))
    logits = queries @ keys.T / temperature
    peak = logits.max(1, keepdims=True)
    weights = np.exp(logits - peak)
    partition = peak[:, 0] + np.log(weights.sum(1))
    expected = weights / weights.sum(1, keepdims=True) @ keys
    key, log_partition = bank_attention(torch.from_numpy(queries), torch.from_numpy(keys), temperature)
    assert torch.isfinite(key).all() and torch.isfinite(log_partition).all()
    np.testing.assert_allclose(log_partition.numpy(), partition, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(key.numpy(), expected, rtol=1e-6, atol=1e-6 * scale)
    # A mean of keys lies within their range.
    low, high = keys.min(0), keys.max(0)
    slack = 1e-9 * scale
    assert (key.numpy() >= low - slack).all() and (key.numpy() <= high + slack).all()
