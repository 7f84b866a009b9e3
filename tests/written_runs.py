"""Work dirs as runs leave them, with what the tests say they have logged."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.visualization import LocalVisBackend

START = '20260101_000000'


def write_run(
    folder: Path, scalars: Mapping[str, Sequence[tuple[int, float]]], epoch_length: int = 0
) -> Path:
    """A work dir with a log of figures, name -> (step, value); with a text log if epochs have a length."""
    backend = LocalVisBackend(save_dir=str(folder / START / 'vis_data'))
    for name, points in scalars.items():
        for step, value in points:
            backend.add_scalars({name: value, 'step': step}, step=step)
    if epoch_length:
        line = (
            f'2026/01/01 - mmengine - INFO - Epoch(train) [1][{epoch_length // 2:>4}/{epoch_length}]  lr: 1\n'
        )
        (folder / START / f'{START}.log').write_text(line)
    return folder
