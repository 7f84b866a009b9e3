"""A checkpoint to give away: weights, config and versions, with its hash in its name."""

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import torch
from mmengine.config import Config

from clsa_mm.checkpoints.backbone import backbone_state_dict, load_backbone
from clsa_mm.checkpoints.layouts import some, take_apart, weights_of
from clsa_mm.checkpoints.read import CheckpointError, read_checkpoint
from clsa_mm.checkpoints.targets import plain_meta
from clsa_mm.checkpoints.unfinished import unfinished
from clsa_mm.checkpoints.whole import file_sha256
from clsa_mm.version import __version__

# Import name of the package and the distributions that may bring it.
_STACK = dict(mmengine=('onedl-mmengine', 'mmengine'), mmpretrain=('onedl-mmpretrain', 'mmpretrain'))


def publish_checkpoint(
    source: Path, destination: Path, backbone_only: bool = False, config: Path | None = None
) -> tuple[Path, list[str]]:
    """Write a checkpoint's weights, config and versions to ``<destination>-<hash>.pth``.

    The hash is the first 8 hexadecimal digits of the file's sha256, as OpenMMLab and torch.hub have it:
    mmengine, torch.hub and :func:`clsa_mm.load_backbone` can check the file against its name.

    Args:
        source: A training checkpoint.
        destination: Path of the new file up to the hash; a ``.pth`` at its end is dropped.
        backbone_only: Keep the backbone alone.
        config: The config that belongs to it, which is tried. Defaults to the one in ``source``, where
            mmengine put it.

    Returns:
        The path that was written, and the names of what ``source`` has more.

    Raises:
        FileNotFoundError: If there is no ``source``.
        FileExistsError: If the very file is there already.
        OSError: If it cannot be written.
        CheckpointError: If it cannot be read, no config is known, or ``config`` does not belong to the
            weights.
    """
    checkpoint = read_checkpoint(source)
    meta = plain_meta(checkpoint, 'cfg', 'epoch', 'iter', 'seed', 'experiment_name')
    if config is not None:
        meta['cfg'] = Config.fromfile(config).pretty_text
    if 'cfg' not in meta:
        raise CheckpointError(f'{source} holds no config; give the one it was trained with by --config.')
    meta |= _versions()
    if classes := _classes(checkpoint):
        meta['dataset_meta'] = dict(classes=classes)
    state, left_out = weights_of(checkpoint), []
    if backbone_only:
        parts = take_apart(checkpoint)
        if 'backbone' not in parts:
            raise CheckpointError(f'{source} holds no backbone, only {some(state)}.')
        state = parts.pop('backbone')
        left_out += parts
    if 'state_dict' in checkpoint:
        left_out += [str(name) for name in checkpoint if name not in ('meta', 'state_dict')]

    stem = destination.name.removesuffix('.pth')
    with unfinished(destination) as part:
        with part.open('wb') as file:  # by its name, torch would write that into the file
            torch.save(dict(meta=meta, state_dict=state), file)
        if config is not None:
            _try_pair(part, source, config)
        path = destination.with_name(f'{stem}-{file_sha256(part)[:8]}.pth')
        if path.exists():
            raise FileExistsError(f'{path} exists, with the same content; nothing to do.')
        part.replace(path)
    return path, left_out


def _try_pair(written: Path, source: Path, config: Path) -> None:
    """Build the config's backbone with the weights, as the file's users will."""
    try:
        known = load_backbone(written).state_dict()
        if more := sorted(backbone_state_dict(read_checkpoint(written)).keys() - known.keys()):
            raise CheckpointError(f'the backbone of the config has no {some(more)}.')
    except Exception as error:  # building what a config asks for can raise anything
        reason = str(error).replace(str(written), str(source))
        raise CheckpointError(
            f'The config {config} and the weights of {source} do not belong together: {reason} '
            'Give the config that they were trained with.'
        ) from error


def _versions() -> dict[str, str]:
    """Of the stack that publishes."""
    versions = dict(clsa_mm_version=__version__, torch_version=torch.__version__)
    for package, distributions in _STACK.items():
        for name in distributions:
            try:
                versions[f'{package}_version'] = metadata.version(name)
                break
            except metadata.PackageNotFoundError:
                continue
    return {name: str(version) for name, version in versions.items()}


def _classes(checkpoint: Mapping) -> list[str]:
    """The class names that mmengine wrote of the training's data set."""
    meta = checkpoint.get('meta')
    data = meta.get('dataset_meta') if isinstance(meta, Mapping) else None
    classes = data.get('classes') if isinstance(data, Mapping) else None
    return [str(name) for name in classes or ()]
