"""CLSA against the paper's equations and mmpretrain's MoCo."""

import copy

import pytest
import reference
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from mmpretrain.models import MoCo

from clsa_mm.models import CLSA

BACKBONE = dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8)
NECK = dict(type='mmpretrain.MoCoV2Neck', in_channels=64, hid_channels=32, out_channels=16)
PREPROCESSOR = dict(type='mmpretrain.SelfSupDataPreprocessor')


def build(**kwargs) -> CLSA:
    torch.manual_seed(kwargs.pop('seed', 0))
    cfg = dict(
        type='CLSA',
        backbone=BACKBONE,
        neck=NECK,
        data_preprocessor=PREPROCESSOR,
        queue_len=24,
        feat_dim=16,
    )
    cfg.update(kwargs)
    model = MODELS.build(cfg)
    model.init_weights()
    # Key and query encoder differ as in the middle of a training.
    with torch.no_grad():
        for parameter in model.key_encoder.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    return model


def images(*sizes: int, batch: int = 5, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, 3, size, size, generator=generator) for size in sizes]


def gradients(model: torch.nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    'roles',
    [
        ('key', 'weak', 'strong'),
        ('strong', 'weak', 'key', 'weak', 'strong', 'strong'),
    ],
)
@pytest.mark.parametrize('bank', ['batch', 'own'])
def test_losses_and_gradients_equal_the_equations(roles, bank):
    model = build(
        view_roles=roles, bank=bank, head=dict(type='DDMHead', temperature=0.2, ddm_temperature=0.3, beta=0.7)
    ).double()
    sizes = {'key': 32, 'weak': 32, 'strong': 24}
    inputs = [image.double() for image in images(*(sizes[role] for role in roles))]
    start = copy.deepcopy(model)
    losses = model.loss(inputs)
    ours = gradients(model, sum(losses.values()))

    # The same features with nothing but modules called in the order of the paper's algorithm.
    slow = start
    embed = lambda encoder, x: F.normalize(encoder(x)[0], dim=1)  # noqa: E731
    query_encoder = torch.nn.Sequential(slow.backbone, slow.neck)
    weak = [embed(query_encoder, x) for x, r in zip(inputs, roles, strict=True) if r == 'weak']
    strong = [embed(query_encoder, x) for x, r in zip(inputs, roles, strict=True) if r == 'strong']
    keys = embed(slow.key_encoder, inputs[roles.index('key')]).detach()
    if bank == 'batch':
        bank_rows = torch.cat([keys, slow.queue.keys])
        terms = reference.clsa(weak, strong, range(5), bank_rows, 0.2, 0.3, 0.7)
    else:
        # One sample at a time: its bank is its own key and the queue.
        parts = [
            reference.clsa(
                [w[i : i + 1] for w in weak],
                [s[i : i + 1] for s in strong],
                [0],
                torch.cat([keys[i : i + 1], slow.queue.keys]),
                0.2,
                0.3,
                0.7,
            )
            for i in range(5)
        ]
        terms = [sum(part[i] for part in parts) / 5 for i in range(2)]
    expected = gradients(slow, sum(terms))
    torch.testing.assert_close(losses['loss_contrastive'], terms[0], rtol=0, atol=1e-9)
    torch.testing.assert_close(losses['loss_ddm'], terms[1], rtol=0, atol=1e-9)
    assert ours.keys() == expected.keys() == {name for name, p in model.named_parameters() if p.requires_grad}
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-9)


def test_moco_v2_equals_mmpretrains_over_three_iterations():
    """Losses, gradients, key encoder, queue and pointer, with SGD steps in between."""
    torch.manual_seed(0)
    theirs = MoCo(
        backbone=dict(BACKBONE),
        neck=dict(NECK),
        queue_len=24,
        feat_dim=16,
        momentum=0.01,
        head=dict(type='ContrastiveHead', temperature=0.2, loss=dict(type='CrossEntropyLoss')),
        data_preprocessor=dict(PREPROCESSOR),
    ).double()
    ours = build(view_roles=('weak', 'key'), bank='own', momentum=0.99).double()
    ours.backbone.load_state_dict(theirs.backbone.state_dict())
    ours.neck.load_state_dict(theirs.neck.state_dict())
    ours.key_encoder.load_state_dict(
        {f'backbone.{k}': v for k, v in theirs.backbone.state_dict().items()}
        | {f'neck.{k}': v for k, v in theirs.neck.state_dict().items()}
    )
    ours.queue.keys.copy_(theirs.queue.T)
    optimizers = [
        torch.optim.SGD([*m.backbone.parameters(), *m.neck.parameters()], lr=0.1) for m in (ours, theirs)
    ]
    for iteration in range(3):
        inputs = [image.double() for image in images(32, 32, batch=8, seed=iteration)]
        our_loss = ours.loss(inputs)
        assert set(our_loss) == {'loss_contrastive'}
        their_loss = theirs.loss(inputs, None)['loss']
        torch.testing.assert_close(our_loss['loss_contrastive'], their_loss, rtol=0, atol=1e-9)
        torch.testing.assert_close(
            gradients(ours, our_loss['loss_contrastive']), gradients(theirs, their_loss), rtol=0, atol=1e-9
        )
        for optimizer in optimizers:
            optimizer.step()
        ours.enqueue()
        ours.momentum_update()
    torch.testing.assert_close(ours.queue.keys, theirs.queue.T.contiguous(), rtol=0, atol=1e-9)
    assert ours.queue.pointer == theirs.queue_ptr.item() == 0
    assert ours.queue.total == 24


def test_momentum_update_keeps_the_share_it_says_and_leaves_buffers():
    model = build(momentum=0.75)
    before = copy.deepcopy(model.key_encoder)
    model.backbone.bn1.running_mean.fill_(7.0)
    model.momentum_update()
    queries = torch.nn.Sequential(model.backbone, model.neck)
    for new, old, query in zip(
        model.key_encoder.parameters(), before.parameters(), queries.parameters(), strict=True
    ):
        torch.testing.assert_close(new, 0.75 * old + 0.25 * query)
    assert torch.equal(model.key_encoder.backbone.bn1.running_mean, before.backbone.bn1.running_mean)
    model.momentum_update(0.0)
    for new, query in zip(model.key_encoder.parameters(), queries.parameters(), strict=True):
        assert torch.equal(new, query)


def test_loss_has_no_side_effect_on_the_state():
    model = build()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.loss(images(32, 32, 24))
    changed = {name for name, value in model.state_dict().items() if not value.equal(before[name])}
    assert all('running_' in name or 'num_batches' in name for name in changed)
    assert changed  # BatchNorm's statistics do move


def test_statistics_by_hand():
    model = build().eval()
    with torch.no_grad():
        inputs = images(32, 32, 24)
        model.loss(inputs)
        q, keys = model.encode_query(inputs[1]), model.encode_keys(inputs[0])[0]
    sims = q @ torch.cat([keys, model.queue.keys]).T
    off = ~torch.eye(5, 29, dtype=torch.bool)
    assert model.statistics['chance_level'] == pytest.approx(3.3672958)  # ln 29
    assert model.statistics['positive_similarity'].item() == pytest.approx(
        sims.diagonal().mean().item(), abs=1e-6
    )
    assert model.statistics['negative_similarity'].item() == pytest.approx(sims[off].mean().item(), abs=1e-6)
    assert model.statistics['feature_std'].item() == pytest.approx(q.numpy().std(axis=0).mean(), abs=1e-6)


def test_float32_losses_under_autocast():
    model = build()
    inputs = images(32, 32, 24)
    exact = model.loss(inputs)
    model.enqueue()
    model.queue.keys.copy_(build().queue.keys)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model.loss(inputs)
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    torch.testing.assert_close(losses, exact, rtol=0.05, atol=0.05)


def test_channels_last_gives_the_same_losses():
    plain, last = build(), build(channels_last=True)
    last.load_state_dict(plain.state_dict())
    assert last.backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    inputs = images(32, 32, 24)
    torch.testing.assert_close(last.loss(inputs), plain.loss(inputs), rtol=1e-4, atol=1e-4)


def test_init_weights_and_backbone_only_weights_start_both_encoders_alike():
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='CLSA',
            backbone=BACKBONE,
            neck=NECK,
            queue_len=24,
            feat_dim=16,
            data_preprocessor=PREPROCESSOR,
        )
    )
    model.init_weights()
    other = build(seed=3)
    weights = {f'backbone.{name}': value for name, value in other.backbone.state_dict().items()}
    for _ in range(2):
        for query, key in zip(
            model.backbone.parameters(), model.key_encoder.backbone.parameters(), strict=True
        ):
            assert torch.equal(query, key)
        model.load_state_dict(weights, strict=False)
    assert torch.equal(model.key_encoder.backbone.conv1.weight, other.backbone.conv1.weight)


def test_training_without_the_hook_fails_and_names_it():
    model = build()
    model.loss(images(32, 32, 24))
    with pytest.raises(RuntimeError, match="dict\\(type='MomentumQueueHook'\\) to custom_hooks"):
        model.loss(images(32, 32, 24))
    model.enqueue()
    model.loss(images(32, 32, 24))
    model.enqueue()
    for _ in range(2):  # measuring leaves nothing to enqueue
        model.eval().loss(images(32, 32, 24))
    model.train().loss(images(32, 32, 24))
    with pytest.raises(RuntimeError, match='call loss'):
        build().enqueue()


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(view_roles=('key', 'strong')), "'weak' at least once"),
        (dict(view_roles=('key', 'key', 'weak')), "'key' once"),
        (dict(view_roles=('key', 'weak', 'wild')), "otherwise 'strong'.*'wild'"),
        (dict(momentum=1.5), r'momentum must be in \[0, 1\]'),
        (dict(bank='queue'), "'batch' \\(CLSA\\) or 'own' \\(MoCo\\), got 'queue'"),
    ],
)
def test_wrong_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        build(**kwargs)


def test_wrong_number_of_views_names_the_remedy():
    with pytest.raises(ValueError, match='3 view_roles.*got 2 views: make num_views'):
        build().loss(images(32, 32))
    with pytest.raises(ValueError, match='got Tensor views'):
        build().loss(images(32)[0])


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(temperature=0), 'temperatures must be positive'),
        (dict(beta=-1), 'beta must not be negative.*0 switches'),
    ],
)
def test_wrong_head_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        build(head=dict(type='DDMHead', **kwargs))


def test_beta_zero_computes_no_ddm():
    losses = build(head=dict(type='DDMHead', beta=0)).loss(images(32, 32, 24))
    assert set(losses) == {'loss_contrastive'}
