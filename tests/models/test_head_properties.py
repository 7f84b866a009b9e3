"""Heads for any batch, bank, number of views, temperature and type, against exact sums over the equations."""

import math
from collections.abc import Sequence
from fractions import Fraction

import exact
import hypothesis.strategies as st
import pytest
import reference_transform as slow
import torch
from drawn import DTYPES, epsilon, unit_vectors
from hypothesis import given

from clsa_mm.models import Bank, DDMHead, FeatureTransformHead, MoCHiHead
from clsa_mm.models.heads.feature_transform import FeatureTransform

SIZES, VIEWS, TEMPERATURES = st.integers(1, 5), st.integers(0, 3), st.floats(1e-3, 1e3)


def info_nce(query: Sequence, positive: Sequence, negatives: Sequence, temperature: float) -> Fraction:
    """Equation 1 of one query."""
    logits = [exact.dot(query, key) / Fraction(temperature) for key in (positive, *negatives)]
    return exact.log_sum_exp(logits) - logits[0]


def divergence(
    weak: Sequence, strong: Sequence, keys: Sequence, teacher_t: float, student_t: float
) -> Fraction:
    """Equation 4 of one pair of queries."""
    weights = exact.softmax([exact.dot(weak, key) / Fraction(teacher_t) for key in keys])
    logits = [exact.dot(strong, key) / Fraction(student_t) for key in keys]
    mean = sum(Fraction(weight) * logit for weight, logit in zip(weights, logits, strict=True))
    return exact.log_sum_exp(logits) - mean


def assert_near(ours: torch.Tensor, wanted: Fraction, error: float) -> None:
    assert torch.isfinite(ours) and abs(Fraction(ours.item()) - wanted) <= error, (ours, float(wanted), error)


@given(st.data(), st.sampled_from(DTYPES), SIZES, SIZES, st.integers(1, 3), VIEWS, st.booleans())
def test_ddm_head(data, dtype, number, length, num_weak, num_strong, own):
    temperatures = [data.draw(TEMPERATURES) for _ in range(3)]
    temperature, student_t, teacher_t = temperatures
    beta, weight = (data.draw(st.floats(0.01, 100)) for _ in range(2))
    head = DDMHead(temperature, student_t, beta, teacher_t, weight)
    weak, strong = (
        [data.draw(unit_vectors(number, 3, dtype=dtype)) for _ in range(n)] for n in (num_weak, num_strong)
    )
    leaves = [view.clone().requires_grad_() for view in (*weak, *strong)]
    keys, queue = (data.draw(unit_vectors(n, 3, dtype=torch.float32)) for n in (number, length))
    bank = Bank(keys, [queue], own=keys[:, None]) if own else Bank(keys, [keys, queue])
    terms = head.loss(leaves[:num_weak], leaves[num_weak:], bank)

    loss_contrastive = loss_ddm = Fraction(0)
    for n in range(number):
        key = keys[n].tolist()
        rest = [k for i, k in enumerate(keys.tolist()) if i != n and not own] + queue.tolist()
        queries = [[view[n].tolist() for view in views] for views in (weak, strong)]
        loss_contrastive += sum(info_nce(z, key, rest, temperature) for z in queries[0])
        pairs = [(w, s) for w in queries[0] for s in queries[1]]
        loss_ddm += sum(divergence(w, s, [key, *rest], teacher_t, student_t) for w, s in pairs)
    eps = epsilon(dtype)
    wanted = Fraction(weight) * loss_contrastive / number
    assert_near(terms['loss_contrastive'], wanted, 64 * eps * weight * num_weak * (1 + 1 / temperature))
    if strong:
        moved = min(1, 64 * eps * (1 + 1 / teacher_t)) + 64 * eps
        error = 8 * beta * num_weak * num_strong * moved * (1 + 1 / student_t)
        assert_near(terms['loss_ddm'], Fraction(beta) * loss_ddm / number, error)
    assert ('loss_ddm' in terms) == bool(strong)
    chance = weight * num_weak * math.log(len(rest) + 1)
    assert terms['chance_level'].item() == pytest.approx(chance, rel=1e-6, abs=1e-6)
    sum(value for name, value in terms.items() if name.startswith('loss')).backward()
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves)


class SharesGiven(FeatureTransformHead):
    """Takes one share for all pairs and one for all negatives, so that only the permutation is drawn."""

    given = (0.5, 0.5)

    def _draw(self, alpha: float, features: torch.Tensor) -> torch.Tensor:
        return features.new_tensor(self.given[alpha == self.negative_alpha])


@given(
    st.data(),
    st.sampled_from(DTYPES),
    SIZES,
    SIZES,
    st.sampled_from(['extrapolate', 'interpolate', None]),
    st.sampled_from(['replace', 'append']),
)
def test_feature_transform_head(data, dtype, number, length, positive, negative):
    """Any shares in [0, 1], and both ends; the gradient is finite."""
    temperature, share, negative_share = (
        data.draw(TEMPERATURES),
        *(data.draw(st.floats(0, 1)) for _ in range(2)),
    )
    head = SharesGiven(positive, negative, temperature=temperature)
    head.given = (share, negative_share)
    leaf = data.draw(unit_vectors(number, 3, dtype=dtype)).requires_grad_()
    keys, queue = (data.draw(unit_vectors(n, 3, dtype=torch.float32)) for n in (number, length))
    torch.manual_seed(length)
    terms = head.loss([leaf], [], Bank(keys, [queue], own=keys[:, None]))
    torch.manual_seed(length)
    permutation = torch.randperm(length).tolist()
    pool = queue.double()
    mixed = [
        slow.mix(n, pool[j], pool.new_full((3,), negative_share))
        for n, j in zip(pool, permutation, strict=True)
    ]
    negatives = torch.stack(mixed if negative == 'replace' else [*mixed, *pool]).tolist()
    wanted = Fraction(0)
    for query, key in zip(leaf.detach().double(), keys.double(), strict=True):
        if positive:
            shares = query.new_full((3,), share + (positive == 'extrapolate'))
            query, key = slow.mix(query, key, shares), slow.mix(key, query, shares)
        wanted += info_nce(query.tolist(), key.tolist(), negatives, temperature)
    # Negatives and shares are in float32.
    assert_near(
        terms['loss_contrastive'], wanted / number, 512 * epsilon(torch.float32) * (1 + 1 / temperature)
    )
    terms['loss_contrastive'].backward()
    assert torch.isfinite(leaf.grad).all()


@given(
    st.sampled_from(DTYPES),
    st.floats(1e-30, 1e30),
    st.sampled_from(['batch', 'sample', 'dimension']),
    st.lists(SIZES, min_size=2, max_size=3),
)
def test_shares_of_any_alpha(dtype, alpha, level, shape):
    """Each in [0, 1], as many as the level says; from Beta(alpha, alpha), whose mean is 1/2."""
    head = FeatureTransformHead(positive_alpha=alpha, level=level)
    torch.manual_seed(0)
    shares = FeatureTransform._draw(head, alpha, torch.zeros(shape, dtype=dtype))
    kept = dict(batch=0, sample=1, dimension=2)[level]
    assert shares.shape == (*shape[:-2], shape[-2] if kept else 1, shape[-1] if kept == 2 else 1)
    assert ((shares >= 0) & (shares <= 1)).all()
    many = FeatureTransform._draw(head, alpha, torch.zeros(400, 9, dtype=dtype)[None].expand(9, 400, 9))
    spread = (1 / (4 * (2 * alpha + 1)) / many.numel()) ** 0.5  # of the mean, for their variance
    assert many.double().mean().item() == pytest.approx(0.5, abs=6 * spread + 1e-2)


@given(st.data(), st.sampled_from(DTYPES), SIZES, st.integers(2, 6), VIEWS, VIEWS, st.integers(1, 3))
def test_mochi_head(data, dtype, number, length, num_mixed, num_query_mixed, views):
    num_hard = data.draw(st.integers(2, length))
    temperature, share = data.draw(TEMPERATURES), data.draw(st.floats(0.01, 0.99))
    head = MoCHiHead(num_hard, num_mixed, num_query_mixed or 1, share, temperature=temperature)
    leaves = [data.draw(unit_vectors(number, 3, dtype=dtype)).requires_grad_() for _ in range(views)]
    keys, queue = (data.draw(unit_vectors(n, 3, dtype=torch.float32)) for n in (number, length))
    bank = Bank(keys, [queue], own=keys[:, None])
    torch.manual_seed(length)
    synthetic = head.synthesise(torch.cat(leaves).detach(), queue).double()
    torch.manual_seed(length)
    terms = head.loss(leaves, [], bank)
    wanted = Fraction(0)
    for n, query in enumerate(torch.cat(leaves).detach().double()):
        # A mixture of opposite keys is 0, all others have unit length.
        lengths = synthetic[n].norm(dim=1)
        assert ((lengths - 1).abs() < 1e-3).logical_or(lengths < 1e-3).all()
        negatives = [*queue.tolist(), *synthetic[n].tolist()]
        wanted += info_nce(query.tolist(), keys[n % number].tolist(), negatives, temperature)
    assert_near(terms['loss_contrastive'], wanted / number, 1e-4 * views * (1 + 1 / temperature))
    chance = views * math.log(1 + length + num_mixed + (num_query_mixed or 1))
    assert terms['chance_level'].item() == pytest.approx(chance, rel=1e-6)
    sum(terms[name] for name in terms if name.startswith('loss')).backward()
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves)
