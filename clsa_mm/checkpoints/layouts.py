"""How each library lays out the weights of a ResNet and of its contrastive training.

A checkpoint is taken apart into named parts, the same for all layouts, and put together from them:

- ``backbone``: the (query) backbone, under torchvision's names, which are mmpretrain's and timm's too.
- ``neck``: the two layers of MoCo v2's projection, ``0.`` and ``2.``; other necks are among ``other``.
- ``key_encoder``: ``backbone.`` and ``neck.mlp.`` of the key encoder, as above.
- ``queue``: ``keys`` (K, C) and ``num_enqueued`` (); one without the other is among ``other``.
- ``classifier``: ``weight`` (classes, D) and ``bias`` (classes,) of a linear classifier.
- ``other``: what is none of these, under the checkpoint's own names.
"""

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from clsa_mm.checkpoints.read import CheckpointError

StateDict = dict[str, Tensor]
Parts = dict[str, StateDict]

# Of a layout's names: those of a model of this package or of mmpretrain.
_CLSA_PREFIXES = dict(
    backbone='backbone.',
    neck='neck.mlp.',
    key_encoder='key_encoder.',
    queue='queue.',
    classifier='head.fc.',
)
# The two halves of a layout's queue.
_QUEUES = dict(official={'queue', 'queue_ptr'}, clsa={'queue.keys', 'queue.num_enqueued'})
# Wrappers' prefixes: DistributedDataParallel and torch.compile.
_WRAPPER_PREFIX = re.compile(r'^(module\.|_orig_mod\.)+')
_RESNET_NAME = re.compile(r'(?:layer([1-4])\.(\d+)\.)?(conv|bn|downsample\.)([0-3])\.(\w+)')
_DETECTRON2_NAME = re.compile(r'(?:stem|res([2-5])\.(\d+))\.(?:conv(\d)|shortcut)(\.norm)?\.(\w+)')
_RESNET_DEPTHS = {
    ('basic', (2, 2, 2, 2)): 18,
    ('basic', (3, 4, 6, 3)): 34,
    ('bottleneck', (3, 4, 6, 3)): 50,
    ('bottleneck', (3, 4, 23, 3)): 101,
    ('bottleneck', (3, 8, 36, 3)): 152,
}


def weights_of(checkpoint: Mapping) -> StateDict:
    """The tensors of a checkpoint, without the levels and the prefixes that wrap them.

    Args:
        checkpoint: What :func:`clsa_mm.checkpoints.read.read_checkpoint` returned: a state dict, or one under
            ``state_dict`` (OpenMMLab, MoCo, timm) or ``model`` (detectron2).

    Raises:
        CheckpointError: If no weights are in it.
    """
    state = checkpoint.get('state_dict', checkpoint)
    if state is checkpoint and isinstance(checkpoint.get('model'), Mapping):
        state = checkpoint['model']
    tensors = {
        _WRAPPER_PREFIX.sub('', str(key)): value.detach()
        for key, value in (state.items() if isinstance(state, Mapping) else ())
        if isinstance(value, Tensor)
    }
    if not tensors:
        raise CheckpointError(
            f'The checkpoint holds no weights, only {some(checkpoint)}: give a file with a `state_dict`.'
        )
    return tensors


def detect_layout(checkpoint: Mapping) -> str:
    """Tell a checkpoint's layout: ``official``, ``clsa``, ``detectron2``, ``mm`` or ``torchvision``.

    timm's files are told as torchvision's, whose names they have. What is none of these is ``mm``: the
    bare state dict of some backbone.
    """
    state = weights_of(checkpoint)
    if any(name.startswith('encoder_q.') for name in state):
        return 'official'
    if any(name.startswith(tuple(_CLSA_PREFIXES.values())) for name in state):
        return 'clsa'
    if any(_DETECTRON2_NAME.fullmatch(name) for name in state):
        return 'detectron2'
    wrapped = isinstance(checkpoint.get('meta'), Mapping)
    return 'torchvision' if 'conv1.weight' in state and not wrapped else 'mm'


def take_apart(checkpoint: Mapping, layout: str | None = None) -> Parts:
    """Split a checkpoint's tensors into the parts that this module's docstring lists.

    Args:
        checkpoint: What :func:`clsa_mm.checkpoints.read.read_checkpoint` returned.
        layout: Its layout. Defaults to :func:`detect_layout`'s.

    Returns:
        The parts that are there, none of them empty.

    Raises:
        CheckpointError: If no weights are in it.
    """
    layout = layout or detect_layout(checkpoint)
    state = weights_of(checkpoint)
    whole_queue = _QUEUES.get(layout, set()) <= state.keys()
    parts: Parts = {}
    for name, value in state.items():
        part, inner = _PLACES[layout](name)
        if part == 'queue' and not whole_queue:
            part, inner = 'other', name
        parts.setdefault(part, {})[inner] = value
    queue = parts.get('queue', {})
    if 'queue_ptr' in queue:
        queue |= _queue_from_official(checkpoint, queue.pop('queue'), queue.pop('queue_ptr'))
    return parts


def join_clsa(parts: Parts) -> StateDict:
    """The state dict of a model of this package (or, with a classifier, of mmpretrain)."""
    return {
        prefix + name: value
        for part, prefix in _CLSA_PREFIXES.items()
        for name, value in parts.get(part, {}).items()
    }


def join_torchvision(parts: Parts) -> StateDict:
    """The state dict of torchvision's and timm's ResNets; without a classifier it has no ``fc``."""
    classifier = {f'fc.{name}': value for name, value in parts.get('classifier', {}).items()}
    return {**parts['backbone'], **classifier}


def join_detectron2(parts: Parts) -> StateDict:
    """The weights of detectron2's ResNets, under the names of its ``build_resnet_backbone``."""
    return {_to_detectron2(name): value for name, value in parts['backbone'].items()}


def join_official(parts: Parts) -> StateDict:
    """The state dict of the authors' (and MoCo's) model; its queue is (C, K) with a pointer."""
    key = parts.get('key_encoder', {})
    encoders = dict(
        encoder_q=join_clsa({part: parts.get(part, {}) for part in ('backbone', 'neck')}), encoder_k=key
    )
    state = {}
    for encoder, weights in encoders.items():
        for name, value in weights.items():
            inner = name.removeprefix('backbone.').replace('neck.mlp.', 'fc.', 1)
            state[f'module.{encoder}.{inner}'] = value
    if queue := parts.get('queue'):
        state['module.queue'] = queue['keys'].T.contiguous()
        state['module.queue_ptr'] = queue['num_enqueued'].reshape(1) % len(queue['keys'])
    return state


def resnet_depth(backbone: StateDict) -> int | None:
    """The depth of the ResNet that has these weights, or None if they are not those of a ResNet."""
    if 'conv1.weight' not in backbone or backbone['conv1.weight'].dim() != 4:
        return None
    blocks = tuple(
        len({name.split('.')[1] for name in backbone if name.startswith(f'layer{stage}.')})
        for stage in (1, 2, 3, 4)
    )
    return _RESNET_DEPTHS.get(('bottleneck' if 'layer1.0.conv3.weight' in backbone else 'basic', blocks))


def odd_names(backbone: StateDict) -> list[str]:
    """The names that no ResNet with a plain stem has."""
    return [name for name in backbone if not _RESNET_NAME.fullmatch(name)]


def some(keys: Mapping | list[str], limit: int = 4) -> str:
    """The first few of many names, as a text."""
    names = [str(key) for key in keys]
    return ', '.join(names[:limit]) + (', ...' if len(names) > limit else '')


def _place_clsa(name: str) -> tuple[str, str]:
    for part, prefix in _CLSA_PREFIXES.items():
        if name.startswith(prefix):
            return part, name.removeprefix(prefix)
    return 'other', name


def _place_torchvision(name: str) -> tuple[str, str]:
    return ('classifier', name[3:]) if name in ('fc.weight', 'fc.bias') else ('backbone', name)


def _place_official(name: str) -> tuple[str, str]:
    if name in ('queue', 'queue_ptr'):
        return 'queue', name
    encoder, _, inner = name.partition('.')
    if encoder not in ('encoder_q', 'encoder_k') or re.match(r'fc\.\D', inner):
        return 'other', name  # the latter is MoCo v1's projection, a single layer
    inner = f'neck.mlp.{inner[3:]}' if inner.startswith('fc.') else f'backbone.{inner}'
    return ('key_encoder', inner) if encoder == 'encoder_k' else _place_clsa(inner)


def _place_detectron2(name: str) -> tuple[str, str]:
    match = _DETECTRON2_NAME.fullmatch(name)
    if match is None:
        return 'other', name
    stage, block, conv, norm, leaf = match.groups()
    if conv:
        layer = f'bn{conv}' if norm else f'conv{conv}'
    else:
        layer = 'downsample.1' if norm else 'downsample.0'
    return 'backbone', (f'layer{int(stage) - 1}.{block}.' if stage else '') + f'{layer}.{leaf}'


_PLACES: dict[str, Callable[[str], tuple[str, str]]] = dict(
    official=_place_official,
    clsa=_place_clsa,
    detectron2=_place_detectron2,
    mm=_place_torchvision,
    torchvision=_place_torchvision,
    timm=_place_torchvision,
)


def _to_detectron2(name: str) -> str:
    stage, block, kind, index, leaf = _RESNET_NAME.fullmatch(name).groups()
    if kind == 'downsample.':
        layer = 'shortcut.norm' if index == '1' else 'shortcut'
    else:
        layer = f'conv{index}.norm' if kind == 'bn' else f'conv{index}'
    return (f'res{int(stage) + 1}.{block}.' if stage else 'stem.') + f'{layer}.{leaf}'


def _queue_from_official(checkpoint: Mapping, keys: Tensor, pointer: Tensor) -> StateDict:
    """The official queue (C, K) and its pointer; a queue of unknown history counts as filled once."""
    length = keys.shape[1]
    total = checkpoint.get('num_enqueued', length + int(pointer))
    return dict(keys=keys.T.contiguous(), num_enqueued=torch.tensor(total))
