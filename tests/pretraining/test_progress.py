"""What a terminal and a file are shown of a training."""

import io

import pytest
from mmengine.visualization import LocalVisBackend

from clsa_mm.durations import duration
from clsa_mm.pretraining.progress import Progress


class Terminal(io.StringIO):
    """A file that says it is one."""

    encoding = 'utf-8'

    def isatty(self) -> bool:
        return True


class PlainFile(io.StringIO):
    encoding = 'ascii'


def log(folder, step: int, **values: float) -> None:
    backend = LocalVisBackend(save_dir=str(folder / '20260101_000000' / 'vis_data'))
    backend.add_scalars(dict(values, step=step), step=step)


def test_a_terminal_gets_a_bar_with_what_matters(tmp_path, monkeypatch):
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.delenv('NO_COLOR', raising=False)
    monkeypatch.setenv('COLUMNS', '120')
    log(tmp_path, 50, time=0.5, data_time=0.2, loss=8.25)
    out = Terminal()
    assert Progress(tmp_path, steps=200, steps_per_epoch=100, images=64, out=out)() is False
    shown = out.getvalue()
    # 150 steps of half a second are left; 64 / 0.5 images a second; 0.2 of 0.5 s are waiting
    for part in ('epoch 1/2', '25%', '1 min 15 s left', '128 images/s', 'waits for data 40%', 'loss 8.25'):
        assert part in shown
    assert '█' * 6 in shown and '█' * 7 not in shown
    assert '\033[38;5;214m' in shown  # orange: more than a fifth


@pytest.mark.parametrize(
    ('columns', 'shown', 'left_out'),
    [
        (80, 'waits for data 40%', 'loss'),
        (60, '128 images/s', 'waits'),
        (30, '25%', 'left'),
        (500, 'kNN 61.5 %', None),
    ],
)
def test_the_bar_stays_on_one_line_of_the_terminal(tmp_path, monkeypatch, columns, shown, left_out):
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.setenv('NO_COLOR', '1')
    monkeypatch.setenv('COLUMNS', str(columns))
    log(tmp_path, 50, time=0.5, data_time=0.2, loss=8.25, **{'knn/top1': 61.5})
    out = Terminal()
    Progress(tmp_path, 200, 100, 64, out)()
    line = out.getvalue().removeprefix('\r\033[2K')
    assert len(line) < columns and shown in line and '█' in line
    assert left_out is None or left_out not in line


def test_no_colour_where_it_is_not_wanted(tmp_path, monkeypatch):
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.setenv('NO_COLOR', '1')
    log(tmp_path, 50, time=0.5, data_time=0.2, loss=8.25)
    out = Terminal()
    Progress(tmp_path, 200, 100, 64, out)()
    assert '\033[38' not in out.getvalue()


def test_a_file_gets_plain_lines_now_and_then(tmp_path):
    out = PlainFile()
    progress = Progress(tmp_path, 200, 100, 64, out)
    progress()
    assert out.getvalue() == ''  # nothing is logged yet
    for step in (50, 100, 150):
        log(tmp_path, step, time=0.5, data_time=0.0, loss=8.0)
        progress()
    progress.close()
    lines = out.getvalue().splitlines()
    assert len(lines) == 2  # the first, and the last on closing
    assert lines[0].startswith('epoch 1/2 ') and lines[1].startswith('epoch 2/2 ')
    assert '\033' not in out.getvalue() and out.getvalue().isascii()


def test_warnings_of_the_log_are_shown_once_without_those_of_old_names(tmp_path):
    start = tmp_path / '20260101_000000'
    start.mkdir()
    file = start / '20260101_000000.log'
    file.write_text('11/28 10:00:00 - mmengine - WARNING - of an earlier start\n')
    out = PlainFile()
    progress = Progress(tmp_path, 200, 100, 64, out)
    with file.open('a') as text:
        text.write('11/28 10:00:01 - mmengine - WARNING - "FileClient" will be deprecated\n')
        text.write('11/28 10:00:01 - mmengine - INFO - all is well\n')
        text.write('11/28 10:00:02 - mmengine - WARNING - a corrupt file \x1b[2J\n')
        text.write('11/28 10:00:03 - mmengine - WARNING - half a li')
    progress()
    progress()
    assert out.getvalue() == 'warning: a corrupt file \\x1b[2J\n'


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [
        (0, '0 s'),
        (59.6, '1 min 0 s'),
        (7500, '2 h 5 min'),
        (90_000, '1 d 1 h'),
        (-3, '0 s'),
        (75, '1 min 15 s'),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
