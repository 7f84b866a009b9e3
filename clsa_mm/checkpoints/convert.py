"""From one library's checkpoint to another's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from clsa_mm.checkpoints.layouts import (
    StateDict,
    detect_layout,
    odd_names,
    resnet_depth,
    some,
    take_apart,
    weights_of,
)
from clsa_mm.checkpoints.read import CheckpointError, read_checkpoint
from clsa_mm.checkpoints.safe_pickle import dump_arrays
from clsa_mm.checkpoints.targets import TARGETS, Target
from clsa_mm.checkpoints.unfinished import unfinished
from clsa_mm.checkpoints.whole import hash_file
from clsa_mm.given_names import check_choice

FORMATS = tuple(TARGETS)
# What a training checkpoint has beside the model.
_TRAINING_STATE = ('optimizer', 'param_schedulers', 'message_hub', 'ema_state_dict')


@dataclass(frozen=True)
class Conversion:
    """What a conversion made.

    Attributes:
        source: Layout of the source.
        target: Layout of the content.
        content: What to write: tensors (for detectron2 numpy arrays) and plain data.
        taken: Number of tensors of each part that is in the content.
        left_out: What the content has no place for: number of tensors of a part, 0 for data that is not
            tensors of the model (optimizer, log).
        others: Names of the left-out tensors that belong to no part known here.
        note: What a user of the file has to know.
    """

    source: str
    target: str
    content: dict
    taken: dict[str, int]
    left_out: dict[str, int]
    others: list[str] = field(default_factory=list)
    note: str = ''

    def __str__(self) -> str:
        lines = [f'{self.source} -> {self.target}: {sum(self.taken.values())} tensors, {_counts(self.taken)}']
        if self.left_out:
            lines.append(f'left out, as the format has no place for it: {_counts(self.left_out)}')
        if self.others:
            lines.append(f'other: {some(self.others, 8)}')
        return '\n'.join([*lines, self.note])


def convert(checkpoint: Mapping, target: str, source: str | None = None) -> Conversion:
    """Lay out a checkpoint's weights as another library has them.

    Args:
        checkpoint: What :func:`clsa_mm.checkpoints.read.read_checkpoint` returned.
        target: One of :data:`FORMATS`.
        source: The layout of ``checkpoint``. Defaults to the one detected.

    Returns:
        The new content, and what was taken and left out.

    Raises:
        CheckpointError: If the checkpoint has no backbone in the source's layout, or the target's library
            has none such.
        ValueError: If ``target`` or ``source`` is no format.
    """
    check_choice('convert', FORMATS, target=target)
    if source is not None:
        check_choice('convert', FORMATS, source=source)
    detected = detect_layout(checkpoint)
    parts = take_apart(checkpoint, source)
    if not parts.get('backbone') or (source and not _agree(source, detected)):
        raise CheckpointError(
            f'The checkpoint has no backbone in the layout of {source or detected}: its names are '
            f'{some(weights_of(checkpoint))}, and it looks like {detected}. Give that, or a file with a '
            'backbone.'
        )
    layout = TARGETS[target]
    depth = resnet_depth(parts['backbone'])
    odd = odd_names(parts['backbone'])
    if (depth is None or odd) and not layout.any_backbone:
        raise CheckpointError(
            f'{target} can hold ResNet-18, 34, 50, 101 and 152 with a plain stem only, and the weights are '
            f'those of another backbone ({some(odd or parts["backbone"])}). Convert to mm instead.'
        )
    taken = {part: parts[part] for part in layout.parts if part in parts}
    left_out = {part: len(names) for part, names in parts.items() if part not in taken}
    left_out |= {key: 0 for key in checkpoint if key in _TRAINING_STATE}
    return Conversion(
        source=source or detected,
        target=target,
        content=layout.wrap(layout.join(taken), taken, checkpoint),
        taken={part: len(names) for part, names in taken.items()},
        left_out=left_out,
        others=list(parts.get('other', ())),
        note=layout.note + _unknown(parts['backbone']) + _unusual(parts['backbone'], layout),
    )


def convert_file(
    source: Path, destination: Path, target: str, source_format: str | None = None, force: bool = False
) -> Conversion:
    """Convert a file; see :func:`convert`.

    Args:
        source: A checkpoint file.
        destination: The file to write, ``.pkl`` for detectron2 and only for it.
        target: One of :data:`FORMATS`.
        source_format: The layout of ``source``. Defaults to the one detected.
        force: Replace ``destination`` if it exists.

    Raises:
        FileNotFoundError: If there is no ``source``.
        FileExistsError: If ``destination`` exists and ``force`` is not given.
        OSError: If ``destination`` cannot be written.
        CheckpointError: If it cannot be converted, or ``destination`` is no name for such a file.
    """
    _check_destination(destination, target, force)
    conversion = convert(read_checkpoint(source), target, source_format)
    write_checkpoint(conversion.content, destination)
    return conversion


def write_checkpoint(content: dict, path: Path) -> None:
    """Write a whole file or none: torch's format, or for ``.pkl`` a pickle of numpy arrays."""
    with unfinished(path) as part:
        with part.open('wb') as file:
            (dump_arrays if path.suffix == '.pkl' else torch.save)(content, file)
        hash_file(path).unlink(missing_ok=True)  # of the file that is replaced
        part.replace(path)


def _check_destination(path: Path, target: str, force: bool) -> None:
    if (path.suffix == '.pkl') != (target == 'detectron2'):
        wanted = '.pkl' if target == 'detectron2' else '.pth (or .pth.tar, .pt)'
        raise CheckpointError(f'{path}: the name of a {target} file has to end in {wanted}; rename it.')
    if path.is_dir():
        raise CheckpointError(f'{path} is a folder; give the name of a file in it.')
    if path.exists() and not force:
        raise FileExistsError(f'{path} exists; give --force to replace it, or another name.')


def _agree(source: str, detected: str) -> bool:
    """Three layouts have the same names of the backbone."""
    bare = ('mm', 'torchvision', 'timm')
    return source == detected or (source in bare and detected in bare)


def _counts(numbers: Mapping[str, int]) -> str:
    return ', '.join(f'{part} {number}' if number else part for part, number in numbers.items())


def _unknown(backbone: StateDict) -> str:
    """Where names are a ResNet's and the whole is none."""
    if resnet_depth(backbone) or len(odd_names(backbone)) == len(backbone):
        return ''
    return (
        f'\nNOTE: the backbone is not a complete ResNet known here (18, 34, 50, 101, 152 with a plain stem); '
        f'it has {some(backbone)}: see that nothing of it is missing'
    )


def _unusual(backbone: StateDict, target: Target) -> str:
    """Where the target's own models have another stem."""
    width, channels, *kernel = backbone['conv1.weight'].shape if 'conv1.weight' in backbone else (64, 3, 7, 7)
    if target.any_backbone or (width, channels, kernel) == (64, 3, [7, 7]):
        return ''
    return (
        f'\nNOTE: the stem is a {kernel[0]}x{kernel[1]} convolution of {channels} channels to {width}; the '
        "library's own ResNets have 7x7, 3 to 64: build the model with this stem and width before loading"
    )
