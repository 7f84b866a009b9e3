"""The layouts that can be written: what they hold, and what a file of each looks like."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from clsa_mm.checkpoints.layouts import (
    Parts,
    StateDict,
    join_clsa,
    join_detectron2,
    join_official,
    join_torchvision,
    resnet_depth,
)
from clsa_mm.version import __version__

_IMAGENET_RGB = 'pixels in RGB order, mean 123.675 116.28 103.53, std 58.395 57.12 57.375'
_PRETRAINING = ('backbone', 'neck', 'key_encoder', 'queue')


@dataclass(frozen=True)
class Target:
    """A layout to write.

    Attributes:
        join: Makes its weights of the parts.
        parts: The parts that it has a place for.
        wrap: Makes the file's content of the weights, the parts and the source checkpoint.
        note: What a user of the file has to know.
        any_backbone: Whether backbones other than ResNets fit.
    """

    join: Callable[[Parts], StateDict]
    parts: tuple[str, ...]
    wrap: Callable[[StateDict, Parts, Mapping], dict]
    note: str
    any_backbone: bool = False


def plain_meta(checkpoint: Mapping, *names: str) -> dict[str, Any]:
    """Entries of a checkpoint's ``meta`` that are plain data."""
    meta = checkpoint.get('meta')
    meta = meta if isinstance(meta, Mapping) else {}
    return {name: meta[name] for name in names if isinstance(meta.get(name), (str, int, float))}


def _wrap_mm(state: StateDict, parts: Parts, checkpoint: Mapping) -> dict:
    meta = plain_meta(checkpoint, 'cfg', 'epoch', 'iter')
    if isinstance(checkpoint.get('epoch'), int):  # official
        meta['epoch'] = checkpoint['epoch']
    return dict(meta=dict(meta, clsa_mm_version=__version__), state_dict=state)


def _wrap_official(state: StateDict, parts: Parts, checkpoint: Mapping) -> dict:
    epoch = checkpoint.get('epoch', plain_meta(checkpoint, 'epoch').get('epoch', 0))
    content = dict(epoch=epoch, arch=f'resnet{resnet_depth(parts["backbone"])}', state_dict=state)
    if queue := parts.get('queue'):
        content['num_enqueued'] = int(queue['num_enqueued'])  # the pointer knows it up to the queue's length
    return content


def _wrap_detectron2(state: StateDict, parts: Parts, checkpoint: Mapping) -> dict:
    halves = (torch.float16, torch.bfloat16)  # detectron2 expects float32; numpy has no bfloat16
    arrays = {
        name: (value.float() if value.dtype in halves else value).numpy() for name, value in state.items()
    }
    return dict(model=arrays, __author__='clsa_mm', matching_heuristics=True)


TARGETS = dict(
    clsa=Target(
        join=join_clsa,
        parts=(*_PRETRAINING, 'classifier'),
        wrap=_wrap_mm,
        note='Use it as --backbone or as load_from of tools/train.py, or by clsa_mm.load_backbone.',
        any_backbone=True,
    ),
    mm=Target(
        join=lambda parts: parts['backbone'],
        parts=('backbone',),
        wrap=_wrap_mm,
        note="Use it as init_cfg=dict(type='Pretrained', checkpoint=...) of mmpretrain's and mmdet's "
        f'backbones; {_IMAGENET_RGB}.',
        any_backbone=True,
    ),
    torchvision=Target(
        join=join_torchvision,
        parts=('backbone', 'classifier'),
        wrap=lambda state, parts, checkpoint: state,
        note='Load it by model.load_state_dict(torch.load(...), strict=False) where it has no fc; '
        f'{_IMAGENET_RGB} (after division by 255: 0.485 0.456 0.406, 0.229 0.224 0.225).',
    ),
    timm=Target(
        join=join_torchvision,
        parts=('backbone', 'classifier'),
        wrap=lambda state, parts, checkpoint: state,
        note="Load it by timm.create_model('resnet..', checkpoint_path=..., num_classes=0) where it has no "
        'fc; mean 0.485 0.456 0.406, std 0.229 0.224 0.225 of RGB in [0, 1].',
    ),
    detectron2=Target(
        join=join_detectron2,
        parts=('backbone',),
        wrap=_wrap_detectron2,
        note='In detectron2 set MODEL.RESNETS.STRIDE_IN_1X1 False, INPUT.FORMAT RGB, MODEL.PIXEL_MEAN '
        '[123.675, 116.28, 103.53], MODEL.PIXEL_STD [58.395, 57.12, 57.375]; its defaults differ.',
    ),
    official=Target(
        join=join_official,
        parts=_PRETRAINING,
        wrap=_wrap_official,
        note="Readable by lincls.py and the detection converter of the authors' and of MoCo's code.",
    ),
)
