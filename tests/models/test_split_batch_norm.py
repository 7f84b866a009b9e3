"""SplitBN against torch's BatchNorm on each part of a batch."""

from pathlib import Path

import pytest
import torch
from mmcv.cnn import build_norm_layer
from mmengine.registry import MODELS
from torch import Tensor, nn

from clsa_mm import load_backbone
from clsa_mm.checkpoints import convert
from clsa_mm.models import CLSA, SplitBN

BACKBONE = dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8)
NECK = dict(type='mmpretrain.MoCoV2Neck', in_channels=64, hid_channels=32, out_channels=16)
SPLIT = dict(type='SplitBN', num_splits=4)


def batch(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(*shape, generator=generator, dtype=torch.float64) + 1


def pair(momentum: float | None = 0.1, **kwargs: object) -> tuple[SplitBN, nn.BatchNorm2d]:
    """The layer with 4 splits and torch's, with the same weights and statistics."""
    split = SplitBN(5, num_splits=4, momentum=momentum, **kwargs).double()
    plain = nn.BatchNorm2d(5, momentum=momentum, **kwargs).double()
    generator = torch.Generator().manual_seed(7)
    state = {
        name: torch.rand(value.shape, generator=generator, dtype=value.dtype)
        for name, value in plain.state_dict().items()
        if value.is_floating_point()
    }
    for layer in (split, plain):
        layer.load_state_dict(state | {k: v for k, v in layer.state_dict().items() if k not in state})
    return split, plain


@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('momentum', [0.3, None])
@pytest.mark.parametrize('affine', [True, False])
def test_equals_batch_norm_of_each_part(memory_format, momentum, affine):
    split, plain = pair(momentum, affine=affine)
    slow = [pair(momentum, affine=affine)[1] for _ in range(4)]
    for step in range(2):
        images = batch(8, 5, 3, 4, seed=step).contiguous(memory_format=memory_format).requires_grad_()
        weights = batch(8, 5, 3, 4, seed=9)
        output = split(images)
        expected = torch.empty_like(weights)
        for part, layer in enumerate(slow):
            if affine:
                layer.weight, layer.bias = plain.weight, plain.bias
            expected[2 * part : 2 * part + 2] = layer(images[2 * part : 2 * part + 2])
        torch.testing.assert_close(output, expected, rtol=0, atol=1e-12)

        wanted = [images, *plain.parameters()]
        ours = torch.autograd.grad((output * weights).sum(), [images, *split.parameters()])
        theirs = torch.autograd.grad((expected * weights).sum(), wanted)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)

        # Each part goes on from the mean of all.
        for name in ('running_mean', 'running_var'):
            mean = torch.stack([getattr(layer, name) for layer in slow]).mean(dim=0)
            torch.testing.assert_close(getattr(split, name), mean, rtol=0, atol=1e-12)
            for layer in slow:
                getattr(layer, name).copy_(mean)
        assert split.num_batches_tracked == slow[0].num_batches_tracked == step + 1


def test_without_running_statistics_and_with_one_split_and_gradcheck():
    split, plain = pair(track_running_stats=False)
    images = batch(8, 5, 2, 2).requires_grad_()
    expected = torch.cat([plain(part) for part in images.split(2)])
    torch.testing.assert_close(split(images), expected, rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(split, images)
    one = SplitBN(5, num_splits=1).double()
    assert torch.equal(one(images), nn.BatchNorm2d(5).double()(images))


def test_evaluation_is_batch_norm_for_any_batch():
    split, plain = pair()
    images = batch(7, 5, 3, 3)
    assert torch.equal(split.eval()(images), plain.eval()(images))
    assert split.num_batches_tracked == 0


def test_uneven_batches_and_wrong_splits_are_named():
    with pytest.raises(ValueError, match='batch of 6 images into num_splits=4.*multiple of num_splits'):
        SplitBN(5, num_splits=4)(torch.zeros(6, 5, 2, 2))
    with pytest.raises(ValueError, match='one value per channel in each of num_splits=4.*fewer splits'):
        SplitBN(5, num_splits=4)(torch.zeros(4, 5, 1, 1))
    with pytest.raises(ValueError, match='num_splits must be at least 1, got 0'):
        SplitBN(5, num_splits=0)
    with pytest.raises(ValueError, match='expected 4D input'):
        SplitBN(5, num_splits=4)(torch.zeros(8, 5))


def test_built_by_mmcv_under_batch_norms_names():
    name, layer = build_norm_layer(dict(SPLIT, requires_grad=False, eps=1e-3), 5, postfix=1)
    assert (name, type(layer), layer.num_splits, layer.eps) == ('bn1', SplitBN, 4, 1e-3)
    assert not any(parameter.requires_grad for parameter in layer.parameters())
    assert 'num_splits=4' in repr(layer)
    assert layer.state_dict().keys() == nn.BatchNorm2d(5).state_dict().keys()


@pytest.mark.parametrize('kind', ['ResNet', 'ResNet_CIFAR'])
def test_residual_networks_load_batch_norms_weights_and_freeze(kind):
    cfg = dict(BACKBONE, type=f'mmpretrain.{kind}', frozen_stages=1, norm_eval=True)
    plain, split = MODELS.build(cfg), MODELS.build(dict(cfg, norm_cfg=SPLIT))
    assert {n: v.shape for n, v in split.state_dict().items()} == {
        n: v.shape for n, v in plain.state_dict().items()
    }
    split.load_state_dict(plain.state_dict())
    images = batch(3, 3, 32, 32).float()
    # All in evaluation (norm_eval): no batch is split, nothing moves.
    for backbone in (plain, split):
        backbone.train()
    torch.testing.assert_close(split(images), plain(images), rtol=0, atol=0)
    torch.testing.assert_close(split.state_dict(), plain.state_dict(), rtol=0, atol=0)
    assert not split.layer1[0].bn1.weight.requires_grad
    assert split.layer2[0].bn1.weight.requires_grad


def test_checkpoints_load_and_convert_as_batch_norms(tmp_path: Path):
    model = MODELS.build(dict(BACKBONE, norm_cfg=SPLIT))
    model(batch(8, 3, 32, 32).float())  # running statistics of its own
    text = (
        "model = dict(backbone=dict(type='ResNet', depth=18, base_channels=8, stem_channels=8, "
        "norm_cfg=dict(type='SplitBN', num_splits=4)))"
    )
    state = {f'backbone.{name}': value for name, value in model.state_dict().items()}
    torch.save(dict(state_dict=state, meta=dict(cfg=text)), tmp_path / 'split.pth')
    torch.save(dict(state_dict=state), tmp_path / 'plain.pth')
    images = batch(3, 3, 32, 32).float()
    model.eval()
    expected = model(images)
    with_config, inferred = load_backbone(tmp_path / 'split.pth'), load_backbone(tmp_path / 'plain.pth')
    assert type(with_config.bn1) is SplitBN and type(inferred.bn1) is nn.BatchNorm2d
    for backbone in (with_config, inferred):
        torch.testing.assert_close(backbone(images), expected, rtol=0, atol=0)
    converted = convert(torch.load(tmp_path / 'split.pth'), 'torchvision')
    assert torch.equal(converted.content['layer1.0.bn1.running_var'], model.layer1[0].bn1.running_var)


def test_autocast_keeps_statistics_in_float32():
    layer = SplitBN(8, num_splits=4)
    convolution = nn.Conv2d(3, 8, 3)
    images = batch(8, 3, 8, 8).float()
    exact = layer(convolution(images))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        output = layer(convolution(images))
        output.float().square().mean().backward()
    assert layer.running_mean.dtype == layer.weight.grad.dtype == torch.float32
    torch.testing.assert_close(output.float(), exact, rtol=0.05, atol=0.05)


def test_keys_are_shuffled_between_the_parts_of_one_process():
    """Each key comes from a part of the shuffled batch, encoded by plain BatchNorm alone."""
    torch.manual_seed(0)
    norm = dict(norm_cfg=SPLIT)
    model = CLSA(dict(BACKBONE, **norm), NECK, queue_len=24, feat_dim=16).double()
    plain = CLSA(BACKBONE, NECK, queue_len=24, feat_dim=16).double()
    plain.load_state_dict(model.state_dict())
    images = batch(8, 3, 32, 32)
    keys, own = model.encode_keys(images)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))  # nothing enqueued yet
    expected = torch.empty_like(keys)
    for part in order.split(2):
        expected[part] = plain.encode_keys(images[part])[0]
    torch.testing.assert_close(keys, expected, rtol=0, atol=1e-9)
    assert own == slice(0, 8)
    # Images that were in one part with the query are not with the key.
    unshuffled = torch.cat([plain.encode_keys(part)[0] for part in images.split(2)])
    assert (keys - unshuffled).abs().max() > 1e-3
    # The next batch is shuffled otherwise.
    model.queue.enqueue(keys)
    assert (model.encode_keys(images)[0] - keys).abs().max() > 1e-3
