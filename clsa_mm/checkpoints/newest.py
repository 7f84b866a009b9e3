"""The newest checkpoint of a run that is whole."""

import re
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from clsa_mm.checkpoints.claims import is_archive, read_archive
from clsa_mm.checkpoints.read import CheckpointError, read_checkpoint
from clsa_mm.checkpoints.whole import flaw_by_hash, has_hash, irregular, saved_at

# What CheckpointHook and InterruptHook write to resume from; best checkpoints have no optimizer.
INTERRUPTED = 'latest_iter_{}.pth'
TEMPLATES = ('epoch_{}.pth', 'iter_{}.pth', INTERRUPTED)
LAST = 'last_checkpoint'


def flaw(path: Path) -> str | None:
    """What is wrong with a file that should be a checkpoint: by its hash, or without one by its own sums.

    Args:
        path: Anything.

    Returns:
        What to say of it; None if it is whole.
    """
    try:
        if (kind := irregular(path)) is not None:
            return kind
        return flaw_by_hash(path) if has_hash(path) else _flaw_by_sums(path)
    except OSError as error:
        return f'unreadable: {error}'


def newest_whole(
    folders: Iterable[Path], template: str = TEMPLATES[0]
) -> tuple[Path | None, dict[Path, str]]:
    """Find the newest whole checkpoint of a run, by the time at which it was written.

    Args:
        folders: Where the run writes: its work dir, and its folder of checkpoints.
        template: ``filename_tmpl`` of the run's CheckpointHook.

    Returns:
        The checkpoint, None if there is none, and those that are newer, with what is wrong with each.
    """
    names = [re.escape(name).replace(r'\{\}', r'\d+') for name in {template, *TEMPLATES}]
    pattern = re.compile('|'.join(names))
    candidates: dict[Path, None] = {}
    for folder in folders:
        if folder.is_dir():
            candidates |= {path: None for path in folder.absolute().iterdir() if pattern.fullmatch(path.name)}
            candidates |= {path: None for path in _named_last(folder)}
    skipped = {}
    for path in sorted(candidates, key=_age, reverse=True):
        if (wrong := flaw(path)) is None:
            return path, skipped
        skipped[path] = wrong
    return None, skipped


def checkpoint_to_resume(
    folders: Iterable[Path], template: str = TEMPLATES[0], wanted: str | None = None
) -> tuple[str | None, list[str]]:
    """The checkpoint that a run goes on from.

    Args:
        folders: Where the run writes.
        template: ``filename_tmpl`` of the run's CheckpointHook.
        wanted: A file or an address that the user asks for. Defaults to the newest that is whole.

    Returns:
        The checkpoint, None if the run has none yet; and what to say of those that were passed over.

    Raises:
        CheckpointError: If the one that is asked for is not whole, or none is. It names the newest whole one.
    """
    if wanted is not None and '://' in wanted:
        return wanted, []
    if wanted is not None:
        path = Path(wanted).expanduser()
        if (wrong := flaw(path)) is None:
            return wanted, []
        newest, _ = newest_whole({path.parent: None, **dict.fromkeys(folders)}, template)
        instead = f'the newest whole one is {newest}' if newest else 'no other is whole either'
        raise CheckpointError(f'{path} cannot be resumed: it is {wrong}. Give another path: {instead}.')
    newest, skipped = newest_whole(folders, template)
    lines = [f'{path}: {wrong}' for path, wrong in skipped.items()]
    if newest is None and skipped:
        raise CheckpointError(
            f'No checkpoint of this run is whole: {"; ".join(lines)}. Put a whole one there, or start anew '
            'in another folder (--work-dir).'
        )
    return (None if newest is None else str(newest)), lines


def _named_last(folder: Path) -> list[Path]:
    """What ``last_checkpoint`` names: it may lie elsewhere, or have another name.

    In the copy of a folder the file of that name is the copy's own, for the run copied from may have gone on.
    """
    last = folder / LAST
    if not last.is_file():
        return []
    with last.open(errors='replace') as file:
        text = file.read(4096).strip()
    if not text or '://' in text or '\0' in text:
        return []
    named = Path(text).absolute()
    own = folder.absolute() / named.name
    return [own if own.exists() else named]


def _age(path: Path) -> tuple[int, str]:
    """When it was written, and for equal times its name; of a link to nothing that of the link."""
    for when in (saved_at, lambda path: path.lstat().st_mtime_ns):
        with suppress(OSError):
            return when(path), path.name
    return 0, path.name


def _flaw_by_sums(path: Path) -> str | None:
    """By the sums of an archive's entries; a file of before torch 1.6 is read."""
    if not path.stat().st_size:
        return 'empty'
    if not is_archive(path):
        try:
            read_checkpoint(path)
        except CheckpointError as error:
            return None if 'could run code' in str(error) else 'cut off, or no checkpoint of torch'
        return None
    try:
        read_archive(path)
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except OSError:
        raise
    except Exception as error:  # a damaged file can raise anything
        return f'cut off or damaged: {error}'
    return f'damaged: the sum of its part {damaged} is another' if damaged else None
