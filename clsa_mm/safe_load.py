"""Reading a checkpoint file without running code that it holds."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader


class CheckpointError(ValueError):
    """A checkpoint that cannot be read safely, or that does not fit."""


def read_checkpoint(path: str | Path) -> dict:
    """Read a checkpoint file; nothing but tensors, numbers, texts, containers and mmengine's log.

    Unlike ``mmengine.runner.load_checkpoint``, this never falls back to unrestricted unpickling,
    which runs whatever code the file holds.

    Args:
        path: A file that ``torch.save`` wrote: of mmengine, mmpretrain, torchvision, ...

    Returns:
        The saved dictionary, on the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If the file is no checkpoint, or needs more than the above.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'There is no checkpoint file {path}; check the path.')
    try:
        with torch.serialization.safe_globals(_allowed_globals()):
            checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r'GLOBAL (\S+)|(\S+) of a refused object', str(error))
        if wanted is None:
            raise CheckpointError(f'{path} is not a checkpoint that torch can read.') from error
        raise CheckpointError(
            f'{path} wants to load `{wanted[1] or wanted[2]}`, which is neither a tensor nor plain '
            'data and could run code. If you trust the file, re-save its `state_dict` alone '
            "(torch.save({'state_dict': ...}, new_path)) and use that."
        ) from error
    except Exception as error:  # a damaged file can raise anything
        raise CheckpointError(
            f'{path} is not a checkpoint that torch can read, or it is damaged: {error}'
        ) from error
    if not isinstance(checkpoint, Mapping):
        raise CheckpointError(f'{path} holds a {type(checkpoint).__name__}, not a dictionary with weights.')
    return checkpoint


def register_safe_loader() -> None:
    """Let mmengine's runner read local files (``resume``, ``load_from``) by :func:`read_checkpoint`.

    mmengine's own loader falls back to unrestricted unpickling where the safe one refuses. The tensors
    come to the CPU; the runner copies them to the model's device. Our command-line tools call this.
    """
    CheckpointLoader.register_scheme(
        '', lambda filename, map_location=None: read_checkpoint(filename), force=True
    )


def _allowed_globals() -> list:
    """What unpickling may name besides torch's own list: numpy arrays, mmengine's log."""
    core = np._core.multiarray if hasattr(np, '_core') else np.core.multiarray
    allowed = [np.ndarray, np.dtype, *(type(np.dtype(kind)) for kind in '?bhilqBHILQefd')]
    for name in ('_reconstruct', 'scalar'):
        # numpy 1 wrote `numpy.core`, numpy 2 writes `numpy._core`.
        allowed += [(getattr(core, name), f'numpy.{c}.multiarray.{name}') for c in ('_core', 'core')]
    buffer = f'{HistoryBuffer.__module__}.{HistoryBuffer.__qualname__}'
    return [*allowed, (_SavedHistory, buffer), (_history_statistic, 'builtins.getattr')]


class _SavedHistory(HistoryBuffer):
    """Takes the numbers of a pickled HistoryBuffer and becomes one; takes no callables from it.

    HistoryBuffer itself would add the file's entries to a table shared by the whole process.
    """

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update({key: state[key] for key in ('max_length', '_log_history', '_count_history')})
        self._set_default_statistics()
        self.__class__ = HistoryBuffer


def _history_statistic(owner: object, name: str) -> str:
    """Stand in for `getattr`, by which a HistoryBuffer names its methods; give back the name."""
    if owner is not _SavedHistory or name.startswith('_'):
        raise pickle.UnpicklingError(f'`{name}` of a refused object')
    return name
