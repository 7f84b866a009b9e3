"""Where a file cannot be written: waiting for it, and what to do about it."""

import errno
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from mmengine.logging import print_log

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENOTCONN, errno.ENODEV}


def with_patience(write: Callable[[], None], retries: int, seconds: float) -> None:
    """Write, and where the system refuses wait and try again; each time the log says so.

    Args:
        write: Leaves nothing half done where it fails.
        retries: How often to try again, 0 or more.
        seconds: To wait before each.

    Raises:
        OSError: Of the last try.
    """
    for left in range(retries, -1, -1):
        try:
            return write()
        except OSError as error:
            if not left:
                raise
            print_log(
                f'{error} Trying again in {seconds:g} s; {left} of {retries} tries left.',
                logger='current',
                level=logging.WARNING,
            )
            time.sleep(seconds)


def remedy(error: OSError, folder: Path) -> str:
    """What to do where files of a folder cannot be written.

    Args:
        error: What was raised; its cause is the system's own.
        folder: Where the file should have gone.
    """
    cause = error if error.errno is not None else error.__cause__
    number = getattr(cause, 'errno', None)
    if number in _FULL:
        free = f' ({shutil.disk_usage(folder).free / 1e6:.0f} MB are free)' if folder.is_dir() else ''
        return f'Make room on the disk of {folder}{free}, or keep fewer checkpoints (max_keep_ckpts).'
    if number in _FORBIDDEN:
        return f'Make {folder} writable.'
    if number in _GONE:
        return f'{folder} was there at the start: mount its disk again, or put the folder back.'
    if number == errno.EFBIG:
        return 'The file is larger than this process may write: raise that limit (ulimit -f).'
    return f'See to the disk of {folder}.'
