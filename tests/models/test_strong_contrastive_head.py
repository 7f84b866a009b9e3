"""The contrastive loss in place of DDM against the loop over equation 1."""

import math

import pytest
import reference
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from clsa_mm.models import Bank, StrongContrastiveHead


def unit(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


KEYS, QUEUE = unit(4, 6, seed=0), unit(13, 6, seed=1)
BANKS = dict(batch=Bank(KEYS, [KEYS, QUEUE]), own=Bank(KEYS, [QUEUE], own=KEYS[:, None]))


def views(number: int, seed: int) -> list[Tensor]:
    return [unit(4, 6, seed=seed + i).requires_grad_() for i in range(number)]


def slow_loss(queries: Tensor, bank: str) -> Tensor:
    if bank == 'batch':
        return reference.contrastive(queries, range(4), torch.cat([KEYS, QUEUE]), 0.3)
    rows = [torch.cat([KEYS[i : i + 1], QUEUE]) for i in range(4)]
    return sum(reference.contrastive(queries[i : i + 1], [0], rows[i], 0.3) for i in range(4)) / 4


@pytest.mark.parametrize('bank', BANKS)
@pytest.mark.parametrize(('num_weak', 'num_strong'), [(1, 1), (2, 3)])
def test_losses_and_gradients_equal_the_equation(num_weak, num_strong, bank):
    weak, strong = views(num_weak, 10), views(num_strong, 20)
    head = MODELS.build(dict(type='StrongContrastiveHead', temperature=0.3, beta=0.7))
    terms = head(weak, strong, BANKS[bank])
    assert set(terms) == {'loss_contrastive', 'loss_strong', 'chance_level'}
    assert terms['chance_level'].item() == pytest.approx(num_weak * math.log(17 if bank == 'batch' else 14))
    expected = dict(
        loss_contrastive=sum(slow_loss(queries, bank) for queries in weak),
        loss_strong=0.7 * sum(slow_loss(queries, bank) for queries in strong),
    )
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=0, atol=1e-9)
    ours = torch.autograd.grad(terms['loss_contrastive'] + terms['loss_strong'], [*weak, *strong])
    slow = torch.autograd.grad(sum(expected.values()), [*weak, *strong])
    torch.testing.assert_close(ours, slow, rtol=0, atol=1e-9)


def test_gradcheck():
    head, number = StrongContrastiveHead(beta=2.0), 2

    def total(*queries: Tensor) -> Tensor:
        terms = head(queries[:number], queries[number:], BANKS['own'])
        return terms['loss_contrastive'] + terms['loss_strong']

    assert torch.autograd.gradcheck(total, (*views(number, 10), *views(1, 20)))


@pytest.mark.parametrize(('beta', 'num_strong'), [(0.0, 2), (1.0, 0)])
def test_without_strong_views_it_is_moco(beta, num_strong):
    weak = views(1, 10)
    terms = StrongContrastiveHead(0.3, beta)(weak, views(num_strong, 20), BANKS['own'])
    assert set(terms) == {'loss_contrastive', 'chance_level'}
    torch.testing.assert_close(terms['loss_contrastive'], slow_loss(weak[0], 'own'), rtol=0, atol=1e-9)


def test_errors_name_cause_and_remedy():
    with pytest.raises(ValueError, match='temperature must be positive, got 0'):
        StrongContrastiveHead(temperature=0)
    with pytest.raises(ValueError, match='beta must not be negative, got -1; 0 leaves'):
        StrongContrastiveHead(beta=-1)
    with pytest.raises(ValueError, match='no weak view to contrast: set views.weak'):
        StrongContrastiveHead()([], views(1, 20), BANKS['batch'])
    with pytest.raises(ValueError, match="positives in the bank: set model.bank to 'batch' or 'own'"):
        StrongContrastiveHead()(views(1, 10), [], Bank(KEYS, [QUEUE], holds_positives=False))
