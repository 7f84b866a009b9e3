"""Files that are whole or not there: written in one step, and a checkpoint with its hash beside it."""

import hashlib
import os
import re
from errno import ENOENT
from pathlib import Path

from clsa_mm.checkpoints.unfinished import unfinished

# `sha256sum --check` reads such a file too, and skips the comment.
_RECORD = re.compile(r'# saved (\d+)\n([0-9a-f]{64})  .*\n')
_RECORD_SIZE = 4096


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a kill or a power cut at any moment leaves the old content or the new.

    Args:
        path: The file; its folder has to be there.
        content: What to write.

    Raises:
        OSError: If the system refuses a step; its cause is the system's own. The old content stays.
    """
    _replace(path, content)


def write_checkpoint_bytes(path: Path, content: bytes) -> None:
    """Write a checkpoint whole, and after it its sha256 and time to :func:`hash_file`.

    The hash of a file that is replaced goes first, so that at no moment one of other content is there; a
    checkpoint that a kill left without is told by the sums in it.

    Args:
        path: The file; its folder has to be there.
        content: What ``torch.save`` made.

    Raises:
        OSError: As of :func:`write_whole`.
    """
    record = hash_file(path)
    _replace(path, content, outdated=record)
    digest = hashlib.sha256(content).hexdigest()
    _replace(record, f'# saved {path.stat().st_mtime_ns}\n{digest}  {path.name}\n'.encode())


def remove_checkpoint(path: Path) -> None:
    """Remove a checkpoint and its hash, where they are."""
    path.unlink(missing_ok=True)
    hash_file(path).unlink(missing_ok=True)


def hash_file(path: Path) -> Path:
    """Where the hash of a checkpoint stands: ``epoch_1.pth.sha256``."""
    return path.with_name(f'{path.name}.sha256')


def has_hash(path: Path) -> bool:
    """Whether a hash to check a checkpoint by stands beside it."""
    return _read_record(path) is not None


def saved_at(path: Path) -> int:
    """When a checkpoint was written, in nanoseconds; a copy has the time of the original."""
    record = _read_record(path)
    return record[0] if record else path.stat().st_mtime_ns


def flaw_by_hash(path: Path) -> str | None:
    """What is wrong with a checkpoint by the hash beside it.

    Args:
        path: A regular file.

    Returns:
        What to say of it; None if it is as it was written, or if there is no hash.
    """
    record = _read_record(path)
    if record is None:
        return None
    found = file_sha256(path)
    if found == record[1]:
        return None
    return (
        f'damaged or changed since it was written: its sha256 starts with {found[:8]}, and '
        f'{hash_file(path).name} says {record[1][:8]}'
    )


def irregular(path: Path) -> str | None:
    """What a path is that is no regular file, links followed; None for a file."""
    if path.is_file():
        return None
    if path.is_dir():
        return 'a folder, not a file'
    if path.exists():
        return 'a pipe or a device, not a file'
    return 'a link to nothing' if path.is_symlink() else 'not there'


def file_sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _replace(path: Path, content: bytes, outdated: Path | None = None) -> None:
    """Put a file in its place; remove what is outdated by it when it is on the disk, and before it shows."""
    if not path.parent.is_dir():  # not made again: the disk that it was on may be gone
        missing = FileNotFoundError(ENOENT, os.strerror(ENOENT), str(path.parent))
        raise OSError(f'{path} cannot be written: {missing}.') from missing
    with unfinished(path) as part:
        with part.open('wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if outdated is not None and outdated.exists():
            outdated.unlink()
            _sync_folder(path.parent)
        part.replace(path)
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Let the names in a folder survive a power cut, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_record(path: Path) -> tuple[int, str] | None:
    """Time and hash that stand beside a checkpoint."""
    record = hash_file(path)
    if not record.is_file():
        return None
    with record.open('rb') as file:
        found = _RECORD.fullmatch(file.read(_RECORD_SIZE).decode(errors='replace'))
    return (int(found[1]), found[2]) if found else None
