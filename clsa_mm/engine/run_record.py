"""What a run was started with, kept in its checkpoints, and how another differs from it."""

import re
import subprocess
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import Runner

from clsa_mm.checkpoints.config_text import settings_of
from clsa_mm.engine.hooks.batch_size import global_batch_size
from clsa_mm.version import __version__

# Of a record: what may be another when a run goes on. With the rest, the run would be another one.
_SAFE_FIELDS = ('clsa_mm', 'revision', 'torch', 'processes')
# Settings that say where a run is and how it was called, of which no word is lost.
_QUIET_SETTINGS = r'work_dir|resume|load_from|launcher|experiment_name|default_hooks\.resume_check\.force'
# Settings that may be others: what watches, writes and waits; where the data lie, whose list is compared; the
# length of the run; the seed, for the run keeps the checkpoint's; and what ResumeLearningRateHook lets take
# effect or refuses itself. The batch is compared as a whole.
_SAFE_SETTINGS = (
    r'default_hooks|custom_hooks|visualizer|vis_backends|log_level|log_processor|env_cfg|auto_scale_lr|compile'
    r'|randomness|val_\w+|test_\w+|param_scheduler|model_wrapper_cfg|find_unused_parameters|model\.channels_last'
    r'|train_cfg\.(max_epochs|max_iters|val_begin|val_interval|dynamic_intervals)'
    r'|train_dataloader\.(batch_size|num_workers|persistent_workers|pin_memory|prefetch_factor|timeout)'
    r'|train_dataloader\.dataset\.(data_root|data_prefix|ann_file|max_corrupt|max_refetch|serialize_data)'
    r'|optim_wrapper\.(?!accumulative_counts).*'
)


@dataclass(frozen=True)
class RunRecord:
    """Plain values that stand in a checkpoint's ``meta['clsa_mm']``.

    Attributes:
        clsa_mm: Version of this package.
        revision: Of its git checkout, ``-dirty`` with changes of one's own; '' if it is installed without.
        torch: Version of torch.
        processes: Number of ranks.
        batch: Images of an iteration, over all ranks.
        images: Number of training images.
        files: Hash of the list of their files, relative to their folder; '' for data sets that have none.
    """

    clsa_mm: str
    revision: str
    torch: str
    processes: int
    batch: int
    images: int
    files: str


def record_of(runner: Runner) -> dict[str, str | int]:
    """The record of a run whose data loader is built."""
    loader = runner.train_dataloader
    return asdict(
        RunRecord(
            clsa_mm=__version__,
            revision=code_revision(),
            torch=str(torch.__version__),  # it is more than a string, which no checkpoint may hold
            processes=runner.world_size,
            batch=global_batch_size(runner),
            images=len(loader.dataset),
            files=getattr(loader.dataset, 'files_hash', ''),
        )
    )


@cache
def code_revision() -> str:
    """What git calls the checkout that this package is run from, '' if it is none."""
    root = Path(__file__).resolve().parents[2]
    if not (root / '.git').exists():  # another repository may lie around an installed package
        return ''
    command = ['git', '-C', str(root), 'describe', '--always', '--dirty', '--abbrev=12', '--exclude=*']
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ''


def differences(
    saved: dict[str, Any], own: dict[str, Any], saved_config: str, own_config: str
) -> tuple[list[str], list[str]]:
    """What of a run differs from the run that it resumes.

    Args:
        saved: Record of the checkpoint, or what its file claims to be one; empty if it has none.
        own: Record of the run.
        saved_config: Text of the checkpoint's config, which is parsed and not run; '' if it has none.
        own_config: Text of the run's config.

    Returns:
        Differences that leave the run what it was, and those that do not: ``name=new instead of old``.
    """
    safe, unsafe = [], []
    for name, new in own.items():
        if name in saved and saved[name] != new:
            (safe if name in _SAFE_FIELDS else unsafe).append(_line(name, new, saved[name]))
    old_settings = settings_of(saved_config)
    new_settings = settings_of(own_config) if old_settings else {}
    for name in sorted({*old_settings, *new_settings}):
        old, new = (settings.get(name, _ABSENT) for settings in (old_settings, new_settings))
        if old != new and not _matches(_QUIET_SETTINGS, name):
            (safe if _matches(_SAFE_SETTINGS, name) else unsafe).append(_line(name, new, old))
    return safe, unsafe


class _Absent:
    def __repr__(self) -> str:
        return 'nothing'


_ABSENT = _Absent()


def _matches(pattern: str, name: str) -> bool:
    return bool(re.match(rf'({pattern})(\.|$)', name))


def _line(name: str, new: object, old: object) -> str:
    new, old = (value if len(value) <= 80 else f'{value[:77]}...' for value in (f'{new!r}', f'{old!r}'))
    return f'{ascii(name)[1:-1]}={new} instead of {old}'
