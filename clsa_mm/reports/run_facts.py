"""What the files of a work dir tell about a run. They are read, and nothing of them is executed."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from clsa_mm.checkpoints.newest import newest_whole
from clsa_mm.datasets.corrupt_files import REPORT
from clsa_mm.visualization.run_log import RunLog, plain_json, read_run

_LINE = re.compile(r'(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) - \S+ - (\w+) - ?(.*)')
_ENTRY = re.compile(r'    ([A-Z][\w .,]*|sys\.platform|cudnn_benchmark|numpy_random_seed): (.*)')
_BATCH = re.compile(
    r'Effective batch: (\d{1,15}) images per optimizer step.*; (\d{1,15}) images, (\d{1,15}) iterations'
)
_SKIPPED = re.compile(r'is not finite in iteration \d+, which is skipped')
_NOISE = re.compile(r'FileClient|HardDiskBackend')
_MOST_WARNINGS = 20
_DATASET = 'train_dataloader.dataset.'


@dataclass(frozen=True)
class RunFacts:
    """A run for the report.

    Attributes:
        name: What the report calls it.
        log: Its figures and settings.
        environment: Of the head of the first log: ``Python``, ``PyTorch``, ``GPU 0``, ....
        start: Of the first start; None if no log tells.
        seconds: Between the first and the last line of each start's log, added up; 0 if no log tells.
        batch: Images per optimizer step; None if no log tells, as of the next two.
        images: Of the training set.
        iterations_per_epoch: Of a process.
        skipped: Iterations that were skipped for values that are not finite.
        warnings: Other warnings and errors of the log, each once, with how often it came.
        corrupt: Kind -> number of corrupt files.
        checkpoint: The newest whole one, or None.
        damaged: Newer checkpoints that are not whole, with what is wrong.
        linear: What linear evaluations have left, by the name of the file.
    """

    name: str
    log: RunLog
    environment: Mapping[str, str]
    start: datetime | None
    seconds: float
    batch: int | None
    images: int | None
    iterations_per_epoch: int | None
    skipped: int
    warnings: Mapping[str, int]
    corrupt: Mapping[str, int]
    checkpoint: Path | None
    damaged: Mapping[Path, str]
    linear: Mapping[str, dict]

    def setting(self, name: str, default: object = None) -> object:
        """A setting of the run by its full name."""
        return self.log.settings.get(name, default)

    def data_setting(self, name: str) -> object:
        """A setting of the training set, inside wrappers of it too."""
        inside = f'{_DATASET}dataset.'
        return self.setting(_DATASET + name, self.setting(inside + name))

    def values(self, name: str) -> list[float]:
        """The finite values of a figure, in order; [] if it was not logged."""
        return [value for _, value in self.log.scalars.get(name, ()) if math.isfinite(value)]

    @property
    def iterations(self) -> int:
        """The last step that anything was logged at."""
        return max((points[-1][0] for points in self.log.scalars.values()), default=0)

    @property
    def seconds_per_iteration(self) -> float | None:
        """Mean of the logged times."""
        times = self.values('time')
        return sum(times) / len(times) if times else None

    @property
    def waiting(self) -> float | None:
        """Share of the time that went into waiting for data, 0 to 1."""
        times, waits = self.values('time'), self.values('data_time')
        return sum(waits) / sum(times) if sum(times) and len(waits) == len(times) else None


def read_facts(folders: Sequence[str | Path]) -> list[RunFacts]:
    """Read runs.

    Args:
        folders: Their work dirs.

    Raises:
        FileNotFoundError: If one of them has no log.
    """
    logs = [read_run(folder) for folder in folders]
    return [_facts(log, name) for log, name in zip(logs, _names(logs), strict=True)]


def _names(logs: Sequence[RunLog]) -> list[str]:
    """The shortest ends of the paths that tell runs apart, and are no mere numbers, as those of seeds are."""
    parts = [log.place.parts[1:] for log in logs]
    for length in range(1, max(map(len, parts)) + 1):
        names = ['/'.join(path[-length:]) for path in parts]
        if len(set(names)) == len(names) and not any(name.isdecimal() for name in names):
            return names
    return ['/'.join(path) for path in parts]


def _facts(log: RunLog, name: str) -> RunFacts:
    environment: dict[str, str] = {}
    lines: list[tuple[datetime, str, str]] = []
    seconds = 0.0
    for file in log.log_files:
        own, head = _read_log(file)
        environment = environment or head
        seconds += (own[-1][0] - own[0][0]).total_seconds() if own else 0
        lines += own
    batch = next((found for _, _, text in reversed(lines) if (found := _BATCH.match(text))), None)
    warned = Counter(text for _, level, text in lines if level in ('WARNING', 'ERROR', 'CRITICAL'))
    warnings = {t: n for t, n in warned.items() if not (_SKIPPED.search(t) or _NOISE.search(t))}
    checkpoint, damaged = newest_whole([log.folder])
    return RunFacts(
        name=name,
        log=log,
        environment=environment,
        start=lines[0][0] if lines else None,
        seconds=seconds,
        batch=int(batch[1]) if batch else None,
        images=int(batch[2]) if batch else None,
        iterations_per_epoch=int(batch[3]) if batch else None,
        skipped=sum(number for text, number in warned.items() if _SKIPPED.search(text)),
        warnings=dict(list(warnings.items())[:_MOST_WARNINGS]),
        corrupt=_corrupt(log.folder / REPORT),
        checkpoint=checkpoint,
        damaged=damaged,
        linear={path.name: found for path in sorted(log.folder.glob('*.json')) if (found := _linear(path))},
    )


def _read_log(file: Path) -> tuple[list[tuple[datetime, str, str]], dict[str, str]]:
    """Time, level and text of each line that has them, and what mmengine's head says of the environment."""
    lines, head = [], {}
    with file.open(errors='replace') as text:
        for line in text:
            if (found := _LINE.match(line)) and (when := _time(found[1])):
                lines.append((when, found[2], found[3].strip()))
            elif len(lines) < 2 and (found := _ENTRY.match(line)):
                head.setdefault(found[1], found[2].strip())
    return lines, {name: value for name, value in head.items() if value}


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, '%Y/%m/%d %H:%M:%S')
    except ValueError:
        return None


def _corrupt(path: Path) -> dict[str, int]:
    kinds: Counter[str] = Counter()
    found = _read_json(path)
    for files in found.values() if isinstance(found, dict) else ():
        for kind, paths in files.items() if isinstance(files, dict) else ():
            kinds[kind] += len(paths) if isinstance(paths, list) else 0
    return dict(+kinds)  # those that came


def _linear(path: Path) -> dict | None:
    """What tools/linear_sweep.py writes, if it is that; settings that failed are left out."""
    found = _read_json(path)
    results = found.get('results') if isinstance(found, dict) else None
    rows = results if isinstance(results, list) else []
    rows = [row for row in rows if isinstance(row, dict) and isinstance(row.get('scores'), dict)]
    return found | dict(results=rows) if rows else None


def _read_json(path: Path) -> object:
    try:
        return plain_json(path.read_text(errors='replace')) if path.is_file() else None
    except OSError:
        return None
