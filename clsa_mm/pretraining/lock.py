"""One run at a time in a folder."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# A training whose parent was killed saves and ends within an iteration or some.
_PATIENCE = 60.0


@contextmanager
def locked(
    folder: Path, patience: float = _PATIENCE, tell: Callable[[str], None] = lambda line: None
) -> Iterator[int]:
    """Keep others out, until this process and those that it hands the lock to have ended in whatever way.

    Args:
        folder: Made where there is none.
        patience: Seconds to wait for others. Defaults to 60.
        tell: Takes the line that says so. Defaults to saying nothing.

    Yields:
        The descriptor to hand on (``pass_fds`` of ``subprocess``).

    Raises:
        RuntimeError: If another process stays in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + patience
    told = False
    with (folder / '.lock').open('w') as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise RuntimeError(
                        f'another process works in {folder.absolute()}: wait for it, end it, or give another '
                        'folder'
                    ) from None
                if not told:
                    tell(f'Another process works in {folder}: waiting up to {patience:.0f} s for its end.')
                    told = True
                time.sleep(0.2)
        yield file.fileno()
