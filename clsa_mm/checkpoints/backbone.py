"""Checkpoints from anywhere, read without running code that they hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from clsa_mm.checkpoints.config_text import BY_HAND, backbone_config, build_backbone
from clsa_mm.checkpoints.layouts import StateDict, resnet_depth, some, take_apart
from clsa_mm.checkpoints.read import CheckpointError, read_checkpoint

__all__ = [
    'CheckpointError',
    'LoadReport',
    'backbone_state_dict',
    'fill_backbone',
    'load_backbone',
    'load_backbone_weights',
    'read_checkpoint',
]

# BatchNorm's, without effect at its usual momentum; other libraries' files need not have it.
_COUNTER = 'num_batches_tracked'
# What mmpretrain's TIMMBackbone calls the network of timm that it holds.
_TIMM = 'timm_model'
# A module can have more than its checkpoint: masks, tables of positions, a classifier that it drops.
_SPARE, _SPARE_NUMBERS = 2, 10_000_000


def backbone_state_dict(checkpoint: Mapping) -> StateDict:
    """Take the (query) backbone's weights out of a checkpoint.

    Understands training checkpoints of this package and of mmpretrain (self-supervised models and
    ``ImageClassifier``), the authors' and MoCo's ``.pth.tar``, bare backbones (torchvision's and timm's
    names equal mmpretrain's), detectron2's ``.pkl``, all that tools/model_converters/convert.py writes,
    each with or without a ``state_dict`` level and the ``module.`` of DistributedDataParallel.

    Args:
        checkpoint: What :func:`read_checkpoint` returned.

    Returns:
        The weights under the names that the backbone module gives them; no projection, no classifier.

    Raises:
        CheckpointError: If no weights of a backbone are in it.
    """
    parts = take_apart(checkpoint)
    if 'backbone' not in parts:
        names = [name for weights in parts.values() for name in weights]
        raise CheckpointError(f'The checkpoint holds no backbone, only {some(names)}: give a file with one.')
    return parts['backbone']


@dataclass(frozen=True)
class LoadReport:
    """Which of a module's tensors a checkpoint filled.

    Attributes:
        source: The file.
        matched: Names that were loaded.
        missing: Names that the module has and the checkpoint lacks; they keep their values.
        mismatched: Names whose shapes differ, with both shapes; they keep their values too.
        unused: Names that only the checkpoint has.
    """

    source: str
    matched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether each of the module's tensors was loaded."""
        return not (self.missing or self.mismatched)

    def __str__(self) -> str:
        total = len(self.matched) + len(self.missing) + len(self.mismatched)
        text = f'loaded {len(self.matched)}/{total} keys from {self.source}'
        for name in ('missing', 'mismatched', 'unused'):
            if keys := getattr(self, name):
                text += f'; {len(keys)} {name}: {some(keys)}'
        return text


def load_backbone_weights(module: nn.Module, path: str | Path) -> LoadReport:
    """Load a checkpoint's backbone weights into a module, in place.

    Args:
        module: A backbone.
        path: Any checkpoint that :func:`backbone_state_dict` understands.

    Returns:
        What was loaded and what not. A partial match is not an error: look at ``complete``.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If the file cannot be read, not one weight fits, or the weights are those of a
            ResNet of another depth, of which some layers would fit by chance.
    """
    return fill_backbone(module, backbone_state_dict(read_checkpoint(path)), str(path))


def load_backbone(path: str | Path) -> nn.Module:
    """Build the backbone that a checkpoint belongs to, with its weights.

    The architecture comes from the config text that mmengine stores in a checkpoint, which is
    parsed, not run; without one, a ResNet's is inferred from the weights' names and shapes.

    Args:
        path: Any checkpoint that :func:`backbone_state_dict` understands.

    Returns:
        The backbone in eval mode on the CPU, with nothing frozen. mmpretrain's backbones return a tuple
        of feature maps (N, D, h, w), or of vectors (N, D).

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If the file cannot be read, its architecture cannot be told, or its config
            asks for anything but known backbones and layers.
    """
    checkpoint = read_checkpoint(path)
    state = backbone_state_dict(checkpoint)
    meta = checkpoint.get('meta')
    text = meta.get('cfg') if isinstance(meta, Mapping) else None
    config = backbone_config(text) if isinstance(text, str) else None
    if config is None:
        config = _infer_resnet(state)
    held = sum(weight.numel() for weight in state.values())
    backbone = build_backbone(config, most=_SPARE * held + _SPARE_NUMBERS)
    report = fill_backbone(backbone, state, str(path))
    if not report.complete:
        raise CheckpointError(f'The weights do not fit the backbone {config}: {report}')
    backbone.eval()  # mmpretrain's do not return themselves
    return backbone


def fill_backbone(module: nn.Module, state: StateDict, source: str) -> LoadReport:
    """Load a backbone's weights into a module, in place: the whole backbone or some of its stages.

    Args:
        module: A backbone, or a part of one under the same names.
        state: What :func:`backbone_state_dict` returned.
        source: What messages call the weights: their file.

    Returns:
        What was loaded and what not.

    Raises:
        CheckpointError: If not one weight fits, or they are those of a ResNet of another depth.
    """
    if hasattr(module, _TIMM) and not any(key.startswith(f'{_TIMM}.') for key in state):
        module = getattr(module, _TIMM)  # whose own files lack that name
    found, wanted = resnet_depth(state), getattr(module, 'depth', None)
    if found and wanted and found != wanted:
        raise CheckpointError(
            f'{source} holds a ResNet-{found} and the {type(module).__name__} has depth {wanted}: give a '
            f'checkpoint of depth {wanted}, or set the depth of the backbone to {found}.'
        )
    report = LoadReport(source, unused=sorted(state.keys() - module.state_dict().keys()))
    fitting = {}
    for key, value in module.state_dict().items():
        if key not in state:
            if not key.endswith(_COUNTER):
                report.missing.append(key)
        elif state[key].shape != value.shape:
            shapes = f'{tuple(state[key].shape)} in the file, {tuple(value.shape)} in the module'
            report.mismatched.append(f'{key} ({shapes})')
        else:
            fitting[key] = state[key]
    if all(key.endswith(_COUNTER) for key in fitting):
        shapes = f' Shapes differ: {some(report.mismatched)}.' if report.mismatched else ''
        raise CheckpointError(
            f'Not one weight of {source} fits the {type(module).__name__}: it has '
            f'{some(module.state_dict())}, the file has {some(state)}.{shapes} Give a checkpoint '
            'of the same architecture.'
        )
    module.load_state_dict(fitting, strict=False)
    report.matched.extend(fitting)
    return report


def _infer_resnet(state: StateDict) -> dict:
    """A ResNet's config from its weights."""
    depth = resnet_depth(state)
    if depth is None:
        raise CheckpointError(
            'The checkpoint has no config and its weights are not those of a ResNet '
            f'({some(state)}). {BY_HAND}'
        )
    width, channels, kernel = state['conv1.weight'].shape[:3]
    name = 'ResNet' if kernel == 7 else 'ResNet_CIFAR'
    return dict(type=name, depth=depth, in_channels=channels, stem_channels=width, base_channels=width)
