"""Losses of any finite logits and features, up to the limits of their type, against exact sums."""

from fractions import Fraction

import hypothesis.strategies as st
import pytest
import torch
from drawn import DTYPES, epsilon, largest, tensors
from exact import clamped, dot, log_sum_exp, softmax
from hypothesis import given

from clsa_mm.models.losses import (
    ddm_loss,
    info_nce_loss,
    max_margin_loss,
    multi_view_ddm_loss,
    supcon_loss,
)

SIZES, TEMPERATURES = st.integers(1, 4), st.floats(1e-3, 1e3)
REPEATS = st.sampled_from([1, 1500])  # a large batch of the same: its mean is theirs, its sum may overflow


def scaled(logits: torch.Tensor, temperature: float, dtype: torch.dtype) -> list[list[Fraction]]:
    """Logits divided by the temperature, where the docstrings say that they are cut."""
    bound = largest(dtype) / 1024
    return [[clamped(value, temperature, bound) for value in row] for row in logits.tolist()]


def assert_near(ours: torch.Tensor, exact: Fraction, error: float) -> None:
    assert torch.isfinite(ours).all()
    assert abs(Fraction(ours.item()) - exact) <= Fraction(error), (ours.item(), float(exact), error)


def assert_finite_gradient(leaf: torch.Tensor) -> None:
    """In float32 at least: that of features of a half precision may be beyond its limits."""
    assert leaf.dtype in (torch.float16, torch.bfloat16) or torch.isfinite(leaf.grad).all()


def largest_of(rows: list[list[Fraction]]) -> float:
    return float(max(abs(value) for row in rows for value in row))


@given(st.data(), st.sampled_from(DTYPES), SIZES, SIZES, TEMPERATURES, REPEATS)
def test_info_nce(data, dtype, number, keys, temperature, repeats):
    logits = data.draw(tensors((number, keys), dtype))
    labels = torch.tensor(data.draw(st.lists(st.integers(0, keys - 1), min_size=number, max_size=number)))
    given_logits = logits.repeat(repeats, 1).requires_grad_()
    loss = info_nce_loss(given_logits, labels.repeat(repeats), temperature)
    rows = scaled(logits, temperature, dtype)
    exact = sum(log_sum_exp(row) - row[y] for row, y in zip(rows, labels.tolist(), strict=True)) / number
    assert_near(loss, exact, 64 * epsilon(dtype) * (1 + largest_of(rows)))
    loss.backward()
    assert_finite_gradient(given_logits)


@given(st.data(), st.sampled_from(DTYPES), SIZES, SIZES, TEMPERATURES, TEMPERATURES, SIZES, SIZES, REPEATS)
def test_ddm(data, dtype, number, keys, student_t, teacher_t, num_students, num_teachers, repeats):
    """Any number of views; of one pair the two losses are the same."""
    students, teachers = (
        [data.draw(tensors((number, keys), dtype)) for _ in range(views)]
        for views in (num_students, num_teachers)
    )
    leaves = [each.repeat(repeats, 1).requires_grad_() for each in students]
    loss = multi_view_ddm_loss(leaves, [each.repeat(repeats, 1) for each in teachers], student_t, teacher_t)
    exact, error = Fraction(0), 0.0
    for student in students:
        for teacher in teachers:
            logits, targets = scaled(student, student_t, dtype), scaled(teacher, teacher_t, dtype)
            for row, target in zip(logits, targets, strict=True):
                probabilities = [Fraction(p) for p in softmax(target)]
                exact += log_sum_exp(row) - sum(p * x for p, x in zip(probabilities, row, strict=True))
            # Rounded logits of the teacher move its probabilities, by 1 at most.
            moved = min(1.0, 64 * epsilon(dtype) * (1 + largest_of(targets)))
            error += 2 * keys * (moved + 64 * epsilon(dtype)) * (1 + largest_of(logits))
    assert_near(loss, exact / number, error)
    loss.backward()
    for leaf in leaves:
        assert_finite_gradient(leaf)
    if num_students == num_teachers == 1 and repeats == 1:
        assert torch.equal(loss, ddm_loss(students[0], teachers[0], student_t, teacher_t))


@pytest.mark.parametrize('place', ['out', 'in'])
@given(st.data(), st.sampled_from(DTYPES), st.integers(1, 5), SIZES, TEMPERATURES)
def test_supcon(place, data, dtype, number, channels, temperature):
    limit = (largest(dtype) / 1024 / channels * min(temperature, 1)) ** 0.5
    features = data.draw(tensors((number, channels), dtype, limit)).requires_grad_()
    labels = data.draw(st.lists(st.integers(0, 2), min_size=number, max_size=number))
    losses, counts = supcon_loss(features, torch.tensor(labels), temperature, place)
    rows = features.tolist()
    for i, row in enumerate(rows):
        logits = {a: dot(row, rows[a]) / Fraction(temperature) for a in range(number) if a != i}
        positives = [value for a, value in logits.items() if labels[a] == labels[i]]
        assert counts[i] == len(positives)
        exact = Fraction(0)
        if positives:
            mean = sum(positives) / len(positives)
            log_mean = log_sum_exp(positives) - log_sum_exp([Fraction(0)] * len(positives))
            exact = log_sum_exp([*logits.values()]) - (mean if place == 'out' else log_mean)
        sizes = [dot([abs(x) for x in row], [abs(x) for x in other]) for other in rows]
        error = 64 * epsilon(dtype) * (1 + float(max(sizes) / Fraction(temperature)))
        assert_near(losses[i], exact, error)
    losses.mean().backward()
    assert_finite_gradient(features)


@given(st.data(), st.sampled_from(DTYPES), st.integers(1, 5), SIZES, st.floats(1e-3, 1e3), st.booleans())
def test_max_margin(data, dtype, number, channels, margin, near):
    """Also of features that are near to each other and far from 0, where squares cancel."""
    limit = 1.0 if near else (largest(dtype) / 1024 / channels) ** 0.5 / 2
    features = (data.draw(tensors((number, channels), dtype, limit)) + 1000.0 * near).requires_grad_()
    labels = data.draw(st.lists(st.integers(0, 2), min_size=number, max_size=number))
    loss = max_margin_loss(features, torch.tensor(labels), margin)
    rows, terms, scale = features.tolist(), [], Fraction(margin)
    for i in range(number):
        for j in range(number):
            if i != j:
                difference = [Fraction(a) - Fraction(b) for a, b in zip(rows[i], rows[j], strict=True)]
                distance = sum(d * d for d in difference)
                scale = max(scale, distance)
                terms.append(
                    distance if labels[i] == labels[j] else max(Fraction(0), Fraction(margin) - distance)
                )
    exact = sum(terms, Fraction(0)) / max(len(terms), 1)
    assert_near(loss, exact, float(64 * Fraction(epsilon(dtype)) * scale) + 1e-30)
    loss.backward()
    assert_finite_gradient(features)
