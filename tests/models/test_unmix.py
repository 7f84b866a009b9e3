"""Un-Mix against loops over pixels and over the batch in reverse order."""

import copy

import pytest
import reference
import reference_transform as slow
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS

from clsa_mm.models import UnMix
from clsa_mm.models.selfsup.unmix import mix_with_reverse


def build(**kwargs) -> UnMix:
    torch.manual_seed(0)
    backbone = dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8)
    neck = dict(type='mmpretrain.MoCoV2Neck', in_channels=64, hid_channels=32, out_channels=16)
    parts = dict(backbone=backbone, neck=neck, data_preprocessor=dict(type='mmengine.BaseDataPreprocessor'))
    return MODELS.build(dict(type='UnMix', queue_len=24, feat_dim=16, **parts) | kwargs)


def images(weak: int, strong: int) -> dict[str, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    draw = lambda: torch.randn(5, 3, 32, 32, generator=generator)  # noqa: E731
    return dict(key=[draw()], weak=[draw() for _ in range(weak)], strong=[draw() for _ in range(strong)])


def drawn(size: int) -> tuple[float, tuple[int, int, int, int] | None]:
    """Share and box after ``manual_seed``: torch's Beta, a number for the kind, and the centre."""
    share = torch.distributions.Beta(1.0, 1.0).sample().item()
    if torch.rand(()).item() < 0.5:
        return share, None
    half = int(size * (1 - share) ** 0.5) // 2
    rows, columns = (int(torch.randint(size, ())) for _ in range(2))
    sides = (rows - half, rows + half, columns - half, columns + half)
    return share, tuple(min(max(side, 0), size) for side in sides)


@pytest.mark.parametrize('seed', range(6))
def test_mixtures_equal_a_loop_over_pixels(seed):
    batch = torch.rand(3, 3, 12, 12, dtype=torch.float64)
    before = batch.clone()
    torch.manual_seed(seed)
    mixtures, share = mix_with_reverse(batch, 0.5, 1)
    torch.manual_seed(seed)
    expected, expected_share = slow.unmix_images(batch, *drawn(12))
    torch.testing.assert_close(mixtures, expected)
    assert share == pytest.approx(expected_share)
    assert torch.equal(batch, before)


def test_the_seeds_have_both_kinds():
    boxes = []
    for seed in range(6):
        torch.manual_seed(seed)
        boxes.append(drawn(12)[1])
    assert 0 < boxes.count(None) < 6


@pytest.mark.parametrize('bank', ['own', 'batch'])
def test_losses_and_gradients_equal_the_official_sum(bank):
    """loss_o + lam * loss_m + (1 - lam) * loss_m_flip, with nothing but modules called in that order."""
    model = build(bank=bank, global_prob=1.0).double()
    inputs = {role: [view.double() for view in views] for role, views in images(1, 0).items()}
    reference_model = copy.deepcopy(model)
    torch.manual_seed(3)
    terms = model.loss(inputs)
    sum(value for name, value in terms.items() if 'loss' in name).backward()

    torch.manual_seed(3)
    share = torch.distributions.Beta(1.0, 1.0).sample().item()
    embed = lambda encoder, x: F.normalize(encoder(x)[0], dim=1)  # noqa: E731
    encoder = torch.nn.Sequential(reference_model.backbone, reference_model.neck)
    weak = inputs['weak'][0]
    query, mixed = embed(encoder, weak), embed(encoder, share * weak + (1 - share) * weak.flip(0))
    keys = embed(reference_model.key_encoder, inputs['key'][0]).detach()
    queue = reference_model.queue.keys

    def contrast(queries):
        if bank == 'batch':
            return reference.contrastive(queries, range(5), torch.cat([keys, queue]), 0.2)
        return sum(slow.info_nce(queries[n], keys[n], queue, 0.2) for n in range(5)) / 5

    expected = dict(
        loss_contrastive=contrast(query),
        loss_mixed=share * contrast(mixed),
        loss_mixed_reverse=(1 - share) * contrast(mixed.flip(0)),
    )
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=0, atol=1e-9)
    sum(expected.values()).backward()
    gradients = [
        {name: p.grad for name, p in m.named_parameters() if p.grad is not None}
        for m in (model, reference_model)
    ]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-9)


def test_it_stands_beside_ddm():
    terms = build().loss(images(1, 1))
    assert {name for name in terms if 'loss' in name} == {
        'loss_contrastive',
        'loss_ddm',
        'loss_mixed',
        'loss_mixed_reverse',
    }


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(global_prob=1.1), r'global_prob must be in \[0, 1\] and mix_alpha positive, got 1.1'),
        (dict(mix_alpha=0), 'got 0.5 and 0'),
        (dict(symmetric=True), 'mixes the weak view alone: set model.symmetric=False'),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)


def test_no_weak_view():
    head = dict(type='DDMHead', contrastive_weight=0.0, teacher='key')
    with pytest.raises(ValueError, match='UnMix mixes weak views, got none: set'):
        build(head=head).loss(images(0, 1))
