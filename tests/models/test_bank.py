"""What queries are compared with, against one dense bank per sample."""

import pytest
import torch
import torch.nn.functional as F

from clsa_mm.models import Bank


def unit(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def banks() -> list[tuple[Bank, list[tuple[torch.Tensor, int]]]]:
    """Banks for 3 samples with the same as each sample's rows and the place of its positive."""
    keys, queue, synthetic = unit(6, 5, seed=0), unit(11, 5, seed=1), unit(3, 2, 5, seed=2)
    own = keys[2:5]
    return [
        (Bank(own, [keys, queue]), [(torch.cat([keys, queue]), 2 + i) for i in range(3)]),
        (Bank(own, [queue], own=own[:, None]), [(torch.cat([own[i : i + 1], queue]), 0) for i in range(3)]),
        (
            Bank(own, [keys, queue], own=synthetic),
            [(torch.cat([keys, queue, synthetic[i]]), 2 + i) for i in range(3)],
        ),
    ]


@pytest.mark.parametrize(
    'case', range(3), ids=['batch and queue', 'own key and queue', 'with synthetic keys']
)
def test_a_bank_is_what_each_sample_meets(case):
    bank, rows = banks()[case]
    views = unit(2, 3, 5, seed=3)
    expected_keys, log_partitions = bank.attention(views, 0.3)
    positive, negative = bank.positive_similarity(views), bank.negative_similarity(views)
    for view in range(2):
        for i, (entries, place) in enumerate(rows):
            assert len(bank) == len(entries)
            similarities = entries @ views[view, i]
            exact = dict(rtol=0, atol=1e-12)
            torch.testing.assert_close(log_partitions[view, i], (similarities / 0.3).logsumexp(0), **exact)
            torch.testing.assert_close(
                expected_keys[view, i], (similarities / 0.3).softmax(0) @ entries, **exact
            )
            torch.testing.assert_close(positive[view, i], similarities[place], **exact)
            torch.testing.assert_close(
                bank.expected_key(views, 0.3)[view, i], expected_keys[view, i], **exact
            )
            listed = bank.similarities(views)[view, i]
            torch.testing.assert_close(listed.sort()[0], similarities.sort()[0], **exact)
            others = torch.cat([similarities[:place], similarities[place + 1 :]])
            torch.testing.assert_close(negative[view, i], others.mean(), **exact)


def test_one_view_needs_no_leading_dimension():
    bank, _ = banks()[1]
    views = unit(2, 3, 5, seed=3)
    both, one = bank.attention(views, 0.3), bank.attention(views[1], 0.3)
    torch.testing.assert_close(one, (both[0][1], both[1][1]), rtol=0, atol=1e-12)
    torch.testing.assert_close(bank.negative_similarity(views[1]), bank.negative_similarity(views)[1])


def test_a_temperature_for_each_view():
    bank, _ = banks()[1]
    views = unit(2, 3, 5, seed=3).requires_grad_()
    together = bank.attention(views, [0.2, 0.4])
    for view, temperature in enumerate((0.2, 0.4)):
        alone = bank.attention(views[view], temperature)
        torch.testing.assert_close((together[0][view], together[1][view]), alone, rtol=0, atol=1e-12)
        ours, expected = (
            torch.autograd.grad(log.sum(), views, retain_graph=True)[0]
            for log in (together[1][view], alone[1])
        )
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
    for wrong in ([0.2], [0.2, 0.0]):
        with pytest.raises(ValueError, match='2 views need as many temperatures, all positive'):
            bank.attention(views, wrong)


def test_nothing_of_the_queue_is_copied():
    queue = unit(11, 5, seed=1)
    bank = Bank(unit(3, 5, seed=0), [queue])
    assert bank.shared[0].data_ptr() == queue.data_ptr()


def test_keys_of_another_dimension():
    with pytest.raises(ValueError, match=r'one dimension.*\(3, 4\).*\(11, 5\).*feat_dim.*out_channels'):
        Bank(torch.zeros(3, 4), [torch.zeros(11, 5)])


@pytest.mark.parametrize(
    ('positives', 'shared', 'own'),
    [
        ((3, 1, 4), [(9, 4)], None),
        ((3, 4), [(9, 4), (4,)], None),
        ((3, 4), [(9, 4)], (3, 4)),
        ((3, 4), [(9, 4)], (2, 1, 4)),
    ],
)
def test_keys_of_wrong_shapes(positives, shared, own):
    with pytest.raises(ValueError, match=r'positives must be \(N, C\).*with the same N, got \(3, '):
        Bank(
            torch.zeros(positives),
            [torch.zeros(keys) for keys in shared],
            own=None if own is None else torch.zeros(own),
        )


def test_shared_keys_are_a_sequence():
    with pytest.raises(ValueError, match=r'shared must be a sequence of tensors, got one.*write \[keys\]'):
        Bank(torch.zeros(3, 4), torch.zeros(9, 4))


def test_a_bank_without_the_positives():
    positives, queue, view = unit(3, 5, seed=0), unit(11, 5, seed=1), unit(3, 5, seed=3)
    bank = Bank(positives, [queue], holds_positives=False)
    exact = dict(rtol=0, atol=1e-12)
    torch.testing.assert_close(bank.negative_similarity(view), (view @ queue.T).mean(dim=1), **exact)
    torch.testing.assert_close(bank.positive_similarity(view), (view * positives).sum(dim=1), **exact)


def test_the_expected_key_has_the_gradient_of_its_closed_form():
    """d o / d z is the keys' covariance under the softmax, divided by the temperature."""
    queue, view = unit(11, 5, seed=1), unit(1, 5, seed=3)
    bank = Bank(view, [queue], holds_positives=False)
    jacobian = torch.autograd.functional.jacobian(lambda z: bank.expected_key(z, 0.3)[0], view)[:, 0]
    weights = (queue @ view[0] / 0.3).softmax(0)
    covariance = torch.cov(queue.T, correction=0, aweights=weights)
    torch.testing.assert_close(jacobian, covariance / 0.3, rtol=0, atol=1e-12)


def test_no_negatives_have_no_similarity():
    key = unit(1, 5, seed=0)
    assert Bank(key, [key]).negative_similarity(unit(2, 1, 5, seed=1)).tolist() == [[0], [0]]
