"""Reading a checkpoint file without running code that it holds.

A command-line tool calls :func:`register_safe_loader` before it reads anything, with the value of its
``--trust-checkpoint``.
"""

import functools
import inspect
import logging
import os
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, print_log
from mmengine.runner import CheckpointLoader

from clsa_mm.checkpoints.claims import check_claims, is_archive
from clsa_mm.checkpoints.plain_pickle import ClaimError
from clsa_mm.checkpoints.safe_pickle import load_arrays
from clsa_mm.checkpoints.whole import file_sha256, flaw_by_hash, hash_file, irregular
from clsa_mm.given_names import check_names

# The convention of torch.hub and OpenMMLab: sha256 in the name. Eight digits can also be a date.
_HASH_IN_NAME = re.compile(r'-(?!20\d{6}\.)([0-9a-f]{8,64})\.\w+$')
_trusted = False


class CheckpointError(ValueError):
    """A checkpoint that cannot be read safely, or that does not fit."""


def read_checkpoint(path: str | Path) -> dict:
    """Read a checkpoint file; nothing but tensors, numbers, texts, containers and mmengine's log.

    Unlike ``mmengine.runner.load_checkpoint``, this never falls back to unrestricted unpickling,
    which runs whatever code the file holds, unless :func:`trust_checkpoints` was called.

    Args:
        path: A file that ``torch.save`` wrote (of mmengine, mmpretrain, torchvision, ...), or a
            ``.pkl`` of numpy arrays (detectron2). If its name ends in the first digits of its sha256
            (``name-1a2b3c4d.pth``), or a hash stands beside it (``name.pth.sha256``), they are checked.

    Returns:
        The saved dictionary, on the CPU; numpy arrays of a ``.pkl`` as tensors.

    Raises:
        ValueError: If ``path`` is no path.
        FileNotFoundError: If there is no such file.
        CheckpointError: If the file is no checkpoint, is damaged, or needs more than the above.
    """
    check_names('read_checkpoint', path=path)
    path = Path(path).expanduser()
    if path.is_dir():
        raise FileNotFoundError(f'{path} is a folder, not a checkpoint file; name a file in it.')
    if (kind := irregular(path)) is not None:
        raise FileNotFoundError(f'There is no checkpoint file {path}; check the path. It is {kind}.')
    _check_hash(path)
    try:
        checkpoint = _load(path, safely=True)
    except ClaimError as error:
        raise CheckpointError(
            f'{path} is refused: {error}. It is damaged, or made to do harm; take another.'
        ) from error
    except pickle.UnpicklingError as error:
        wanted = re.search(r'GLOBAL (\S+)|(\S+) of a refused object', str(error))
        if wanted is None:
            raise CheckpointError(f'{path} is not a checkpoint that torch can read: {error}') from error
        checkpoint = _load_trusted(path, wanted[1] or wanted[2], error)
    except Exception as error:  # a damaged file can raise anything
        raise CheckpointError(
            f'{path} is not a checkpoint that torch can read, or it is damaged: {str(error) or repr(error)}'
        ) from error
    if not isinstance(checkpoint, Mapping):
        raise CheckpointError(f'{path} holds a {type(checkpoint).__name__}, not a dictionary with weights.')
    return checkpoint


def trust_checkpoints(trusted: bool = True) -> None:
    """Let :func:`read_checkpoint` run the code of files that cannot be read without, in this process.

    Args:
        trusted: False takes it back.
    """
    global _trusted
    _trusted = trusted


def register_safe_loader(trusted: bool = False) -> None:
    """Let no checkpoint run code in this process, whoever reads it. Our command-line tools call this.

    mmengine's own loader falls back to unrestricted unpickling where the safe one refuses. Here its
    runner reads local files (``resume``, ``load_from``, ``init_cfg``) by :func:`read_checkpoint`; the
    tensors come to the CPU, from where the runner copies them to the model's device. Every other
    ``torch.load``, such as that of mmengine's downloads, is held to tensors by torch's own switch.
    From wherever a checkpoint came, mmengine gets it without the texts that it would run.

    Args:
        trusted: Run the code after all: the value of ``--trust-checkpoint``.
    """
    trust_checkpoints(trusted)
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    for prefix, loader in tuple(CheckpointLoader._schemes.items()):
        CheckpointLoader.register_scheme(prefix, _without_programs(loader), force=True)
    if not trusted:
        os.environ.pop('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', None)
        os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'


def load_from_local(filename: str, map_location: object = None) -> dict:
    """:func:`read_checkpoint` as one of mmengine's loaders; its log says "local", the end of this name."""
    return read_checkpoint(filename)


def _load(path: Path, safely: bool) -> Any:
    if path.suffix == '.pkl' and not is_archive(path):
        arrays = load_arrays(path) if safely else pickle.loads(path.read_bytes(), encoding='latin1')
        return _as_tensors(arrays)
    if not safely:
        return torch.load(path, map_location='cpu', weights_only=False)
    check_claims(path)
    with torch.serialization.safe_globals(_allowed_globals()):
        return torch.load(path, map_location='cpu', weights_only=True)


def _load_trusted(path: Path, wanted: str, refusal: Exception) -> Any:
    """Read a file that holds code, where the user said so."""
    if not _trusted:
        raise CheckpointError(
            f'{path} wants to load `{wanted}`, which is neither a tensor nor plain data and could run code. '
            'If you trust where the file comes from, give the tool --trust-checkpoint (in Python, call '
            'clsa_mm.checkpoints.read.trust_checkpoints()), or re-save its `state_dict` alone '
            "(torch.save({'state_dict': ...}, new_path)) and use that."
        ) from refusal
    print_log(
        f'TRUSTED CHECKPOINT: {path} wants to load `{wanted}`; reading it runs the code that it holds, '
        'because --trust-checkpoint was given.',
        logger='current',
        level=logging.WARNING,
    )
    try:
        return _load(path, safely=False)
    except Exception as error:
        raise CheckpointError(f'{path} cannot be read even as a trusted file: {error}') from error


def _as_tensors(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.array(value, value.dtype.newbyteorder('=')))
    return {key: _as_tensors(entry) for key, entry in value.items()} if isinstance(value, dict) else value


def _without_programs(loader: Callable) -> Callable:
    """Wrap one of mmengine's loaders, once, so that it gives away plain texts only."""
    loader = inspect.unwrap(loader)

    @functools.wraps(loader)
    def load(filename: str, map_location: object = None) -> dict:
        checkpoint = loader(filename, map_location)
        if not _trusted and isinstance(checkpoint, dict):
            _drop_programs(checkpoint, Path(filename).resolve().parent)
        return checkpoint

    return load


def _drop_programs(checkpoint: dict, folder: Path) -> None:
    """Drop the texts that mmengine runs, and those by which it deletes files of others, in place.

    ``Runner.resume`` runs ``meta['config']`` as Python; its inferencers run the ``cfg`` of the meta or of the
    log; ``CheckpointHook`` deletes what the log calls the best checkpoint, and the last ones by number.
    """
    if isinstance(meta := checkpoint.get('meta'), Mapping):
        checkpoint['meta'] = {name: meta[name] for name in meta if name not in ('cfg', 'config')}
    log = checkpoint.get('message_hub')
    if not isinstance(log, Mapping):
        return
    info = {name: value for name, value in log.get('runtime_info', {}).items() if name != 'cfg'}
    for name in [name for name in info if str(name).startswith('best_ckpt')]:
        best = Path(str(info[name])).resolve()
        if best.parent != folder or not best.name.startswith('best_'):
            del info[name]
    info.pop('keep_ckpt_ids', None)  # AtomicCheckpointHook has the run's own
    checkpoint['message_hub'] = dict(log, runtime_info=info)


def _check_hash(path: Path) -> None:
    if (flaw := flaw_by_hash(path)) is not None:
        raise CheckpointError(
            f'{path} is {flaw}. Take another checkpoint, or remove {hash_file(path)} if you changed the file '
            'yourself.'
        )
    expected = _HASH_IN_NAME.search(path.name)
    if expected is None:
        return
    found = file_sha256(path)
    if not found.startswith(expected[1]):
        raise CheckpointError(
            f'{path} is damaged or was changed: its sha256 starts with {found[:8]}, not with the '
            f'{expected[1]} of its name. Download it again, or rename it if you changed it yourself.'
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
