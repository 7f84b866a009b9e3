"""The backbone of a training in the formats of several libraries."""

from pathlib import Path

from clsa_mm.checkpoints.convert import convert_file
from clsa_mm.checkpoints.read import CheckpointError

FORMATS = ('mm', 'torchvision', 'timm')
BACKBONE = 'backbone_{}.pth'


def export_backbone(checkpoint: Path, folder: Path) -> list[str]:
    """Write ``backbone_mm.pth`` and, of ResNets, torchvision's and timm's beside it.

    Args:
        checkpoint: Of the training.
        folder: Where they go; files of these names there are replaced.

    Returns:
        For each format the file and how it is used, or why there is none.

    Raises:
        OSError: If one cannot be written.
    """
    lines = []
    for name in FORMATS:
        path = folder / BACKBONE.format(name)
        try:
            lines.append(f'{path}: {convert_file(checkpoint, path, name, force=True).note}')
        except CheckpointError as error:
            path.unlink(missing_ok=True)  # of an earlier run
            lines.append(f'no {path.name}: {error}')
    return lines
