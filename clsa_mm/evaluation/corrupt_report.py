"""Lists of corrupt files: of all ranks together, as a file, and in a few words."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from clsa_mm.checkpoints.unfinished import write_text
from clsa_mm.datasets.corrupt_files import CorruptFile
from clsa_mm.printable import printable


def merged(reports: Iterable[Mapping[str, Iterable[CorruptFile]]]) -> dict[str, list[CorruptFile]]:
    """The ranks' files as one list for each data set, sorted; without data sets that have none.

    Args:
        reports: Of each rank, data set to files.
    """
    together: dict[str, set[CorruptFile]] = {}
    for report in reports:
        for name, files in report.items():
            together.setdefault(name, set()).update(files)
    return {name: sorted(files) for name, files in together.items() if files}


def by_kind(files: Iterable[CorruptFile]) -> dict[str, list[str]]:
    """Paths by kind.

    Args:
        files: Any.
    """
    kinds: dict[str, list[str]] = {}
    for path, kind in files:
        kinds.setdefault(kind, []).append(path)
    return kinds


def write_report(path: Path, found: Mapping[str, Iterable[CorruptFile]]) -> Path:
    r"""Write ``{data set: {kind: [paths]}}`` as JSON, whole or not at all.

    Bytes of a name that are no UTF-8 stand as ``\udc80`` to ``\udcff``, as Python reads them (PEP 383).

    Args:
        path: The file.
        found: Files by data set.

    Returns:
        The path.
    """
    write_text(path, json.dumps({name: by_kind(files) for name, files in found.items()}, indent=2) + '\n')
    return path


def summary(found: Mapping[str, Iterable[CorruptFile]]) -> str:
    """One line for each data set: how many files of each kind, and the first of each.

    Args:
        found: Files by data set.
    """
    lines = []
    for name, files in found.items():
        numbers = Counter(kind for _, kind in files)
        kinds = [
            f'{numbers[kind]} x {kind!r} (first: {printable(paths[0])})'
            for kind, paths in by_kind(files).items()
        ]
        lines.append(f'Corrupt files of {name}: {", ".join(kinds)}.')
    return '\n'.join(lines)
