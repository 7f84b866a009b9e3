"""Backbones by name: ResNets, those of mmpretrain, those of timm."""

import difflib
import logging
import re
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from clsa_mm.given_names import check_names

TIMM = 'timm/'
_RESNET = re.compile(r'resnet(18|34|50|101|152)')
# Of a zoo's backbone: where its weights came from and what a fine-tuning froze.
_NOT_OURS = ('init_cfg', 'frozen_stages', 'norm_eval')


@dataclass(frozen=True)
class Network:
    """A backbone, and what a recipe has to know of it.

    Attributes:
        name: As it was asked for.
        config: Its config.
        width: Numbers in a feature.
        pooled: Whether it returns vectors; else a feature map that the projection averages.
        batch_norm: Whether it has BatchNorm; networks without are trained by AdamW.
        resnet: Whether it is one of OpenMMLab's ResNets, which other libraries can load.
    """

    name: str
    config: dict[str, Any]
    width: int
    pooled: bool
    batch_norm: bool
    resnet: bool


def find_network(name: str, size: int, smallest: int, small_stem: bool, narrow: bool) -> Network:
    """Find a backbone by its name, and try it on images as large as the views.

    Args:
        name: ``resnet18``, ``34``, ``50``, ``101``, ``152``; a name of mmpretrain's model zoo, or the start
            of one (``convnext-tiny``); or ``timm/`` and a name of timm's.
        size: Of the largest views, pixels.
        smallest: Of the smallest views.
        small_stem: For ResNets: do not shrink the image by four at once (``ResNet_CIFAR``).
        narrow: For ResNets: a quarter of the channels.

    Raises:
        ValueError: If ``name`` is no text, there is no such name, or the network does not take such images.
    """
    check_names('find_network', name=name)
    config = _config_of(name, small_stem, narrow)
    try:
        backbone = build(config)
        outputs = [_last(backbone(torch.zeros(2, 3, side, side))) for side in (size, smallest)]
    except Exception as error:  # networks of other libraries can raise anything
        raise ValueError(
            f'--model {name} does not take images of {size} and {smallest} pixels: {error}. Take another, '
            'resnet50 for one.'
        ) from error
    if outputs[0].dim() not in (2, 4):
        raise ValueError(
            f'--model {name} returns a tensor of {outputs[0].dim()} dimensions, neither a feature map nor '
            "one vector for an image: take another, of mmpretrain's transformers for one (vit-small-p14)."
        )
    norms = [module for module in backbone.modules() if isinstance(module, _BatchNorm)]
    return Network(
        name=name,
        config=config,
        width=outputs[0].shape[1],
        pooled=outputs[0].dim() == 2,
        batch_norm=bool(norms),
        resnet=bool(_RESNET.fullmatch(name)),
    )


def _config_of(name: str, small_stem: bool, narrow: bool) -> dict[str, Any]:
    if match := _RESNET.fullmatch(name):
        kind = 'ResNet_CIFAR' if small_stem else 'ResNet'
        config = dict(type=kind, depth=int(match[1]), norm_cfg=dict(type='BN'), zero_init_residual=False)
        return config | (dict(base_channels=16, stem_channels=16) if narrow else {})
    if name.startswith(TIMM):
        import timm

        known = timm.list_models()
        if (wanted := name.removeprefix(TIMM)) not in known:
            raise ValueError(f'--model {name}: timm has no such model. {_nearest(wanted, known)}')
        return dict(type='TIMMBackbone', model_name=wanted)
    return _of_zoo(name)


def _of_zoo(name: str) -> dict[str, Any]:
    from mmpretrain.apis import ModelHub, list_models

    known = list_models()
    match = next((each for each in known if each == name or each.startswith(f'{name}_')), None)
    if match is None:
        starts = {each.partition('_')[0] for each in known}
        raise ValueError(
            f"--model {name}: mmpretrain's zoo has no such model. {_nearest(name, [*known, *starts])} "
            'There are resnet18, 34, 50, 101 and 152; timm/NAME takes one of timm.'
        )
    backbone = (ModelHub.get(match).config.get('model') or {}).get('backbone')
    if backbone is None:
        raise ValueError(f'--model {name}: {match} of mmpretrain has no backbone; take another.')
    return {key: value for key, value in backbone.to_dict().items() if key not in _NOT_OURS}


def build(config: dict[str, Any]) -> nn.Module:
    """A backbone by its config, in eval mode and without gradients."""
    logging.disable(logging.INFO)  # TIMMBackbone logs a line for each of its stages
    try:
        with DefaultScope.overwrite_default_scope('mmpretrain'), torch.random.fork_rng(devices=[]):
            backbone = MODELS.build(config)
    finally:
        logging.disable(logging.NOTSET)
    backbone.eval()
    return backbone.requires_grad_(False)


def _last(outputs: Tensor | tuple | list) -> Tensor:
    return outputs if isinstance(outputs, Tensor) else _last(outputs[-1])


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 3, 0.5)
    return f'Did you mean {" or ".join(near)}?' if near else ''
