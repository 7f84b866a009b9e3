"""Feature transformation in a batch (SimCLR) and of predictions (SimSiam) against loops."""

import math

import pytest
import reference_transform as slow
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub
from small_frameworks import PREDICTION, build
from torch.distributions import Beta

from clsa_mm.models import FeatureTransformBatchHead, FeatureTransformPredictHead, SupConHead

TEMPERATURE = 0.2
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])  # two views of three images
SIZES = dict(batch=(1, 1), sample=(6, 1), dimension=(6, 8))
EXACT = dict(rtol=0, atol=1e-9)


@pytest.fixture(autouse=True)
def hub(monkeypatch) -> MessageHub:
    hub = MessageHub('a run of its own')
    monkeypatch.setattr(MessageHub, 'get_current_instance', lambda: hub)
    return hub


def unit(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def draw(alpha: float, size: tuple[int, ...], shape: tuple[int, ...] = (6, 8)) -> torch.Tensor:
    return Beta(torch.tensor(alpha, dtype=torch.float64), alpha).sample(size).expand(shape)


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
def test_batch_loss_and_gradient_equal_the_equations(level, positive, negative):
    head = FeatureTransformBatchHead(positive, negative, level=level, temperature=TEMPERATURE)
    features = unit(6, 8, seed=0).requires_grad_()
    torch.manual_seed(1)
    terms = head.loss(features, LABELS)
    torch.manual_seed(1)
    shares = draw(2.0, SIZES[level]) + (positive == 'extrapolate') if positive else None
    negative_shares = draw(1.6, SIZES[level]) if negative else None
    permutation = torch.randperm(6).tolist() if negative else ()
    expected = slow.feature_transform_batch(
        features, LABELS.tolist(), shares, negative_shares, permutation, TEMPERATURE, negative == 'append'
    )
    torch.testing.assert_close(terms['loss_contrastive'], expected, **EXACT)
    ours, theirs = (torch.autograd.grad(loss, features)[0] for loss in (terms['loss_contrastive'], expected))
    torch.testing.assert_close(ours, theirs, **EXACT)
    same = head.loss(unit(1, 8, seed=3).expand(6, 8), LABELS)
    torch.testing.assert_close(same['loss_contrastive'], same['chance_level'], **EXACT)
    assert same['chance_level'].item() == pytest.approx(math.log(9 if negative == 'append' else 5))


def test_the_permutation_meets_an_anchor_s_own_image():
    """In the test above some negatives stay unmixed, and some are mixed with another image's feature."""
    torch.manual_seed(1)
    draw(2.0, (1, 1)), draw(1.6, (1, 1))
    others = LABELS[torch.randperm(6)]
    met = [(other == own).item() for j, other in enumerate(others) for own in {0, 1, 2} - {LABELS[j].item()}]
    assert True in met and False in met


def test_a_pair_is_harder_by_the_closed_form():
    """Two images at right angles, so that both negatives of an anchor add exp(0) to its denominator."""
    head = FeatureTransformBatchHead(negative=None, temperature=TEMPERATURE, base_temperature=1.0)
    features = torch.eye(4, dtype=torch.float64)[[0, 2, 1, 3]]
    features[2] = features[0] * 0.6 + features[2] * 0.8  # s = 0.6 in the first image, 0 in the second
    torch.manual_seed(1)
    loss = head.loss(features, torch.tensor([0, 1, 0, 1]))['loss_contrastive']
    torch.manual_seed(1)
    share = draw(2.0, (1, 1), (1, 1)).item() + 1
    scores = [2 * share * (1 - share) * (1 - s) + s for s in (0.6, 0.0)]
    expected = sum(math.log(math.exp(s / TEMPERATURE) + 2) - s / TEMPERATURE for s in scores) / 2
    assert loss.item() == pytest.approx(TEMPERATURE * expected)


def test_features_close_together_are_drawn_to_one_point_by_extrapolation():
    """Near chance the loss is ((1/2 + c) W - B) / t: spread within images against that of their means."""
    generator = torch.Generator().manual_seed(0)
    noise = lambda *shape: torch.randn(*shape, 16, generator=generator, dtype=torch.float64)  # noqa: E731
    views = F.normalize(noise(1) + 0.003 * (noise(400, 1) + noise(400, 2)), dim=-1)
    means = views.mean(dim=1)
    within = (1 - (views[:, 0] * views[:, 1]).sum(dim=-1)).mean()
    between = ((means - means.mean(dim=0)) ** 2).sum(dim=-1).mean()
    labels = torch.arange(400).repeat(2)
    for head in (SupConHead(TEMPERATURE), FeatureTransformBatchHead(temperature=TEMPERATURE)):
        torch.manual_seed(1)
        terms = head.loss(views.transpose(0, 1).flatten(0, 1), labels)
        torch.manual_seed(1)
        share = draw(2.0, (1, 1), (1, 1)).item() + 1 if isinstance(head, FeatureTransformBatchHead) else 1
        expected = ((0.5 + 2 * share * (share - 1)) * within - between) / TEMPERATURE
        difference = (terms['loss_contrastive'] - terms['chance_level']).item()
        assert difference == pytest.approx(expected.item(), rel=0.02)
        assert (difference > 0) is isinstance(head, FeatureTransformBatchHead)


def test_batch_loss_before_its_start_is_simclr_s(hub):
    features = unit(6, 8, seed=0)
    plain = SupConHead(TEMPERATURE, base_temperature=1.0).loss(features, LABELS)['loss_contrastive']
    head = FeatureTransformBatchHead(start_epoch=2, temperature=TEMPERATURE, base_temperature=1.0)
    for epoch in range(4):
        hub.update_info('epoch', epoch)
        assert torch.equal(head.loss(features, LABELS)['loss_contrastive'], plain) is (epoch < 2)


@pytest.mark.parametrize('labels', [[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 2, 3]])
def test_labels_that_are_not_of_pairs_are_refused(labels):
    head = FeatureTransformBatchHead(start_epoch=2)  # at once, not in epoch 2
    with pytest.raises(ValueError, match='two views of each image.* set model.supervised=False, and one key'):
        head.loss(unit(6, 8, seed=0), torch.tensor(labels))


def predict_head(**settings: object) -> FeatureTransformPredictHead:
    torch.manual_seed(0)
    return FeatureTransformPredictHead(
        **settings, **{k: PREDICTION['head'][k] for k in ('loss', 'predictor')}
    )


@pytest.mark.parametrize('level', ['batch', 'sample', 'dimension'])
def test_predictions_equal_the_equations(level):
    head = predict_head(level=level).double()
    projections, targets = (3 * unit(6, 16, seed=seed).requires_grad_() for seed in (1, 2))
    predictions = head.predictor([projections])[0]
    torch.manual_seed(1)
    loss = head.loss(projections, targets)
    torch.manual_seed(1)
    size = dict(batch=(1, 1), sample=(6, 1), dimension=(6, 16))[level]
    shares = draw(2.0, size, (6, 16)) + 1
    expected = slow.feature_transform_cosine(predictions, targets, shares)
    torch.testing.assert_close(loss, expected, **EXACT)
    inputs = [projections, *head.parameters()]
    for ours, theirs in zip(*(torch.autograd.grad(each, inputs) for each in (loss, expected)), strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT)
    assert torch.autograd.grad(head.loss(projections, targets), targets, allow_unused=True) == (None,)
    if level != 'dimension':
        s = F.cosine_similarity(predictions, targets, dim=1)
        a = 2 * shares[:, 0] * (shares[:, 0] - 1) * (1 - s)
        torch.testing.assert_close(loss, -((s - a) / (1 + a)).mean(), **EXACT)
        assert ((s - a) / (1 + a) <= s).all()


def test_simsiam_with_the_head_is_simsiam_until_it_starts(hub):
    plain, transformed = build('SimSiam'), build('SimSiam')
    head = predict_head(start_epoch=1).double()
    head.load_state_dict(plain.head.state_dict())
    transformed.head = head
    generator = torch.Generator().manual_seed(0)
    views = [torch.randn(5, 3, 32, 32, generator=generator, dtype=torch.float64) for _ in range(2)]
    expected = plain.loss(views, [])['loss']
    for epoch in range(2):
        hub.update_info('epoch', epoch)
        loss = transformed.loss(views, [])['loss']
        assert torch.equal(loss, expected) is (epoch == 0)
        assert loss >= expected


def test_nothing_to_transform_is_refused():
    with pytest.raises(ValueError, match="both None: take type='SupConHead', which is the same"):
        FeatureTransformBatchHead(positive=None, negative=None)
    with pytest.raises(ValueError, match="both None: take type='LatentPredictHead', which is the same"):
        predict_head(positive=None)
