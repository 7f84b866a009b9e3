"""Queue, attention and bank for any sizes and values, against lists, exact sums and loops."""

import dataclasses
from fractions import Fraction

import exact
import hypothesis.strategies as st
import pytest
import torch
from drawn import DTYPES, epsilon, tensors, unit_vectors
from hypothesis import given

from clsa_mm.models import Bank
from clsa_mm.models.losses import attention_kernels as kernels
from clsa_mm.models.losses import bank_attention, merge_attention, own_attention
from clsa_mm.models.queues.key_queue import NO_LABEL, KeyQueue

SIZES = st.integers(1, 7)
# In parts of two keys, so that few keys are many parts.
SMALL_PARTS = [dataclasses.replace(each, rows=2) for each in (kernels.PLAIN, *kernels.KERNELS['cpu'])]


@given(st.data(), SIZES, SIZES, st.booleans(), st.lists(st.integers(0, 20), max_size=6))
def test_queue_is_a_list_of_the_last_keys(data, length, dim, labelled, batches):
    """The model writes key n to slot n mod K of a list, one by one; any batch wraps around."""
    queue = KeyQueue(length, dim, labelled=labelled)
    slots, labels, total = queue.keys.tolist(), [NO_LABEL] * length, 0
    for number in batches:
        keys = data.draw(tensors((number, dim), torch.float32))
        given_labels = torch.arange(total, total + number) if labelled else None
        queue.enqueue(keys, given_labels)
        for key in keys.tolist():
            slots[total % length], labels[total % length] = key, total
            total += 1
        assert queue.keys.tolist() == slots
        assert not labelled or queue.labels.tolist() == labels
        assert (queue.total, queue.pointer, queue.fill) == (total, total % length, min(1, total / length))
        assert int(queue.num_enqueued) == total


def assert_is_attention(ours, queries, keys, temperature, eps):
    """Expected key and log-partition of each query, up to what rounded products can change."""
    for query, expected_key, log_partition in zip(queries.tolist(), *ours, strict=True):
        exact_key, exact_log = exact.attention(query, keys.tolist(), temperature)
        products = [exact.dot(*([abs(x) for x in each] for each in (query, key))) for key in keys.tolist()]
        moved = 64 * eps * (1 + float(max(products) / Fraction(temperature)))  # a logit, by rounding
        assert torch.isfinite(log_partition) and torch.isfinite(expected_key).all()
        assert abs(Fraction(log_partition.item()) - exact_log) <= Fraction(moved)
        for values, found, wanted in zip(keys.T, expected_key.tolist(), exact_key, strict=True):
            low, high = Fraction(values.min().item()), Fraction(values.max().item())
            slack = 64 * Fraction(eps) * max(abs(low), abs(high)) + Fraction(1e-40)
            assert low - slack <= Fraction(found) <= high + slack  # a mean of keys lies among them
            assert abs(Fraction(found) - wanted) <= Fraction(min(1, 2 * moved)) * (high - low) + slack


@given(st.data(), st.sampled_from(DTYPES), SIZES, st.integers(1, 9), st.integers(1, 5), st.integers(-25, 25))
def test_attention_of_any_finite_values(data, dtype, number, size, channels, exponent):
    """Queries and keys of any lengths whose products are finite, temperatures from 1e-5 to 1e5."""
    temperature = data.draw(st.floats(1e-5, 1e5))
    sizes = [min(10.0 ** (sign * exponent), torch.finfo(dtype).max) for sign in (1, -1)]
    queries, keys = (
        data.draw(tensors((n, channels), dtype, s)) for n, s in zip((number, size), sizes, strict=True)
    )
    leaf = queries.clone().requires_grad_()
    ours = bank_attention(leaf, keys, temperature)
    assert_is_attention(ours, queries, keys, temperature, epsilon(dtype))
    gradient = torch.autograd.grad(ours[1].sum(), leaf)[0]
    wanted = (ours[0].double() / temperature).to(dtype)
    assert torch.allclose(gradient.double(), wanted.double(), rtol=1e-2 if dtype.itemsize < 4 else 1e-5)


@pytest.mark.parametrize('kernel', SMALL_PARTS, ids=[each.name for each in SMALL_PARTS])
@given(st.data(), SIZES, st.integers(1, 9), st.integers(1, 5), st.floats(-10, 18))
def test_kernels_of_any_finite_values(kernel, data, number, size, channels, exponent):
    """Also where log-partitions are so large that adding log 2 to them changes nothing."""
    for dtype in kernel.dtypes:
        queries = data.draw(tensors((number, channels), dtype, 10.0**exponent))
        keys = data.draw(tensors((size, channels), dtype, 10.0**exponent))
        ours = kernel(queries.contiguous(), keys.contiguous(), 0.5)
        assert_is_attention(ours, queries, keys, 2.0, epsilon(dtype))


@given(
    st.data(),
    SIZES,
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.integers(0, 3),
    st.integers(1, 3),
)
def test_bank_is_attention_over_all_its_keys(data, number, lengths, own, views):
    """Views at temperatures of their own; each sample has its own keys beside those that all share."""
    temperatures = data.draw(st.lists(st.floats(1e-8, 1e8), min_size=views, max_size=views))
    queries = data.draw(unit_vectors(views, number, 3))
    shared = [data.draw(unit_vectors(length, 3)) for length in lengths]
    own_keys = data.draw(unit_vectors(number, own, 3)) if own else None
    bank = Bank(data.draw(unit_vectors(number, 3)), shared, own_keys, holds_positives=False)
    assert len(bank) == sum(lengths) + own
    expected_keys, log_partitions = bank.attention(queries, temperatures)
    for view, temperature in enumerate(temperatures):
        for n in range(number):
            keys = torch.cat([*shared, *([own_keys[n]] if own else [])])
            ours = (expected_keys[view, n : n + 1], log_partitions[view, n : n + 1])
            assert_is_attention(ours, queries[view, n : n + 1], keys, temperature, epsilon(torch.float64))


@given(st.data(), st.sampled_from((torch.float32, torch.float64)), SIZES, SIZES, st.floats(-10, 15))
def test_merged_attention_of_any_finite_values(data, dtype, number, size, exponent):
    temperature = data.draw(st.floats(1e-3, 1e3))
    queries, shared = (data.draw(tensors((n, 2), dtype, 10.0**exponent)) for n in (number, size))
    own = data.draw(tensors((number, 3, 2), dtype, 10.0**exponent))
    ours = merge_attention(
        bank_attention(queries, shared, temperature), own_attention(queries, own, temperature)
    )
    for n in range(number):
        one = tuple(each[n : n + 1] for each in ours)
        assert_is_attention(one, queries[n : n + 1], torch.cat([shared, own[n]]), temperature, epsilon(dtype))
