"""Feature transformation against a loop over its equations."""

import pytest
import reference_transform as slow
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub
from torch.distributions import Beta

from clsa_mm.models import Bank, DDMHead, FeatureTransformHead

TEMPERATURE = 0.2


def unit(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


KEYS, QUEUE, STRONG = unit(5, 8, seed=1), unit(12, 8, seed=2), unit(5, 8, seed=3)
SIZES = dict(batch=(1, 1), sample=(5, 1), dimension=(5, 8))
QUEUE_SIZES = dict(batch=(1, 1), sample=(12, 1), dimension=(12, 8))


def own_bank() -> Bank:
    return Bank(KEYS, [QUEUE], own=KEYS[:, None])


@pytest.fixture
def epoch(monkeypatch):
    """Sets the epoch that the runner would have."""
    hub = MessageHub('a run of its own')
    monkeypatch.setattr(MessageHub, 'get_current_instance', lambda: hub)

    def set_epoch(number: int, epochs: int = 200) -> None:
        hub.update_info('epoch', number)
        hub.update_info('max_epochs', epochs)

    set_epoch(0)
    return set_epoch


@pytest.fixture(autouse=True)
def _outside_a_run(epoch):
    pass


def drawn(level: str, positive: str | None, negative: str | None):
    """What the head draws after ``manual_seed(0)``: torch's Beta, then torch's permutation."""
    torch.manual_seed(0)
    draw = lambda alpha, size: Beta(torch.tensor(alpha, dtype=torch.float64), alpha).sample(size)  # noqa: E731
    shares = queue_shares = None
    permutation = range(12)
    if positive:
        shares = draw(2.0, (1, *SIZES[level])).expand(1, 5, 8)[0] + (positive == 'extrapolate')
    if negative:
        queue_shares = draw(1.6, QUEUE_SIZES[level]).expand(12, 8)
        permutation = torch.randperm(12).tolist()
    return shares, queue_shares, permutation


@pytest.mark.parametrize('level', ['batch', 'sample', 'dimension'])
@pytest.mark.parametrize(
    ('positive', 'negative'),
    [
        ('extrapolate', 'replace'),
        ('extrapolate', None),
        (None, 'replace'),
        ('interpolate', None),
        (None, 'append'),
    ],
)
def test_loss_and_gradient_equal_the_equations(level, positive, negative):
    head = FeatureTransformHead(positive, negative, level=level, temperature=TEMPERATURE)
    queries = unit(5, 8, seed=0).requires_grad_()
    torch.manual_seed(0)
    terms = head.loss([queries], [], own_bank())
    arguments = drawn(level, positive, negative)
    expected = slow.feature_transform(
        queries, KEYS, QUEUE, *arguments, TEMPERATURE, append=negative == 'append'
    )
    torch.testing.assert_close(terms['loss_contrastive'], expected, rtol=0, atol=1e-9)
    ours, theirs = (torch.autograd.grad(loss, queries)[0] for loss in (terms['loss_contrastive'], expected))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)
    keys = 25 if negative == 'append' else 13
    assert terms['chance_level'].item() == pytest.approx(torch.tensor(float(keys)).log().item())


def test_the_level_is_told_by_the_number_of_different_shares():
    for level, number in dict(batch=1, sample=5, dimension=40).items():
        shares, queue_shares, _ = drawn(level, 'extrapolate', 'replace')
        assert len(shares.unique()) == number
        assert len(queue_shares.unique()) == {1: 1, 5: 12, 40: 96}[number]


@pytest.mark.parametrize('level', ['batch', 'sample', 'dimension'])
def test_extrapolation_never_raises_the_positive_score(level):
    """2 lambda (1 - lambda)(1 - s) + s for one lambda; by dimension s + sum lambda (1 - lambda)(z - k)^2."""
    head = FeatureTransformHead(level=level)
    queries, keys = unit(3, 1000, 8, seed=4), unit(1000, 8, seed=5)
    torch.manual_seed(0)
    moved, moved_keys = head.transform_pairs(queries, keys)
    before, after = (queries * keys).sum(-1), (moved * moved_keys).sum(-1)
    torch.manual_seed(0)
    size = dict(batch=(3, 1, 1), sample=(3, 1000, 1), dimension=(3, 1000, 8))[level]
    share = Beta(torch.tensor(2.0).double(), 2.0).sample(size) + 1
    closed = before + (share * (1 - share) * (queries - keys) ** 2).sum(-1)
    if level != 'dimension':
        share = share[..., 0]
        closed = 2 * share * (1 - share) * (1 - before) + before
    torch.testing.assert_close(after, closed, rtol=0, atol=1e-12)
    assert (after <= before).all() and (after >= 5 * before - 4 - 1e-12).all()
    # The control does the opposite: interpolated pairs are nearer.
    nearer, nearer_keys = FeatureTransformHead('interpolate', level=level).transform_pairs(queries, keys)
    assert ((nearer * nearer_keys).sum(-1) >= before).all()


def test_stored_keys_never_change():
    keys, queue = KEYS.clone(), QUEUE.clone()
    for negative in ('replace', 'append'):
        FeatureTransformHead(negative=negative).loss(
            [unit(5, 8, seed=0)], [], Bank(keys, [queue], keys[:, None])
        )
    assert torch.equal(keys, KEYS) and torch.equal(queue, QUEUE)


def test_ddm_compares_the_features_as_they_are():
    head = FeatureTransformHead(ddm_temperature=0.3, beta=0.7)
    weak = [unit(5, 8, seed=seed) for seed in (0, 6)]
    terms = head.loss(weak, [STRONG], own_bank())
    plain = DDMHead(ddm_temperature=0.3, beta=0.7).loss(weak, [STRONG], own_bank())
    assert torch.equal(terms['loss_ddm'], plain['loss_ddm'])
    assert not torch.isclose(terms['loss_contrastive'], plain['loss_contrastive'])
    assert terms['chance_level'] == plain['chance_level']


class Unread(Bank):
    """A bank as it is, which no loss of transformed features without DDM needs."""

    def attention(self, *_):
        raise AssertionError('attention over the bank as it is')


def test_the_bank_as_it_is_is_attended_to_for_ddm_alone():
    head, weak = FeatureTransformHead(), [unit(5, 8, seed=0)]
    unread = Unread(KEYS, [QUEUE], KEYS[:, None])
    alone = FeatureTransformHead(beta=0.0).loss(weak, [STRONG], unread)
    assert set(alone) == set(head.loss(weak, [], unread)) == {'loss_contrastive', 'chance_level'}
    with pytest.raises(AssertionError, match='bank as it is'):
        head.loss(weak, [STRONG], unread)
    with pytest.raises(ValueError, match='no weak view for the contrastive loss'):
        head.loss([], [], own_bank())
    with pytest.raises(ValueError, match="apart from the positives: set model.bank='own'"):
        head.loss(weak, [STRONG], Bank(KEYS, [KEYS, QUEUE]))


def test_a_view_has_shares_of_its_own_and_losses_add_up():
    head = FeatureTransformHead(negative=None)
    view = unit(5, 8, seed=0)
    torch.manual_seed(0)
    both = head.loss([view, view], [], own_bank())['loss_contrastive']
    torch.manual_seed(0)
    shares = Beta(torch.tensor(2.0).double(), 2.0).sample((2, 1, 1)) + 1
    expected = [
        slow.feature_transform(view, KEYS, QUEUE, share.expand(5, 8), None, (), 0.2) for share in shares
    ]
    torch.testing.assert_close(both, sum(expected))
    assert not torch.isclose(*expected)


def test_nothing_is_transformed_before_the_start_epoch(epoch):
    head = FeatureTransformHead(start_epoch=2)
    queries = [unit(5, 8, seed=0)]
    plain = DDMHead().loss(queries, [], own_bank())
    for number in range(4):
        epoch(number)
        terms = head.loss(queries, [], own_bank())
        assert torch.equal(terms['loss_contrastive'], plain['loss_contrastive']) is (number < 2)
    epoch(0, epochs=2)
    with pytest.raises(
        ValueError, match='start_epoch=2 is never reached in a run of 2 .*head.start_epoch or'
    ):
        head.loss(queries, [], own_bank())


def test_shared_positives_are_refused():
    with pytest.raises(ValueError, match="apart from the positives: set model.bank='own'"):
        FeatureTransformHead().loss([unit(5, 8, seed=0)], [], Bank(KEYS, [KEYS, QUEUE]))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(positive='extra'), "positive must be one of .*'extrapolate'.* got 'extra'"),
        (dict(negative=True), 'negative must be one of .* got True'),
        (dict(level='key'), "level must be one of .*'dimension'.* got 'key'"),
        (dict(positive=None, negative=None), "both None: take type='DDMHead'"),
        (dict(positive_alpha=0.0), 'must be positive, got 0.0, 1.6'),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        FeatureTransformHead(**arguments)
