"""mmpretrain's algorithms with DDM: their own loss is mmpretrain's, the other term equation 4 of CLSA."""

from collections.abc import Callable
from pathlib import Path

import pytest
import reference
import torch
import torch.nn.functional as F
from mmengine.config import Config
from small_frameworks import ALGORITHMS, BACKBONE, build, views
from torch import Tensor, nn

import clsa_mm
from clsa_mm.checkpoints import convert
from clsa_mm.checkpoints.backbone import load_backbone_weights, read_checkpoint

LOSS_NAMES = dict(SimCLR='loss_contrastive', BYOL='loss_latent', SimSiam='loss_latent', SwAV='loss_swap')
DDM = dict(ddm_temperature=0.3, teacher_temperature=0.15, beta=0.7)


def simclr(model: nn.Module, inputs: dict[str, list[Tensor]]) -> tuple[Tensor, list[Tensor], Tensor]:
    """Queries of the weak view and the strong ones, and the bank, by the modules alone.

    Batch norm sees both views of an image at once, as in mmpretrain.
    """
    project = lambda images: model.neck(model.backbone(images))[0]  # noqa: E731
    keys, weak = project(torch.cat([*inputs['key'], *inputs['weak']])).chunk(2)
    return weak, [project(view) for view in inputs['strong']], keys


def byol(model: nn.Module, inputs: dict[str, list[Tensor]]) -> tuple[Tensor, list[Tensor], Tensor]:
    predict = lambda images: model.head.predictor(model.neck(model.backbone(images)))[0]  # noqa: E731
    target = model.target_net.module
    keys = target[1](target[0](inputs['key'][0]))[0]
    return predict(inputs['weak'][0]), [predict(view) for view in inputs['strong']], keys


def simsiam(model: nn.Module, inputs: dict[str, list[Tensor]]) -> tuple[Tensor, list[Tensor], Tensor]:
    predict = lambda images: model.head.predictor(model.neck(model.backbone(images)))[0]  # noqa: E731
    keys = model.neck(model.backbone(inputs['key'][0]))[0]
    return predict(inputs['weak'][0]), [predict(view) for view in inputs['strong']], keys


def swav(model: nn.Module, inputs: dict[str, list[Tensor]]) -> tuple[Tensor, list[Tensor], Tensor]:
    """Batch norm of the backbone sees crops of one size, that of the neck all."""
    large, small = [inputs['key'][0], inputs['weak'][0]], inputs['weak'][1:]
    crops = model.neck([model.backbone(torch.cat(large)), model.backbone(torch.cat(small))])
    strong = [model.neck([model.backbone(view)]) for view in inputs['strong']]
    return crops[5:10], strong, model.head.loss_module.prototypes.weight


BY_HAND: dict[str, Callable] = dict(SimCLR=simclr, BYOL=byol, SimSiam=simsiam, SwAV=swav)


def gradients(model: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize('name', ALGORITHMS)
def test_losses_and_gradients_are_mmpretrains_and_equation_4(name):
    ours, theirs = build(name, DDM), build(name, seed=1)
    theirs.load_state_dict(ours.state_dict())  # the same names
    inputs = views(name)
    terms = ours.loss(inputs, [None] * 5)
    own = theirs.loss([*inputs['key'], *inputs['weak']], [None] * 5)['loss']
    weak, strong, bank = BY_HAND[name](theirs, inputs)
    weak, bank, *strong = (F.normalize(features, dim=1) for features in (weak, bank.detach(), *strong))
    ddm = 0.7 * sum(reference.ddm(weak, view, bank, 0.3, 0.15) for view in strong)
    torch.testing.assert_close(terms[LOSS_NAMES[name]], own, rtol=0, atol=1e-9)
    torch.testing.assert_close(terms['loss_ddm'], ddm, rtol=0, atol=1e-9)
    found = gradients(ours, sum(value for term, value in terms.items() if 'loss' in term))
    expected = gradients(theirs, own + ddm)
    assert found.keys() == expected.keys() == {n for n, p in ours.named_parameters() if p.requires_grad}
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize('name', ALGORITHMS)
def test_without_strong_views_it_is_the_algorithm(name):
    ours, theirs = build(name, {}), build(name)
    inputs = views(name, strong=0)
    terms = ours.loss(inputs, [None] * 5)
    own = theirs.loss([*inputs['key'], *inputs['weak']], [None] * 5)['loss']
    assert [term for term in terms if 'loss' in term] == [LOSS_NAMES[name]]
    assert terms[LOSS_NAMES[name]].equal(own)


@pytest.mark.parametrize('name', ['SimCLR', 'SwAV'])
def test_statistics(name):
    """SimCLR's positive is the key; SwAV has none among its prototypes, but a key all the same."""
    model, inputs = build(name, {}), views(name)
    terms = model.loss(inputs, [None] * 5)
    weak, _, bank = BY_HAND[name](model, inputs)
    weak, bank = F.normalize(weak, dim=1), F.normalize(bank, dim=1)
    cosines = weak @ bank.T
    if name == 'SimCLR':
        assert terms['positive_similarity'] == pytest.approx(cosines.diagonal().mean().item())
        others = (cosines.sum() - cosines.diagonal().sum()) / 20
        assert terms['chance_level'] == pytest.approx(2.1972246)  # ln 9: of 10 features all but its own
    else:
        others = cosines.mean()
    assert terms['negative_similarity'] == pytest.approx(others.item())
    assert terms['feature_std'] == pytest.approx(weak.std(dim=0, correction=0).mean().item())


def test_all_settings_of_ddm_take_effect():
    """The teacher is the key: its similarities with the bank, which holds it."""
    model, inputs = build('SimCLR', dict(teacher='key', **DDM)), views('SimCLR')
    loss = model.loss(inputs, [None] * 5)['loss_ddm']
    _, strong, keys = simclr(model, inputs)
    keys = F.normalize(keys, dim=1)
    pairs = [reference.ddm(keys, F.normalize(view, dim=1), keys, 0.3, 0.15) for view in strong]
    torch.testing.assert_close(loss, 0.7 * sum(pairs), rtol=0, atol=1e-9)
    with pytest.raises(ValueError, match='contrastive_weight is 0.5, but SimSiamWithDDM has a loss'):
        build('SimSiam', dict(contrastive_weight=0.5))


@pytest.mark.parametrize('name', ['BYOL', 'SwAV'])
def test_views_that_are_not_the_algorithms_are_refused(name):
    model, inputs = build(name, {}), views(name)
    weak = len(inputs['weak'])
    with pytest.raises(ValueError, match=f'one key and {weak} weak, got list: .* take as_list out'):
        model.loss([*inputs['key'], *inputs['weak']], [None] * 5)
    inputs['weak'] *= 2
    with pytest.raises(ValueError, match=f"{weak} weak, got .*'weak': {2 * weak}.*: set train_dataloader"):
        model.loss(inputs, [None] * 5)
    assert not any(module._forward_hooks for module in model.modules())


def test_compiled_it_computes_the_same():
    inputs = views('SimCLR')
    expected = build('SimCLR', {}).loss(inputs, [None] * 5)
    compiled = torch.compile(build('SimCLR', {}).forward, backend='eager')
    torch.testing.assert_close(compiled(inputs, [None] * 5, mode='loss'), expected)


@pytest.mark.parametrize('name', ALGORITHMS)
def test_checkpoints_are_read_as_mmpretrains(name, tmp_path: Path):
    model = build(name, {}).float()
    path = tmp_path / 'epoch_1.pth'
    meta = dict(cfg=Config(dict(model=dict(backbone=BACKBONE))).pretty_text)
    torch.save(dict(meta=meta, state_dict=model.state_dict()), path)
    backbone = clsa_mm.load_backbone(path)
    other = build(name, {}, seed=1).float().backbone
    assert load_backbone_weights(other, path).complete  # what --backbone and kNN do
    images = torch.randn(2, 3, 32, 32)
    expected = model.backbone.eval() or model.backbone(images)[0]
    for loaded in (backbone, other):
        loaded.eval()
        assert loaded(images)[0].equal(expected)
    converted = convert(read_checkpoint(path), 'torchvision').content
    weights = model.backbone.state_dict()
    assert all(converted[key].equal(weights[key]) for key in weights)
