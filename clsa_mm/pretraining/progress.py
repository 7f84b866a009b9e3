"""How far a training is, for people who look at a terminal or a file."""

import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from clsa_mm.durations import duration
from clsa_mm.given_numbers import check_numbers
from clsa_mm.printable import printable
from clsa_mm.visualization.run_log import parse_row

_BAR, _LEAST_BAR = 24, 4
# Seconds between two lines where the output is no terminal.
_LINE_SECONDS = 30.0
# Those of the libraries about their own parts are of no use to who runs a training.
_WARNING = re.compile(r' - mmengine - (WARNING|ERROR) - ((?!.*\b(?:deprecated|alias)\b).*)')
# Blue and orange of Okabe and Ito's palette, which all kinds of colour vision tell apart.
_BLUE, _ORANGE, _PLAIN = '\033[38;5;32m', '\033[38;5;214m', '\033[0m'


class Progress:
    """Shows a bar that is drawn anew in a terminal, plain lines elsewhere, and the log's warnings.

    Args:
        work_dir: Of the training, whose log is read.
        steps: Of the whole training.
        steps_per_epoch: Of an epoch.
        images: Of a step, over all processes.
        out: Where it is shown. Defaults to the standard output.
    """

    def __init__(
        self, work_dir: Path, steps: int, steps_per_epoch: int, images: int, out: TextIO | None = None
    ) -> None:
        check_numbers(
            'Progress', whole=True, low=1, steps=steps, steps_per_epoch=steps_per_epoch, images=images
        )
        self.work_dir = work_dir
        self.steps = steps
        self.steps_per_epoch = steps_per_epoch
        self.images = images
        self.out = out or sys.stdout
        self.terminal = self.out.isatty() and os.environ.get('TERM') != 'dumb'
        self.colour = self.terminal and 'NO_COLOR' not in os.environ
        self._shown: str | None = None
        self._latest: dict[str, tuple[int, float]] = {}
        self._last_line = float('-inf')
        self._read = {file: file.stat().st_size for file in work_dir.glob('*/*.log')}

    def __call__(self) -> bool:
        """Show what is new.

        Returns:
            False: a look does not end the training.
        """
        self._show_warnings()
        for line in self._new_lines('*/vis_data/scalars.json'):
            if (row := parse_row(line)) is not None:
                step, values = row
                self._latest |= {name: (step, value) for name, value in values.items()}
        if 'time' not in self._latest or 'loss' not in self._latest:
            return False
        now = time.monotonic()
        # A line that wraps would not be drawn over, but pushed up again and again.
        width = shutil.get_terminal_size().columns - 1 if self.terminal else None
        text = self.line(self._latest, width)
        if self.terminal:
            if text != self._shown:
                self._write(f'\r\033[2K{text}', end='')
        elif now - self._last_line >= _LINE_SECONDS:
            self._last_line = now
            self._write(text)
        self._shown = text
        return False

    def close(self) -> None:
        """Show the last state, and leave it there."""
        if self.terminal and self._shown is not None:
            self._write('')
        elif self._shown is not None:
            self._write(self._shown)

    def line(self, latest: dict[str, tuple[int, float]], width: int | None = None) -> str:
        """What is shown of the latest figures.

        Args:
            latest: Name of a figure -> (step, value).
            width: Columns that there are; where they do not suffice, what matters least is left out.
                Defaults to None: as many as it takes.
        """
        step, seconds = latest['time']
        done = min(1.0, step / self.steps)
        epochs = self.steps // self.steps_per_epoch
        title, share = f'epoch {min(-(-step // self.steps_per_epoch), epochs)}/{epochs} ', f' {done:.0%}'
        waiting = latest['data_time'][1] / max(seconds, 1e-9)
        parts = [
            f'{duration((self.steps - step) * seconds)} left',
            f'{self.images / max(seconds, 1e-9):.0f} images/s',
            waits := f'waits for data {waiting:.0%}',
            f'loss {latest["loss"][1]:.2f}',
        ]
        if 'knn/top1' in latest:
            parts.append(f'kNN {latest["knn/top1"][1]:.1f} %')

        def room() -> int:
            return _BAR if width is None else width - len('  '.join([title + share, *parts]))

        while parts and room() < _LEAST_BAR:
            parts.pop()
        cells = max(0, min(_BAR, room()))
        filled = round(done * cells)
        bar = self._painted('█' * filled, _BLUE) + '░' * (cells - filled)
        painted = {waits: self._painted(waits, _ORANGE)} if waiting > 0.2 else {}
        return '  '.join([title + bar + share, *(painted.get(part, part) for part in parts)])

    def _show_warnings(self) -> None:
        for line in self._new_lines('*/*.log'):
            if match := _WARNING.search(line):
                start = '\r\033[2K' if self.terminal else ''
                self._write(f'{start}{self._painted(match[1].lower(), _ORANGE)}: {printable(match[2])}')
                self._shown = None

    def _new_lines(self, pattern: str) -> Iterator[str]:
        """The whole lines that files of the work dir have got since the last call."""
        for file in sorted(self.work_dir.glob(pattern)):
            with file.open('rb') as log:
                log.seek(self._read.get(file, 0))
                new = log.read()
            whole = new[: new.rfind(b'\n') + 1]
            self._read[file] = self._read.get(file, 0) + len(whole)
            yield from whole.decode(errors='replace').splitlines()

    def _painted(self, text: str, colour: str) -> str:
        return f'{colour}{text}{_PLAIN}' if self.colour else text

    def _write(self, text: str, end: str = '\n') -> None:
        encoding = self.out.encoding or 'ascii'
        self.out.write(text.encode(encoding, 'replace').decode(encoding) + end)
        self.out.flush()
