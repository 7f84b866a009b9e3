"""Against loops over queries and keys, and closed forms."""

import statistics

import pytest
import reference
import torch
import torch.nn.functional as F

from clsa_mm.evaluation import score_statistics
from clsa_mm.models import Bank

N, C, K = 4, 6, 9


def unit(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def banks() -> dict[str, tuple[Bank, list[list[torch.Tensor]]]]:
    """Each kind of bank, and for each query its positive, if held, and its negatives."""
    keys, queue = unit(N, C, seed=1), unit(K, C, seed=2)
    others = [[*keys[:i], *keys[i + 1 :], *queue] for i in range(N)]
    return dict(
        batch=(Bank(keys, [keys, queue]), others),
        own=(Bank(keys, [queue], own=keys[:, None]), [[*queue]] * N),
        queue=(Bank(keys, [queue], holds_positives=False), [[*queue]] * N),
    )


@pytest.mark.parametrize('kind', ['batch', 'own', 'queue'])
@pytest.mark.parametrize('temperature', [0.02, 0.2])
def test_by_a_loop_over_the_bank(kind, temperature):
    bank, negatives = banks()[kind]
    queries = unit(N, C, seed=3)
    expected = {}
    for query, positive, others in zip(queries, bank.positives, negatives, strict=True):
        held = [positive] if kind != 'queue' else []
        probabilities = reference.distribution(query, torch.stack([*held, *others]), temperature)
        scores = [float(query @ key) for key in others]
        row = dict(
            positive_score=float(query @ positive),
            negative_score=statistics.fmean(scores),
            negative_score_variance=statistics.pvariance(scores),
            negative_probability_variance=statistics.pvariance(map(float, probabilities[len(held) :])),
        )
        if held:
            row['positive_probability'] = float(probabilities[0])
        for name, value in row.items():
            expected.setdefault(name, []).append(value)
    found = score_statistics(queries, bank, temperature)
    assert {name: float(value) for name, value in found.items()} == {
        name: pytest.approx(statistics.fmean(values), rel=1e-9) for name, values in expected.items()
    }


def test_a_model_that_knows_nothing():
    """All keys alike: each has 1/M, and nothing varies."""
    key = unit(1, C, seed=0)
    bank = Bank(key.expand(N, C), [key.expand(N, C), key.expand(K, C)])
    found = score_statistics(key.expand(N, C), bank, 0.2)
    assert float(found['positive_probability']) == pytest.approx(1 / (N + K))
    assert float(found['positive_score']) == float(found['negative_score']) == pytest.approx(1)
    assert float(found['negative_score_variance']) == float(found['negative_probability_variance']) == 0


def test_a_positive_without_negatives():
    keys = unit(N, C, seed=1)
    found = score_statistics(keys, Bank(keys, [], own=keys[:, None]), 0.2)
    assert found.keys() == {'positive_score', 'positive_probability'}
    assert float(found['positive_probability']) == 1


def test_half_precision_and_no_gradient():
    bank, _ = banks()['batch']
    queries = unit(N, C, seed=3).half().requires_grad_()
    half = Bank(bank.positives.half(), [keys.half() for keys in bank.shared])
    found = score_statistics(queries, half, 0.2)
    assert all(value.dtype == torch.float32 and not value.requires_grad for value in found.values())
    exact = score_statistics(queries.double(), bank, 0.2)
    assert {name: float(value) for name, value in found.items()} == {
        name: pytest.approx(float(value), rel=2e-2, abs=2e-3) for name, value in exact.items()
    }
