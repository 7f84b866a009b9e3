"""What Linux says of processes: memory, open files, threads, children. Needs no package besides Python."""

from pathlib import Path


def memory(pid: int) -> dict[str, float]:
    """MiB of a process: ``resident`` in all, ``anonymous`` and ``own`` of what it has not read from files.

    Pages that processes share after a fork count in ``own`` in part, so that it rises where another process
    writes to them or ends; in the others in full. Processes that use the same libraries change no figure.

    Args:
        pid: A running process's.

    Raises:
        OSError: If it has ended.
    """
    fields = {}
    for line in Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()[1:]:
        name, value, *_ = line.split()
        fields[name.rstrip(':')] = int(value) / 1024
    return dict(resident=fields['Rss'], anonymous=fields['Anonymous'], own=fields['Pss_Anon'])


def open_files(pid: int) -> int:
    """Number of file handles, pipes and sockets too."""
    return len(list(Path(f'/proc/{pid}/fd').iterdir()))


def threads(pid: int) -> int:
    """Number of threads."""
    return len(list(Path(f'/proc/{pid}/task').iterdir()))


def children() -> dict[int, list[int]]:
    """Children of each process that has some."""
    found: dict[int, list[int]] = {}
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            state, parent, *_ = stat.read_text().rpartition(')')[2].split()
        except OSError:
            continue  # it has ended meanwhile
        if state != 'Z':
            found.setdefault(int(parent), []).append(int(stat.parent.name))
    return found


def shared_memory() -> tuple[int, float]:
    """Number of files in /dev/shm, and MiB that are used there."""
    files = [path for path in Path('/dev/shm').rglob('*') if path.is_file()]
    used = next(
        int(line.split()[1]) / 1024
        for line in Path('/proc/meminfo').read_text().splitlines()
        if line.startswith('Shmem:')
    )
    return len(files), used
