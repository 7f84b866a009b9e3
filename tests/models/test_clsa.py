"""CLSA against the paper's equations and mmpretrain's MoCo."""

import copy

import pytest
import reference
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from mmpretrain.models import MoCo

from clsa_mm.models import CLSA, Bank, BankHead, DDMHead
from clsa_mm.models.losses import info_nce_loss, multi_view_ddm_loss

BACKBONE = dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8)
NECK = dict(type='mmpretrain.MoCoV2Neck', in_channels=64, hid_channels=32, out_channels=16)
PREPROCESSOR = dict(type='mmengine.BaseDataPreprocessor')


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


def images(weak: int = 1, strong: int = 1, batch: int = 5, seed: int = 0) -> dict[str, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    sizes = dict(key=[32], weak=[32] * weak, strong=[24] * strong)
    return {
        role: [torch.randn(batch, 3, size, size, generator=generator) for size in views]
        for role, views in sizes.items()
    }


def double(inputs: dict[str, list[torch.Tensor]]) -> dict[str, list[torch.Tensor]]:
    return {role: [view.double() for view in views] for role, views in inputs.items()}


def gradients(model: torch.nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(('weak', 'strong'), [(1, 1), (2, 3)])
@pytest.mark.parametrize('teacher_temperature', [None, 0.15])
@pytest.mark.parametrize('bank', ['batch', 'own'])
def test_losses_and_gradients_equal_the_equations(weak, strong, teacher_temperature, bank):
    head = dict(ddm_temperature=0.3, beta=0.7, teacher_temperature=teacher_temperature)
    model = build(bank=bank, head=dict(type='DDMHead', temperature=0.2, **head)).double()
    inputs = double(images(weak, strong))
    slow = copy.deepcopy(model)
    losses = model.loss(inputs)
    ours = gradients(model, losses['loss_contrastive'] + losses['loss_ddm'])

    # The same features with nothing but modules called in the order of the paper's algorithm.
    embed = lambda encoder, x: F.normalize(encoder(x)[0], dim=1)  # noqa: E731
    query_encoder = torch.nn.Sequential(slow.backbone, slow.neck)
    queries = {role: [embed(query_encoder, view) for view in inputs[role]] for role in ('weak', 'strong')}
    keys = embed(slow.key_encoder, inputs['key'][0]).detach()
    views, settings = (queries['weak'], queries['strong']), (0.2, 0.3, 0.7, teacher_temperature)
    if bank == 'batch':
        terms = reference.clsa(*views, range(5), torch.cat([keys, slow.queue.keys]), *settings)
    else:
        terms = reference.clsa_own_key(*views, keys, slow.queue.keys, *settings)
    expected = gradients(slow, sum(terms))
    torch.testing.assert_close(losses['loss_contrastive'], terms[0], rtol=0, atol=1e-9)
    torch.testing.assert_close(losses['loss_ddm'], terms[1], rtol=0, atol=1e-9)
    assert ours.keys() == expected.keys() == {name for name, p in model.named_parameters() if p.requires_grad}
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-9)


def test_the_head_equals_the_losses_on_logits():
    """In float32, with a bank of a realistic length, against the functions on (N, M) logits."""
    generator = torch.Generator().manual_seed(0)
    unit = lambda *shape: F.normalize(torch.randn(*shape, generator=generator), dim=-1)  # noqa: E731
    keys, queue = unit(8, 32), unit(5000, 32)
    weak, strong = ([unit(8, 32).requires_grad_() for _ in range(3)] for _ in range(2))
    ours = DDMHead().loss(weak, strong, Bank(keys, [keys, queue]))
    assert ours.pop('chance_level').item() == pytest.approx(3 * 8.5187918)  # ln 5008 for each weak view
    rows = torch.cat([keys, queue])
    logits = {z: z @ rows.T for z in (*weak, *strong)}
    contrastive = sum(info_nce_loss(logits[z], torch.arange(8), 0.2) for z in weak)
    divergence = multi_view_ddm_loss([logits[z] for z in strong], [logits[z] for z in weak], 0.2, 0.2)
    expected = dict(loss_contrastive=contrastive, loss_ddm=divergence)
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        torch.autograd.grad(sum(ours.values()), [*weak, *strong]),
        torch.autograd.grad(sum(expected.values()), [*weak, *strong]),
        rtol=1e-5,
        atol=1e-7,
    )


@pytest.mark.parametrize(('weak', 'strong'), [(0, 1), (2, 0)])
def test_a_divergence_needs_views_of_both_kinds(weak, strong):
    queries, keys = torch.eye(3), torch.eye(3)
    with pytest.raises(ValueError, match=f'one weak and one strong view, got {weak} and {strong}'):
        DDMHead().divergence([queries] * weak, [queries] * strong, Bank(keys, [keys]))


@pytest.mark.parametrize(('teacher', 'views'), [(0.2, 2 + 3), (0.3, 2 + 3 + 2)])
def test_one_pass_over_the_bank_for_all_views(teacher, views, monkeypatch):
    seen = []
    attention = Bank.attention

    def noted(self: Bank, queries: torch.Tensor, temperature: list[float]) -> tuple:
        seen.append(len(queries))
        return attention(self, queries, temperature)

    monkeypatch.setattr(Bank, 'attention', noted)
    model = build(head=dict(type='DDMHead', teacher_temperature=teacher))
    model.loss(images(weak=2, strong=3))
    assert seen == [views]


def test_a_further_loss_on_the_bank_is_a_head():
    """The strong views in place of the weak ones in the contrastive loss (an ablation of the paper)."""

    class StrongContrastive(BankHead):
        def loss(self, weak, strong, bank):
            queries = torch.stack(strong)
            _, log_partition = bank.attention(queries, 0.2)
            return dict(loss_strong=(log_partition - bank.positive_similarity(queries) / 0.2).mean())

    model = build(head=StrongContrastive()).double()
    inputs = double(images(strong=2))
    slow = copy.deepcopy(model)
    loss = model.loss(inputs)['loss_strong']
    strong = [slow.encode_query(view) for view in inputs['strong']]
    keys = slow.encode_keys(inputs['key'][0])[0]
    rows = torch.cat([keys, slow.queue.keys])
    expected = sum(reference.contrastive(z, range(5), rows, 0.2) for z in strong) / 2
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize('bank', ['batch', 'own'])
def test_the_symmetric_loss_is_two_losses(bank):
    """Key view and first weak view change places; no query meets the key of its own view."""
    model = build(bank=bank, symmetric=True).double()
    inputs = double(images(weak=2, strong=2))
    slow = copy.deepcopy(model)
    losses = model.loss(inputs)
    ours = gradients(model, losses['loss_contrastive'] + losses['loss_ddm'])
    key, weak, strong = inputs['key'][0], inputs['weak'], inputs['strong']
    embed = lambda encoder, x: F.normalize(encoder(x)[0], dim=1)  # noqa: E731
    encoder = torch.nn.Sequential(slow.backbone, slow.neck)
    key_query, *queries = [embed(encoder, view) for view in (key, *weak)]
    students = [embed(encoder, view) for view in strong]
    terms = []
    for teachers, view in ((queries, key), ([queries[1], key_query], weak[0])):
        keys = embed(slow.key_encoder, view).detach()
        if bank == 'batch':
            rows = torch.cat([keys, slow.queue.keys])
            terms.append(reference.clsa(teachers, students, range(5), rows, 0.2, 0.2, 1.0))
        else:
            terms.append(reference.clsa_own_key(teachers, students, keys, slow.queue.keys, 0.2, 0.2, 1.0))
    expected = [sum(parts) for parts in zip(*terms, strict=True)]
    torch.testing.assert_close(losses['loss_contrastive'], expected[0], rtol=0, atol=1e-9)
    torch.testing.assert_close(losses['loss_ddm'], expected[1], rtol=0, atol=1e-9)
    torch.testing.assert_close(ours, gradients(slow, sum(expected)), rtol=0, atol=1e-9)
    model.enqueue()
    both = torch.cat([embed(copy.deepcopy(slow.key_encoder), view) for view in (key, weak[0])])
    torch.testing.assert_close(model.queue.keys[:10], both.detach(), rtol=0, atol=1e-9)
    assert losses['chance_level'].item() == pytest.approx(
        4 * torch.tensor(24.0 + (5 if bank == 'batch' else 1)).log()
    )


def test_the_key_as_teacher_and_no_contrastive_loss():
    """ReSSL (arXiv 2107.09282), equations 5 to 7: the queue alone, the key's sharper distribution."""
    head = dict(
        type='DDMHead', contrastive_weight=0, teacher='key', ddm_temperature=0.1, teacher_temperature=0.04
    )
    model = build(bank='queue', head=head).double()
    inputs = double(images(weak=0, strong=2))
    slow = copy.deepcopy(model)
    losses = model.loss(inputs)
    assert [name for name in losses if 'loss' in name] == ['loss_ddm']
    keys = slow.encode_keys(inputs['key'][0])[0]
    students = [slow.encode_query(view) for view in inputs['strong']]
    expected = sum(reference.ddm(keys, student, slow.queue.keys, 0.1, 0.04) for student in students)
    torch.testing.assert_close(losses['loss_ddm'], expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(
        gradients(model, losses['loss_ddm']), gradients(slow, expected), rtol=0, atol=1e-9
    )
    off = (students[0] @ slow.queue.keys.T).mean()
    torch.testing.assert_close(losses['negative_similarity'], off, rtol=0, atol=1e-9)


@pytest.mark.parametrize('teacher_temperature', [None, 0.15])
def test_gradients_of_teachers_and_weights(teacher_temperature):
    """The cross-entropy of equation 4 by autograd, weak views included; equation 1 at half its weight."""
    settings = dict(teacher_gradient=True, contrastive_weight=0.5, teacher_temperature=teacher_temperature)
    weak, strong, keys = (
        torch.randn(4, 6, generator=torch.Generator().manual_seed(i)).double() for i in range(3)
    )
    weak, strong, keys = (F.normalize(z, dim=1) for z in (weak, strong, keys))
    queue, own = keys[:3], keys[3:].expand(4, 1, 6)[:, :1]
    bank = Bank(own[:, 0], [queue], own=own)
    weak, strong = weak.requires_grad_(), strong.requires_grad_()
    ours = DDMHead(ddm_temperature=0.3, beta=0.7, **settings).loss([weak], [strong], bank)
    log_p = lambda z, t: F.log_softmax(torch.cat([queue, keys[3:]]) @ z.T / t, dim=0).T  # noqa: E731
    teacher, student = log_p(weak, teacher_temperature or 0.3).exp(), log_p(strong, 0.3)
    expected = dict(
        loss_contrastive=-0.5 * log_p(weak, 0.2)[:, 3].mean(),
        loss_ddm=-0.7 * (teacher * student).sum(dim=1).mean(),
    )
    assert ours.pop('chance_level').item() == pytest.approx(0.5 * 1.3862944)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
    mine, theirs = (
        torch.autograd.grad(sum(terms.values()), [weak, strong], retain_graph=True)
        for terms in (ours, expected)
    )
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)
    assert torch.autograd.grad(ours['loss_ddm'], weak)[0].abs().max() > 0.01


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
        data_preprocessor=dict(type='mmpretrain.SelfSupDataPreprocessor'),
    ).double()
    ours = build(bank='own', momentum=0.99).double()
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
        inputs = double(images(strong=0, batch=8, seed=iteration))
        our_loss = ours.loss(inputs)
        assert [name for name in our_loss if 'loss' in name] == ['loss_contrastive']
        their_loss = theirs.loss([*inputs['weak'], *inputs['key']], None)['loss']
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
    model.loss(images())
    changed = {name for name, value in model.state_dict().items() if not value.equal(before[name])}
    assert all('running_' in name or 'num_batches' in name for name in changed)
    assert changed  # BatchNorm's statistics do move


def test_statistics_by_hand():
    model = build().eval()
    inputs = images(weak=2)
    statistics = model.loss(inputs)
    with torch.no_grad():
        q, keys = model.encode_query(inputs['weak'][0]), model.encode_keys(inputs['key'][0])[0]
    sims = q @ torch.cat([keys, model.queue.keys]).T
    off = ~torch.eye(5, 29, dtype=torch.bool)
    expected = dict(
        positive_similarity=sims.diagonal().mean(),
        negative_similarity=sims[off].mean(),
        feature_std=torch.tensor(q.numpy().std(axis=0).mean()),
        chance_level=torch.tensor(2 * 3.3672958),  # ln 29 for each weak view
    )
    assert set(statistics) == {'loss_contrastive', 'loss_ddm', *expected}
    assert not any(statistics[name].requires_grad for name in expected)
    torch.testing.assert_close({name: statistics[name] for name in expected}, expected, rtol=0, atol=1e-6)


def test_float32_losses_under_autocast():
    model = build()
    inputs = images()
    exact = model.loss(inputs)
    model.enqueue()
    model.queue.keys.copy_(build().queue.keys)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model.loss(inputs)
    assert {value.dtype for value in losses.values()} == {torch.float32}
    torch.testing.assert_close(losses, exact, rtol=0.05, atol=0.05)


def test_channels_last_gives_the_same_losses():
    plain, last = build(), build(channels_last=True)
    last.load_state_dict(plain.state_dict())
    assert last.backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(last.loss(images()), plain.loss(images()), rtol=1e-4, atol=1e-4)


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
    model.loss(images())
    with pytest.raises(RuntimeError, match="dict.type='MomentumQueueHook'. to default_hooks"):
        model.loss(images())
    model.enqueue()
    model.loss(images())
    model.enqueue()
    for _ in range(2):  # measuring leaves nothing to enqueue
        model.eval().loss(images())
    model.train().loss(images())
    with pytest.raises(RuntimeError, match='call loss'):
        build().enqueue()


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(momentum=1.5), r'momentum must be in \[0, 1\]'),
        (dict(bank='all'), "'batch' \\(CLSA\\), 'own' \\(MoCo\\) or 'queue' \\(ReSSL\\), got 'all'"),
    ],
)
def test_wrong_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        build(**kwargs)


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        (dict(key=[]), "one 'key' view.*'key': 0.*train_dataloader.dataset.views"),
        (dict(key=[torch.zeros(5, 3, 32, 32)] * 2), "one 'key' view.*'key': 2"),
        (dict(weak=[], strong=[]), "at least one 'weak' or strong view, got.*'weak': 0"),
        (dict(wild=[]), "at least one 'weak' or strong view, got.*'wild': 0"),
    ],
)
def test_wrong_views_name_the_remedy(change, match):
    with pytest.raises(ValueError, match=match):
        build().loss(images() | change)


@pytest.mark.parametrize(
    ('model', 'views', 'match'),
    [
        (dict(symmetric=True), dict(weak=[]), "one 'key' view and at least one 'weak' view, got"),
        (
            dict(),
            dict(weak=[]),
            r"no weak view for the contrastive loss.*contrastive_weight=0 and teacher='key'",
        ),
        (dict(bank='queue'), dict(), "positives in the bank: set model.bank to another than 'queue'"),
        (
            dict(head=dict(type='DDMHead', teacher='key', contrastive_weight=0)),
            dict(weak=[], strong=[]),
            'least',
        ),
    ],
)
def test_views_that_a_loss_lacks(model, views, match):
    with pytest.raises(ValueError, match=match):
        build(**model).loss(images() | views)


def test_views_without_roles_name_the_remedy():
    with pytest.raises(ValueError, match='views by role.*got list: .*PackViews'):
        build().loss(images()['weak'])
    with pytest.raises(ValueError, match='views by role.*got Tensor'):
        build().loss(images()['weak'][0])


def test_another_dimension_than_the_necks_names_the_remedy():
    with pytest.raises(ValueError, match="feat_dim of the queue equal to the neck's out_channels"):
        build(feat_dim=8).loss(images())


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(temperature=0), 'temperatures must be positive'),
        (dict(beta=-1), 'beta must not be negative.*0 switches'),
        (
            dict(contrastive_weight=-1),
            'contrastive_weight must not be negative, and not 0 where beta is, got -1',
        ),
        (dict(contrastive_weight=0, beta=0), 'one of the two losses has to train the model'),
        (dict(teacher='strong'), "teacher must be 'weak' or 'key'.*got 'strong'"),
        (dict(teacher='key', teacher_gradient=True), "with teacher_gradient=True 'weak'.*got 'key'"),
    ],
)
def test_wrong_head_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        build(head=dict(type='DDMHead', **kwargs))


def test_beta_zero_computes_no_ddm():
    losses = build(head=dict(type='DDMHead', beta=0)).loss(images())
    assert 'loss_contrastive' in losses and 'loss_ddm' not in losses
