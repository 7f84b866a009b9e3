"""Options that make the network and the views of a pretraining config small."""

from collections.abc import Sequence

from mmengine.config import ConfigDict


def small_network(model: ConfigDict) -> dict[str, object]:
    """Options for a narrow backbone, a narrow projection and a short queue of any pretraining model.

    Of linear evaluation: for a narrow backbone, and the classifier on it.
    """
    options = {}
    if 'queue_len' in model:
        options['model.queue_len'] = 24
    channels = _SMALL_BACKBONES[model.backbone.type](model.backbone, options)
    neck = model.get('neck') or {}
    if 'in_channels' in neck:
        options['model.neck.in_channels'] = channels
    elif 'in_channels' in (model.get('head') or {}):
        options['model.head.in_channels'] = channels
    if 'hid_channels' in neck:
        options['model.neck.hid_channels'] = 32
    for name, value in _SMALL_HEADS.items():
        if name in (model.get('head') or {}):
            options[f'model.head.{name}'] = value
    return options


def begun_at_once(schedules: ConfigDict | list[ConfigDict]) -> dict[str, object]:
    """Options that let what follows a warm-up begin at once: a small run is over before."""
    number = len(schedules) if isinstance(schedules, list) else 1
    return {f'param_scheduler.{i}.begin': 0 for i in range(1, number)}


def small_sizes(sizes: int | Sequence[int], role: str) -> int | list[int]:
    """32 pixels for key and weak views, 24 for strong ones."""
    pixels = 24 if role == 'strong' else 32
    return pixels if isinstance(sizes, int) else [pixels] * len(sizes)


def _small_resnet(backbone: ConfigDict, options: dict[str, object]) -> int:
    options.update({'model.backbone.base_channels': 8, 'model.backbone.stem_channels': 8})
    if backbone.get('norm_cfg', {}).get('type') == 'SplitBN':  # into parts of more than one image
        options['model.backbone.norm_cfg.num_splits'] = 2
    return 64 * (4 if backbone.depth == 50 else 1)


def _small_convnext(backbone: ConfigDict, options: dict[str, object]) -> int:
    options.update({'model.backbone.arch': 'atto', 'model.backbone.stem_patch_size': 2})
    return 320


def _small_vit(backbone: ConfigDict, options: dict[str, object]) -> int:
    options['model.backbone.arch'] = 'deit-tiny'
    return 192


def _small_timm(backbone: ConfigDict, options: dict[str, object]) -> int:
    options['model.backbone.model_name'] = 'test_efficientnet'
    return 256


_SMALL_BACKBONES = dict(
    ResNet=_small_resnet,
    ResNet_CIFAR=_small_resnet,
    ConvNeXt=_small_convnext,
    MoCoV3ViT=_small_vit,
    TIMMBackbone=_small_timm,
)
# Heads that start late start at once; MoCHi fits the short queue.
_SMALL_HEADS = dict(start_epoch=0, num_hard=8, num_mixed=6, num_query_mixed=4)
