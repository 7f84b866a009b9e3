"""One run at a time in a folder."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep others out; the system lets go of it when this process ends, in whatever way.

    Args:
        folder: Made where there is none.

    Raises:
        RuntimeError: If another process is in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / '.lock').open('w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(
                f'another process works in {folder.absolute()}: wait for it, end it, or give another folder'
            ) from None
        yield
