import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from clsa_mm.evaluation import knn as knn_module
from clsa_mm.evaluation.knn import knn_accuracy, weighted_knn


def features(
    images: int = 60, queries: int = 25, dimensions: int = 6, classes: int = 7, seed: int = 0
) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    bank = torch.randn(images, dimensions, generator=generator)
    test = torch.randn(queries, dimensions, generator=generator)
    return (
        bank,
        torch.randint(classes, (images,), generator=generator),
        test,
        torch.randint(classes, (queries,), generator=generator),
    )


def slow_ranking(bank: list, labels: list[int], query: list[float], k: int, temperature: float) -> list[int]:
    """Wu et al. 2018, section 3.4, one pair at a time, float64."""
    similarity = [
        sum(a * b for a, b in zip(x, query, strict=True))
        / math.sqrt(sum(a * a for a in x) * sum(b * b for b in query))
        for x in bank
    ]
    votes = {}
    for i in sorted(range(len(bank)), key=lambda i: -similarity[i])[:k]:
        votes[labels[i]] = votes.get(labels[i], 0.0) + math.exp(similarity[i] / temperature)
    return sorted(votes, key=lambda label: -votes[label])


@pytest.mark.parametrize('k', [1, 5, 20, 60])
@pytest.mark.parametrize('temperature', [0.07, 1.0])
def test_ranking_equals_a_slow_loop(k: int, temperature: float) -> None:
    bank, labels, queries, _ = features()
    ranked = weighted_knn(bank, labels, queries, k, temperature)
    for row, query in zip(ranked.tolist(), queries.tolist(), strict=True):
        expected = slow_ranking(bank.tolist(), labels.tolist(), query, k, temperature)[:5]
        assert row == expected + [-1] * (len(row) - len(expected))


@pytest.mark.parametrize('k', [1, 7, 20])
def test_top1_equals_sklearn(k: int) -> None:
    bank, labels, queries, truth = features(images=200, queries=80)
    reference = KNeighborsClassifier(
        k, metric='cosine', algorithm='brute', weights=lambda d: np.exp((1 - d) / 0.07)
    ).fit(bank.double().numpy(), labels.numpy())
    predicted = reference.predict(queries.double().numpy())
    ranked = weighted_knn(bank, labels, queries, k)
    assert ranked[:, 0].tolist() == predicted.tolist()
    accuracy = knn_accuracy(bank, labels, queries, truth, k)
    assert accuracy['top1'] == pytest.approx(100 * (predicted == truth.numpy()).mean())


def test_hand_example() -> None:
    """One near neighbour of class 0 against two farther ones of class 1."""
    bank = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.6, -0.8]])
    labels = torch.tensor([0, 1, 1])
    query = torch.tensor([[5.0, 0.0]])
    # Votes at T=0.07: e^(1/T) > 2 e^(0.6/T); at T=10: e^0.1 < 2 e^0.06.
    assert weighted_knn(bank, labels, query, k=3, temperature=0.07).tolist() == [[0, 1, -1]]
    assert weighted_knn(bank, labels, query, k=3, temperature=10.0).tolist() == [[1, 0, -1]]
    scores = knn_accuracy(bank, labels, query, torch.tensor([1]), k=3)
    assert scores == {'top1': 0.0, 'top5': 100.0}


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bank, labels, queries, _ = features()
    whole = weighted_knn(bank, labels, queries)
    monkeypatch.setattr(knn_module, '_CHUNK_NUMBERS', 3 * 20 * 20)
    assert torch.equal(weighted_knn(bank, labels, queries), whole)


def test_a_sharp_temperature_stays_finite() -> None:
    bank, labels, queries, _ = features()
    nearest = weighted_knn(bank, labels, queries, k=1)
    assert torch.equal(weighted_knn(bank, labels, queries, k=20, temperature=1e-4)[:, :1], nearest)


def test_autocast_does_not_reach_the_similarities() -> None:
    bank, labels, queries, _ = features(dimensions=64, images=400, queries=100)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        inside = weighted_knn(bank, labels, queries)
    assert torch.equal(inside, weighted_knn(bank, labels, queries))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(k=61), 'k=61 .* bank of 60 images'),
        (dict(k=0), 'k must be 1 to 60'),
        (dict(temperature=0.0), 'temperature must be > 0'),
        (dict(bank=torch.zeros(0, 6)), 'at least one'),
        (dict(queries=torch.zeros(0, 6)), 'at least one'),
        (dict(queries=torch.randn(4, 5)), '6 dimensions and queries 5'),
        (dict(queries=torch.randn(4, 6, 2, 2)), 'pool feature maps'),
        (dict(bank_labels=torch.zeros(60, dtype=torch.long)), 'two or more classes'),
        (dict(bank_labels=torch.zeros(59, dtype=torch.long)), 'one label for each of the 60'),
        (dict(bank_labels=torch.full((60,), -1)), 'class indices'),
        (dict(bank_labels=torch.rand(60)), 'class indices'),
        (dict(bank=torch.full((60, 6), float('nan'))), 'diverged'),
    ],
)
def test_bad_input_is_named(change: dict, message: str) -> None:
    bank, labels, queries, _ = features()
    arguments = dict(bank=bank, bank_labels=labels, queries=queries) | change
    with pytest.raises(ValueError, match=message):
        weighted_knn(**arguments)


def test_query_labels_have_to_fit() -> None:
    bank, labels, queries, truth = features()
    with pytest.raises(ValueError, match='one label for each of the 25 queries'):
        knn_accuracy(bank, labels, queries, truth[:-1])
