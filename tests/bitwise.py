"""Bitwise comparison of checkpoints."""

from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.logging import HistoryBuffer

from clsa_mm.checkpoints.backbone import read_checkpoint

# Of the log: what depends on the clock, or names the folder or the code of the run.
_CLOCKS = ('time', 'data_time', 'memory')
_NAMES = ('cfg', 'experiment_name', 'mmengine_version', 'last_ckpt', 'keep_ckpt_ids', 'best_ckpt')


def run_state(path: str | Path) -> dict:
    """All that a checkpoint holds but times, names of files and which checkpoints are kept."""
    checkpoint = dict(read_checkpoint(path))
    meta, log = checkpoint.pop('meta'), checkpoint.pop('message_hub')
    info = {name: value for name, value in log['runtime_info'].items() if name not in _NAMES}
    scalars = {
        name: buffer for name, buffer in log['log_scalars'].items() if name.split('/')[-1] not in _CLOCKS
    }
    return checkpoint | dict(
        info=info, scalars=scalars, **{name: meta[name] for name in ('epoch', 'iter', 'seed')}
    )


def difference(a: object, b: object, place: str = '') -> str | None:
    """Where two nested containers of tensors and plain values differ first; None if they are the same bits.

    Args:
        a: One.
        b: The other.
        place: Of both, for the answer.
    """
    if isinstance(a, HistoryBuffer) and isinstance(b, HistoryBuffer):
        a, b = ([array.tolist() for array in buffer.data] for buffer in (a, b))
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        same = a.dtype == b.dtype and a.shape == b.shape and torch.equal(_bits(a), _bits(b))
        return None if same else f'{place}: not the same bits'
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if a.keys() != b.keys():
            return f'{place}: only one has {", ".join(sorted(map(str, a.keys() ^ b.keys())))}'
        pairs = [(a[name], b[name], f'{place}/{name}') for name in a]
    elif isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        if len(a) != len(b):
            return f'{place}: {len(a)} and {len(b)} entries'
        pairs = [(x, y, f'{place}/{i}') for i, (x, y) in enumerate(zip(a, b, strict=True))]
    else:
        return None if repr(a) == repr(b) else f'{place}: {a!r} and {b!r}'
    return next(filter(None, (difference(*pair) for pair in pairs)), None)


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
