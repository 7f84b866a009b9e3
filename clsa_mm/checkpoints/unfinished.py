"""Writing a file or a folder whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Lend a name beside ``path`` to write to; who wrote all renames it. What fails leaves nothing behind.

    Args:
        path: The file or folder that is to be. Its folder is made where there is none.

    Yields:
        The name to write to, in the same folder.

    Raises:
        OSError: If the system refuses a step: no permission, a full disk, a file for a folder.
    """
    new_folders: list[Path] = []
    part = path.with_name(f'.{path.name}.{os.getpid()}.unfinished')
    try:
        new_folders += [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        for remove in (part.unlink, *(folder.rmdir for folder in new_folders)):
            with suppress(OSError):
                remove()
        # torch's writer covers the system's error with one of its own.
        cause = error.__context__ if isinstance(error, RuntimeError) else error
        if not isinstance(cause, OSError) or cause.errno is None:
            raise
        raise OSError(f'{path} cannot be written: {cause}. Mend that, or give another path.') from error


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Args:
        path: The file. Its folder is made where there is none.
        text: What to write.

    Raises:
        OSError: As of :func:`unfinished`.
    """
    with unfinished(path) as part:
        part.write_text(text)
        part.replace(path)
