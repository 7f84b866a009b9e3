"""Backbones by name."""

import pytest
import timm
import torchvision

from clsa_mm.pretraining.networks import find_network


@pytest.mark.parametrize(
    ('name', 'width', 'pooled', 'batch_norm'),
    [
        ('resnet18', 512, False, True),
        ('resnet50', 2048, False, True),
        ('convnext-tiny', 768, True, False),
        ('vit-small-p14', 384, True, False),
        ('timm/resnet10t', timm.create_model('resnet10t').num_features, False, True),
    ],
)
def test_widths_and_norms(name, width, pooled, batch_norm):
    network = find_network(name, 64, 48, small_stem=False, narrow=False)
    assert (network.width, network.pooled, network.batch_norm) == (width, pooled, batch_norm)
    assert (
        width == getattr(getattr(torchvision.models, name, lambda: None)(), 'fc', None).in_features
        if (name in ('resnet18', 'resnet50'))
        else True
    )


def test_small_stem_and_a_quarter_of_the_channels():
    network = find_network('resnet18', 32, 24, small_stem=True, narrow=True)
    assert network.config['type'] == 'ResNet_CIFAR'
    assert network.width == 512 // 4


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('resnet5', r"--model resnet5: mmpretrain's zoo has no such model. Did you mean resnet50"),
        ('timm/resnet_18', r'--model timm/resnet_18: timm has no such model. Did you mean resnet18'),
        ('swin-tiny', r'--model swin-tiny does not take images of 64 and 48 pixels: The input shape'),
        ('timm/vit_small_patch16_224', r'does not take images of 64 and 48 pixels'),
    ],
)
def test_what_does_not_fit_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        find_network(name, 64, 48, small_stem=False, narrow=False)


def test_what_timm_logs_of_its_networks_is_not_shown(capfd):
    find_network('timm/resnet10t', 64, 48, small_stem=False, narrow=False)
    assert 'feature_info' not in ''.join(capfd.readouterr())
