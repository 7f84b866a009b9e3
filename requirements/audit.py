"""Compare an environment with the lock, and its files with what was installed; needs no network.

Run by the interpreter of the environment: ``.venv/bin/python requirements/audit.py`` (``make audit``). Each
difference is a line, and the exit status is 1 if there is any. It tells what was changed since the
installation (by a person, another installation, a fault of the disk); who can change files can change RECORD
with them.
"""

import argparse
import base64
import csv
import hashlib
import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

LOCK = Path(__file__).parent / 'lock.txt'
OWN = 'clsa-mm'
RUN_BY_PYTHON = ('.py', '.pth', '.so')


def canonical(name: str) -> str:
    """A distribution's name as all spellings of it become (PEP 503)."""
    return re.sub(r'[-_.]+', '-', name).lower()


def read_lock(path: Path) -> dict[str, str]:
    """Name to version.

    Args:
        path: Lines ``name==version``.
    """
    return {
        canonical(name): version for name, _, version in (x.partition('==') for x in path.read_text().split())
    }


def versions_that_differ(installed: list[Distribution], lock: dict[str, str]) -> Iterator[str]:
    """What is installed in another version than the lock's, or is not in it.

    Args:
        installed: The environment's.
        lock: Name to version.
    """
    for distribution in installed:
        name = canonical(distribution.metadata['Name'])
        if name not in lock:
            yield f'{name} {distribution.version}: not in the lock'
        elif distribution.version.partition('+')[0] != lock[name]:
            yield f'{name} {distribution.version}: the lock has {lock[name]}'


def files_that_differ(installed: list[Distribution]) -> Iterator[str]:
    """Files that are gone, changed since their installation, or of no distribution.

    Of a file that two distributions bring, either content is right.

    Args:
        installed: The environment's.
    """
    recorded: dict[Path, set[str]] = {}
    owners: dict[Path, str] = {}
    for distribution in installed:
        for file, file_hash in files_of(distribution):
            path = Path(distribution.locate_file(file)).resolve()
            owners[path] = distribution.metadata['Name']
            recorded.setdefault(path, set())
            if file_hash:
                recorded[path].add(file_hash)
    for path, hashes in recorded.items():
        if path.suffix == '.pyc':  # Python makes these anew from the sources
            continue
        if not path.exists():
            yield f'{owners[path]}: {path} is gone'
        elif hashes and path.is_file() and not hashes & {hash_of(path, h.partition('=')[0]) for h in hashes}:
            yield f'{owners[path]}: {path} is not as it was installed'
    roots = {Path(distribution.locate_file('')).resolve() for distribution in installed}
    for root in sorted(roots):
        for path in root.rglob('*'):
            if path.suffix in RUN_BY_PYTHON and path.resolve() not in recorded and path.is_file():
                yield f'{path} is of no distribution'


def files_of(distribution: Distribution) -> Iterator[tuple[str, str]]:
    """Name and hash of each file in RECORD; Python 3.12 leaves those that are gone out of ``files``.

    Args:
        distribution: Installed by pip.
    """
    for name, file_hash, _ in csv.reader((distribution.read_text('RECORD') or '').splitlines()):
        yield name, file_hash


def hash_of(path: Path, mode: str) -> str:
    """``mode=value`` as RECORD has it (PEP 376): url-safe base64 without padding.

    Args:
        path: A file.
        mode: Name of the hash function.
    """
    with open(path, 'rb') as file:
        digest = (
            hashlib.file_digest(file, mode) if sys.version_info >= (3, 11) else hashlib.new(mode, file.read())
        )
    return f'{mode}={base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()}'


def main() -> None:
    """Print the differences."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--lock', type=Path, default=LOCK, help='(%(default)s)')
    parser.add_argument('--path', action='append', help="site-packages to look at, instead of this Python's")
    args = parser.parse_args()
    found = {} if args.path is None else dict(path=args.path)
    everything = list(distributions(**found))
    installed = [d for d in everything if canonical(d.metadata['Name']) != OWN]
    differences = [*versions_that_differ(installed, read_lock(args.lock)), *files_that_differ(everything)]
    for line in differences:
        print(ascii(line)[1:-1])
    print(f'{len(installed)} distributions, {len(differences)} differences')
    raise SystemExit(bool(differences))


if __name__ == '__main__':
    main()
