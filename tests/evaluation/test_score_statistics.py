"""Against loops over queries and keys, and closed forms."""

import statistics

import pytest
import reference
import torch
import torch.nn.functional as F

from clsa_mm.evaluation import score_statistics
from clsa_mm.models import Bank, LabelledBank

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
    for name in ('score', 'probability'):
        assert float(found[f'negative_{name}_variance']) == pytest.approx(0, abs=1e-30)


@pytest.mark.parametrize('own', [False, True])
def test_positives_of_a_label(own):
    """Means over all keys of a query's label, and over all others."""
    labels, queue_labels = [0, 1, 0], [1, 1, 0, -1, 2]
    keys, queue, queries = (unit(number, C, seed=seed) for seed, number in enumerate((3, 5, 3)))
    shared = [] if own else [(keys, labels)]
    shared.append((queue, queue_labels))
    bank = LabelledBank(
        keys,
        [each for each, _ in shared],
        torch.tensor(labels),
        [torch.tensor(each) for _, each in shared],
        keys[:, None] if own else None,
    )
    rows = []
    for query, key, label in zip(queries, keys, labels, strict=True):
        met = torch.cat([*(each for each, _ in shared), *([key[None]] if own else [])])
        their = [other for _, each in shared for other in each] + [label] * own
        same = [other == label for other in their]
        scores = [float(query @ other) for other in met]
        probabilities = [float(p) for p in reference.distribution(query, met, 0.2)]
        pick = lambda values, wanted: [v for v, s in zip(values, same, strict=True) if s == wanted]  # noqa: E731, B023
        rows.append(
            dict(
                positive_score=statistics.fmean(pick(scores, True)),
                positive_probability=statistics.fmean(pick(probabilities, True)),
                negative_score=statistics.fmean(pick(scores, False)),
                negative_score_variance=statistics.pvariance(pick(scores, False)),
                negative_probability_variance=statistics.pvariance(pick(probabilities, False)),
            )
        )
    found = score_statistics(queries, bank, 0.2)
    assert {name: float(value) for name, value in found.items()} == {
        name: pytest.approx(statistics.fmean(row[name] for row in rows), rel=1e-9) for name in rows[0]
    }


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
