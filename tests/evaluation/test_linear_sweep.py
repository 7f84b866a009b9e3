import numpy as np
import pytest
import torch
from sklearn.metrics import top_k_accuracy_score
from torch import nn

from clsa_mm.evaluation.accuracy import top_accuracies
from clsa_mm.evaluation.linear_sweep import Setting, grid, score_heads, sweep, sweep_table

IMAGES, DIMENSIONS, CLASSES, EPOCHS, BATCH = 50, 7, 6, 4, 16


def data(multi: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    features = (3 * rng.normal(size=(IMAGES, DIMENSIONS)) + 1).astype(np.float32)
    labels = (
        rng.choice([1, 0, -1], size=(IMAGES, CLASSES)).astype(np.int8)
        if multi
        else rng.integers(0, CLASSES, IMAGES)
    )
    return features, labels, rng.normal(size=(20, DIMENSIONS)).astype(np.float32)


def single_run(setting: Setting, multi: bool, schedule: str, seed: int) -> torch.Tensor:
    """One classifier with torch's own layer, loss, optimizer and scheduler on the same batches."""
    features, labels, test = (torch.from_numpy(array) for array in data(multi))
    if setting.standardize:
        mean, deviation = features.mean(0), features.std(0, correction=0)
        features, test = (features - mean) / deviation, (test - mean) / deviation
    head = nn.Linear(DIMENSIONS, CLASSES)
    initial = torch.randn(CLASSES, DIMENSIONS, generator=torch.Generator().manual_seed(seed)) * 0.01
    head.load_state_dict(dict(weight=initial, bias=torch.zeros(CLASSES)))
    optimizer = torch.optim.SGD(
        head.parameters(), lr=setting.lr, momentum=0.9, weight_decay=setting.weight_decay
    )
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(EPOCHS):
        for rows in torch.randperm(IMAGES, generator=generator).split(BATCH):
            if multi:
                loss = nn.BCEWithLogitsLoss(reduction='sum')(
                    head(features[rows]), (labels[rows] == 1).float()
                )
                loss = loss / len(rows)
            else:
                loss = nn.CrossEntropyLoss()(head(features[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if schedule == 'cosine':
            cosine.step()
    return head(test).detach()


@pytest.mark.parametrize('multi', [False, True])
@pytest.mark.parametrize('schedule', ['cosine', 'constant'])
def test_equals_separate_sgd_runs(multi: bool, schedule: str) -> None:
    settings = grid([0.001, 0.01, 0.05], [0.0, 0.1], [False, True])
    assert len(settings) == 12
    logits = sweep(*data(multi), settings, CLASSES, EPOCHS, BATCH, momentum=0.9, schedule=schedule, seed=5)
    expected = torch.stack([single_run(setting, multi, schedule, seed=5) for setting in settings])
    assert (expected[0] - expected[1]).abs().max() > 1e-3
    torch.testing.assert_close(logits, expected, atol=1e-6, rtol=1e-5)


def test_a_diverging_classifier_leaves_the_others_alone() -> None:
    alone = sweep(*data(), grid([0.01]), CLASSES, EPOCHS, BATCH)
    settings = [Setting(0.01), Setting(1e30, weight_decay=1e30)]
    logits = sweep(*data(), settings, CLASSES, EPOCHS, BATCH)
    torch.testing.assert_close(logits[:1], alone, atol=1e-6, rtol=1e-6)
    scores = score_heads(logits, np.random.default_rng(0).integers(0, CLASSES, 20))
    assert scores[0] is not None and scores[1] is None
    table = sweep_table(settings, scores).splitlines()
    assert 'best' in table[1] and 'diverged' in table[2]


def test_learns_what_is_separable() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 90)
    features = (np.eye(3)[labels] + 0.1 * rng.normal(size=(90, 3))).astype(np.float32)
    logits = sweep(features[:60], labels[:60], features[60:], grid([1e-4, 1.0]), 3, epochs=20, batch_size=20)
    low, high = score_heads(logits, labels[60:])
    assert high == dict(top1=100.0, top5=100.0) and low['top1'] <= 100


def test_top_accuracies_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(200, 9)), rng.integers(0, 9, 200)
    accuracies = top_accuracies(
        torch.from_numpy(scores).argsort(1, descending=True), torch.from_numpy(labels)
    )
    for k in (1, 5):
        expected = top_k_accuracy_score(labels, scores, k=k, labels=range(9))
        assert accuracies[f'top{k}'] == pytest.approx(100 * expected)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(test_features=np.zeros((3, 8), np.float32)), 'same backbone'),
        (dict(labels=np.zeros(IMAGES - 1, int)), 'do not fit 50 images'),
        (dict(labels=np.full(IMAGES, CLASSES)), 'but there are 6 classes'),
        (dict(settings=[]), 'at least one learning rate'),
        (dict(settings=[Setting(-1.0)]), 'learning rates are > 0'),
        (dict(epochs=0), 'at least 1'),
    ],
)
def test_errors(changes: dict, message: str) -> None:
    features, labels, test = data()
    arguments = dict(
        features=features, labels=labels, test_features=test, settings=grid([1.0]), num_classes=CLASSES
    )
    with pytest.raises(ValueError, match=message):
        sweep(**(arguments | changes))
