"""The figures and settings that a run has written into its work dir."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clsa_mm.checkpoints.config_text import settings_of
from clsa_mm.checkpoints.read import CheckpointError

# Named by mmengine after the time of a start.
_START = re.compile(r'\d{8}_\d{6}')
# Of a whole number that a float holds exactly.
_DIGITS = 15


@dataclass(frozen=True)
class RunLog:
    """What a run has logged, in all its starts.

    Attributes:
        folder: The work dir.
        scalars: Name of a figure -> (step, value) in the order of steps. Steps of training and of hooks are
            iterations from 1 on; those of a validation loop are what mmengine gives, epochs.
        settings: Full name of each setting of the last start -> its value.
        starts: The folders of the starts, in order.
    """

    folder: Path
    scalars: Mapping[str, list[tuple[int, float]]] = field(repr=False)
    settings: Mapping[str, object] = field(repr=False)
    starts: list[Path]

    @property
    def place(self) -> Path:
        """What names the run: its folder, or of one called ``run``, as by pretrain, that around it."""
        folder = self.folder.resolve()
        return folder.parent if folder.name == 'run' else folder

    @property
    def name(self) -> str:
        """The last name of its place."""
        return self.place.name

    @property
    def log_files(self) -> list[Path]:
        """The text logs of the main process that are there."""
        return [file for start in self.starts if (file := start / f'{start.name}.log').is_file()]


def read_run(folder: str | Path) -> RunLog:
    """Read the log of a run. Nothing of it is executed.

    What a resumed run repeats counts once: of several values of a figure at a step, the last start's.

    Args:
        folder: The work dir, or that of a pretraining from a folder of images, which has one called ``run``.

    Returns:
        The log. A line that is cut off, as a run leaves that is killed, is left out.

    Raises:
        FileNotFoundError: If there is no log in it.
        ValueError: If the last start's config is none.
    """
    folder = Path(folder)
    if not (starts := _starts(folder)) and (starts := _starts(folder / 'run')):
        folder = folder / 'run'
    files = [file for start in starts if (file := start / 'vis_data' / 'scalars.json').is_file()]
    if not files:
        raise FileNotFoundError(
            f'{folder.absolute()} has no log of a run, DATE_TIME/vis_data/scalars.json: give the work dir '
            'of a training that has logged something, by the LocalVisBackend of our configs'
        )
    scalars: dict[str, dict[int, float]] = {}
    for file in files:
        for name, values in _read_scalars(file).items():
            # What an earlier start had logged beyond the point that this one goes on from has not happened.
            kept = {step: value for step, value in scalars.get(name, {}).items() if step < min(values)}
            scalars[name] = kept | values
    configs = [file for start in starts if (file := start / 'vis_data' / 'config.py').is_file()]
    settings = _read_settings(configs[-1]) if configs else {}
    ordered = {name: sorted(values.items()) for name, values in scalars.items()}
    return RunLog(folder, ordered, settings, starts)


def _starts(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob('*') if _START.fullmatch(path.name) and path.is_dir())


def parse_row(line: str) -> tuple[int, dict[str, float]] | None:
    """Step and figures of a line of ``scalars.json``; None of one that is cut off or of another kind."""
    row = plain_json(line)
    if not isinstance(row, dict) or not isinstance(row.get('step'), int):
        return None
    values = {
        name: float(value)
        for name, value in row.items()
        if name not in ('step', 'iter') and isinstance(value, int | float)
    }
    return row['step'], values


def plain_json(text: str) -> object:
    """What a text in JSON holds; None if it is none. Whole numbers of more than 15 digits become floats.

    Args:
        text: Of whatever origin.
    """
    try:
        return json.loads(text, parse_int=lambda digits: (int if len(digits) <= _DIGITS else float)(digits))
    except (ValueError, RecursionError):
        return None


def _read_settings(file: Path) -> dict[str, object]:
    try:
        return settings_of(file.read_text(errors='replace'))
    except CheckpointError as error:
        raise ValueError(f'{file} is no config as mmengine writes it: remove it. {error}') from error


def _read_scalars(file: Path) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for step, values in filter(None, map(parse_row, file.read_text(errors='replace').splitlines())):
        for name, value in values.items():
            found.setdefault(name, {})[step] = value
    return found
