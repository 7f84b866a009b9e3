"""The ring buffer against collections.deque."""

from collections import deque

import pytest
import torch
import torch.nn.functional as F

from clsa_mm.models import KeyQueue


@pytest.mark.parametrize('sizes', [[3] * 5, [7, 1, 4, 10, 10, 2], [23], [10, 25, 3], [0, 5]])
def test_any_batch_size_wraps_like_a_deque(sizes):
    queue = KeyQueue(length=10, feat_dim=4)
    expected = deque(queue.keys.tolist(), maxlen=10)
    for seed, size in enumerate(sizes):
        keys = torch.randn(size, 4, generator=torch.Generator().manual_seed(seed))
        queue.enqueue(keys)
        expected.extend(keys.tolist())
    oldest_first = torch.roll(queue.keys, -queue.pointer, dims=0)
    assert oldest_first.tolist() == list(expected)
    assert queue.total == queue.num_enqueued.item() == sum(sizes)
    assert queue.pointer == sum(sizes) % 10
    assert queue.fill == min(1, sum(sizes) / 10)


def test_starts_with_random_unit_vectors():
    queue = KeyQueue(length=500, feat_dim=16)
    torch.testing.assert_close(queue.keys.norm(dim=1), torch.ones(500))
    assert queue.keys.mean(0).abs().max() < 0.05
    assert queue.fill == 0


def test_survives_a_checkpoint():
    queue, resumed = KeyQueue(length=8, feat_dim=3), KeyQueue(length=8, feat_dim=3)
    queue.enqueue(F.normalize(torch.randn(11, 3), dim=1))
    resumed.load_state_dict(queue.state_dict())
    assert (resumed.total, resumed.pointer) == (11, 3)
    for each in (queue, resumed):
        each.enqueue(torch.ones(2, 3))
    assert torch.equal(queue.keys, resumed.keys)
    assert set(queue.state_dict()) == {'keys', 'num_enqueued'}


def test_a_checkpoint_of_another_length_leaves_an_empty_queue():
    queue, other = KeyQueue(length=8, feat_dim=3), KeyQueue(length=5, feat_dim=3)
    queue.enqueue(torch.ones(8, 3))
    with pytest.raises(RuntimeError, match='size mismatch for keys'):
        other.load_state_dict(queue.state_dict(), strict=False)
    assert (other.total, other.fill) == (0, 0)


def test_labels_stay_beside_their_keys():
    queue = KeyQueue(length=5, feat_dim=1, labelled=True)
    assert queue.labels.tolist() == [-1] * 5
    expected = deque([-1] * 5, maxlen=5)
    for start, size in ((0, 3), (3, 4), (7, 12), (19, 1)):
        labels = torch.arange(start, start + size)
        queue.enqueue(labels[:, None].float(), labels)
        expected.extend(labels.tolist())
        assert torch.roll(queue.labels, -queue.pointer).tolist() == list(expected)
    assert queue.keys[:, 0].tolist() == queue.labels.tolist()


def test_labels_in_a_checkpoint():
    plain, labelled = KeyQueue(length=4, feat_dim=2), KeyQueue(length=4, feat_dim=2, labelled=True)
    plain.enqueue(torch.ones(3, 2))
    labelled.enqueue(torch.ones(3, 2), torch.tensor([7, 8, 9]))
    again = KeyQueue(length=4, feat_dim=2, labelled=True)
    again.load_state_dict(labelled.state_dict())
    assert again.labels.tolist() == [7, 8, 9, -1]
    again.load_state_dict(plain.state_dict())  # of a training without labels
    assert again.labels.tolist() == [-1] * 4 and again.total == 3
    other = KeyQueue(length=4, feat_dim=2)
    other.load_state_dict(labelled.state_dict())
    assert torch.equal(other.keys, labelled.keys) and set(other.state_dict()) == {'keys', 'num_enqueued'}


def test_half_precision_keys_are_kept_in_float32():
    queue = KeyQueue(length=4, feat_dim=2)
    queue.enqueue(torch.tensor([[0.1, 0.2]], dtype=torch.float16))
    assert queue.keys.dtype == torch.float32
    assert queue.keys[0].tolist() == torch.tensor([0.1, 0.2], dtype=torch.float16).float().tolist()


def test_errors_name_cause_and_remedy():
    with pytest.raises(ValueError, match=r"\(N, 8\).*\(2, 4\).*feat_dim equal to the neck's"):
        KeyQueue(length=4, feat_dim=8).enqueue(torch.zeros(2, 4))
    with pytest.raises(ValueError, match='labelled=True got 2 keys with labels of shape None: give one'):
        KeyQueue(length=4, feat_dim=4, labelled=True).enqueue(torch.zeros(2, 4))
    with pytest.raises(
        ValueError, match=r'labelled=False got 2 keys with labels of shape \(2,\): .* none to'
    ):
        KeyQueue(length=4, feat_dim=4).enqueue(torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r'labels of shape \(3,\)'):
        labels = torch.zeros(3, dtype=torch.int64)
        KeyQueue(length=4, feat_dim=4, labelled=True).enqueue(torch.zeros(2, 4), labels)
    with pytest.raises(ValueError, match='length and feat_dim >= 1, got 0'):
        KeyQueue(length=0)
