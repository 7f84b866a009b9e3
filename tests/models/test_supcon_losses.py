"""SupCon's and the max-margin loss against loops over their equations, and against other libraries."""

import math

import pytest
import reference_supcon as reference
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from mmpretrain.models import SimCLR

from clsa_mm.models import MaxMarginHead, SupConHead
from clsa_mm.models.losses import max_margin_loss, supcon_loss

LABELS = [0, 1, 2, 3, 0, 1, 0, 2, 2, 4]  # 3 and 4 have one feature each
# SupConLoss of pytorch-metric-learning 2.9.0 by temperature, and its ContrastiveLoss (margins 0 and 1.5,
# squared distances, mean over the 56 ordered pairs), of the features of test_values_of_another_library.
VALUES = {0.07: 16.607583578451003, 0.1: 11.707879767473154, 0.5: 3.0831221629881926}
PAIRS = 0.8377414044820269
EXACT = dict(rtol=0, atol=1e-12)


def features(number: int = len(LABELS), seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(number, 6, generator=generator, dtype=torch.float64)
    return F.normalize(drawn, dim=1).requires_grad_()


@pytest.mark.parametrize('place', ['out', 'in'])
@pytest.mark.parametrize('temperature', [0.07, 0.5])
def test_each_anchor_and_its_gradient_equal_the_equations(place, temperature):
    ours, slow = features(), features()
    losses, counts = supcon_loss(ours, torch.tensor(LABELS), temperature, place)
    terms = [reference.supcon_anchor(i, slow, LABELS, temperature, place) for i in range(len(LABELS))]
    assert counts.tolist() == [2, 1, 2, 0, 2, 1, 2, 2, 2, 0]
    for loss, count, term in zip(losses, counts, terms, strict=True):
        torch.testing.assert_close(loss, term.nan_to_num(0).double(), **EXACT)
        assert bool(count) != bool(term.isnan())
    (gradient,) = torch.autograd.grad(losses.sum(), ours)
    (expected,) = torch.autograd.grad(sum(term for term in terms if not term.isnan()), slow)
    torch.testing.assert_close(gradient, expected, **EXACT)


@pytest.mark.parametrize('place', ['out', 'in'])
def test_gradcheck(place):
    total = lambda x: supcon_loss(F.normalize(x, dim=1), torch.tensor(LABELS), 0.2, place)[0].sum()  # noqa: E731
    assert torch.autograd.gradcheck(total, [features().detach().requires_grad_()])
    pull = lambda x: max_margin_loss(x, torch.tensor(LABELS), 2.1)  # noqa: E731
    assert torch.autograd.gradcheck(pull, [features().detach().requires_grad_()])


def test_jensen_the_loss_outside_bounds_the_one_inside():
    """Jensen's inequality, section 3.2.2 of the paper."""
    outside, inside = (
        supcon_loss(features(), torch.tensor(LABELS), 0.1, place)[0] for place in ('out', 'in')
    )
    assert (outside - inside).min() >= -1e-12 and (outside - inside).max() > 0.1


@pytest.mark.parametrize('place', ['out', 'in'])
@pytest.mark.parametrize('labels', [[0], [0, 1, 2], [0, 0, 1]])
@pytest.mark.parametrize('dtype', [torch.float16, torch.float32])
def test_anchors_without_positives_are_left_out_and_counted(place, labels, dtype):
    drawn = features(len(labels)).detach().to(dtype).requires_grad_()
    terms = SupConHead(place=place)(drawn, torch.tensor(labels))
    alone = sum(labels.count(label) == 1 for label in labels)
    assert terms['anchors_without_positives'] == alone
    (gradient,) = torch.autograd.grad(terms['loss_contrastive'], drawn)
    assert gradient.isfinite().all() and terms['loss_contrastive'].dtype == torch.float32
    if alone == len(labels):
        assert terms['loss_contrastive'] == 0 and not gradient.any()
    else:
        expected = reference.supcon(drawn.float(), labels, 0.1, place)
        torch.testing.assert_close(terms['loss_contrastive'], expected, rtol=1e-3, atol=1e-3)


def test_scale_of_the_paper_and_of_the_official_code():
    plain, paper, official = (
        SupConHead(0.1, base)(features(), torch.tensor(LABELS)) for base in (None, 1.0, 0.07)
    )
    expected = reference.supcon(features(), LABELS, 0.1)
    for terms, scale in ((plain, 1), (paper, 0.1), (official, 0.1 / 0.07)):
        torch.testing.assert_close(terms['loss_contrastive'], scale * expected, **EXACT)
        assert terms['chance_level'] == pytest.approx(scale * math.log(9))


@pytest.mark.parametrize('place', ['out', 'in'])
def test_chance_is_the_loss_of_equal_features(place):
    same = F.normalize(torch.ones(8, 6), dim=1)
    labels = torch.tensor([0, 1, 0, 1, 2, 2, 0, 1])
    terms = SupConHead(place=place)(same, labels)
    assert terms['loss_contrastive'].item() == pytest.approx(terms['chance_level'].item(), rel=1e-5)
    terms = MaxMarginHead(1.3)(same, labels)
    assert terms['chance_level'].item() == pytest.approx(1.3 * 42 / 56)
    assert terms['loss_contrastive'].item() == pytest.approx(terms['chance_level'].item(), abs=1e-5)


def test_equal_to_pytorch_metric_learning():
    """Where a label has one feature, its reducer leaves the anchor out, too."""
    losses = pytest.importorskip('pytorch_metric_learning.losses')
    for temperature in (0.07, 0.1, 0.5):
        ours = SupConHead(temperature)(features(), torch.tensor(LABELS))['loss_contrastive']
        theirs = losses.SupConLoss(temperature=temperature)(features(), torch.tensor(LABELS))
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)


def test_values_of_another_library():
    """What pytorch-metric-learning gave for these eight features."""
    angles = torch.arange(8, dtype=torch.float64) ** 2 / 3
    drawn, labels = torch.stack([angles.cos(), angles.sin()], dim=1), torch.tensor([0, 1, 2, 0, 1, 1, 3, 0])
    for temperature, value in VALUES.items():
        loss = SupConHead(temperature)(drawn, labels)['loss_contrastive']
        assert loss.item() == pytest.approx(value, rel=1e-12)
    assert max_margin_loss(drawn, labels, 1.5).item() == pytest.approx(PAIRS, rel=1e-12)


@pytest.mark.parametrize('margin', [0.5, 2.0])
@pytest.mark.parametrize('scale', [1, 3])
def test_max_margin_equals_the_equation(margin, scale):
    drawn = scale * features()
    loss, expected = (
        max_margin_loss(drawn, torch.tensor(LABELS), margin),
        reference.max_margin(drawn, LABELS, margin),
    )
    torch.testing.assert_close(loss, expected, **EXACT)
    gradients = [torch.autograd.grad(value, drawn)[0] for value in (loss, expected)]
    torch.testing.assert_close(*gradients, **EXACT)
    assert max_margin_loss(drawn[:1], torch.tensor([0]), margin) == 0


class Flat(torch.nn.Module):
    """A neck for a backbone that passes its images on."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        return (images.flatten(1),)


@pytest.mark.parametrize('place', ['out', 'in'])
def test_a_class_for_each_image_is_mmpretrains_simclr(place):
    head = dict(
        type='mmpretrain.ContrastiveHead', loss=dict(type='mmpretrain.CrossEntropyLoss'), temperature=0.3
    )
    preprocessor = dict(type='mmengine.BaseDataPreprocessor')
    theirs = SimCLR(torch.nn.Identity(), Flat(), head, data_preprocessor=preprocessor)
    ours = MODELS.build(
        dict(
            type='SupCon',
            backbone=torch.nn.Identity(),
            neck=Flat(),
            head=dict(type='SupConHead', temperature=0.3, place=place),
            supervised=False,
            data_preprocessor=preprocessor,
        )
    )
    views = [torch.randn(5, 2, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    loss = ours.loss(dict(key=views[:1], weak=views[1:]))['loss_contrastive']
    expected = theirs.loss(views, [])['loss']
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-8)  # they add 1e-10 to the lengths
    for mine, other in zip(
        torch.autograd.grad(loss, views), torch.autograd.grad(expected, views), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(temperature=0), 'temperatures must be positive, got temperature=0 and base_temperature=None'),
        (dict(base_temperature=-1), 'base_temperature=-1; base_temperature=None leaves the loss unscaled'),
        (dict(place='beside'), "place must be 'out' or 'in' .* got 'beside'"),
    ],
)
def test_errors_name_cause_and_remedy(arguments, message):
    with pytest.raises(ValueError, match=message):
        SupConHead(**arguments)
    with pytest.raises(ValueError, match='margin must be positive, got 0: 0 would push nothing apart'):
        MaxMarginHead(margin=0)
    with pytest.raises(
        ValueError, match=r'features must be \(M, C\) and labels \(M,\), got \(10, 6\) and \(3,\)'
    ):
        supcon_loss(features(), torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match="place 'out' or 'in', got 0.1 and 'beside'"):
        supcon_loss(features(), torch.tensor(LABELS), place='beside')
