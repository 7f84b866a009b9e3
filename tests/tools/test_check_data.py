"""tools/check_data.py as a user runs it, and the processes that it works in."""

import json
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bad_images import RGB, write_files
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader

from clsa_mm.datasets import ImageFolder
from clsa_mm.datasets.isolated import each_isolated

ROOT = Path(__file__).parents[2]


def check(*args: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / 'tools/check_data.py'), *map(str, args), '--workers', '2']
    return subprocess.run(command, capture_output=True, text=True, timeout=200)


def test_the_good_list_trains_and_the_bad_ones_are_told(tmp_path: Path) -> None:
    folder = tmp_path / 'images'
    good, kinds = write_files(folder)
    Image.fromarray(RGB).save(folder / ' line\nbreak.png')
    kinds[' line\nbreak.png'] = 'name no list can hold'
    done = check(folder, '--out', tmp_path / 'out', '--strict')
    assert done.returncode == 1, done.stderr
    report = json.loads((tmp_path / 'out/corrupt_files.json').read_text())[str(folder)]
    assert {os.path.relpath(p, folder): kind for kind, paths in report.items() for p in paths} == kinds
    assert f'{len(good)} good files, {len(kinds)} bad ones' in done.stdout
    assert '  too large         5   first: ' in done.stdout and '\x1b' not in done.stdout
    assert f'{len(good) + len(kinds) - 3}/' in done.stderr  # of those that the scan takes for images
    dataset = ImageFolder(
        str(folder),
        ann_file=str(tmp_path / 'out/images.txt'),
        pipeline=[dict(type='LoadImage')],
        max_corrupt=0,
    )
    loader = DataLoader(dataset, batch_size=4, collate_fn=pseudo_collate)
    shown = [os.path.relpath(path, folder) for batch in loader for path in batch['img_path']]
    assert sorted(shown) == sorted(good) and not dataset.num_corrupt
    again = check(folder, '--list', tmp_path / 'out/images.txt', '--out', tmp_path / 'again', '--strict')
    assert again.returncode == 0, again.stderr
    assert (tmp_path / 'again/images.txt').read_bytes() == (tmp_path / 'out/images.txt').read_bytes()
    assert json.loads((tmp_path / 'again/corrupt_files.json').read_text()) == {}


def test_nested_folders_and_several_of_them(tmp_path: Path) -> None:
    for name in ('one/cat/deep/1.png', 'one/dog/2.JPEG', 'two/3.webp'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RGB).save(tmp_path / name)
    (tmp_path / 'two/4.jpg').write_bytes(b'')
    done = check(tmp_path / 'one', tmp_path / 'two', '--out', tmp_path / 'out')
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'out/one.txt').read_text() == 'cat/deep/1.png\ndog/2.JPEG\n'
    assert (tmp_path / 'out/two.txt').read_text() == '3.webp\n'
    report = json.loads((tmp_path / 'out/corrupt_files.json').read_text())
    assert report == {str(tmp_path / 'two'): {'empty': [str(tmp_path / 'two/4.jpg')]}}


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['nowhere'], 'The image folder .*nowhere does not exist'),
        (['.', '--workers', '0'], '--workers 0 must be at least 1'),
        (['a/x', 'b/x'], 'two folders would write the same list: x.txt, x.txt'),
        (['.', '--max-pixels', '0'], 'max_pixels=0 must lie in 1..'),
    ],
)
def test_wrong_arguments(
    args: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    Image.fromarray(RGB).save(tmp_path / '1.png')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['check_data.py', *args, '--out', 'out'])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(ROOT / 'tools/check_data.py'), run_name='__main__')
    assert re.search(message, f'{caught.value} {capsys.readouterr().err}')


def _work(item: str) -> str:
    if item == 'crash':
        os.kill(os.getpid(), signal.SIGKILL)
    if item == 'hang':
        time.sleep(600)
    if item == 'error':
        raise TypeError('a fault')
    return item.upper()


@pytest.mark.parametrize('workers', [1, 3])
def test_processes_that_die_or_hang(workers: int) -> None:
    items = ['a', 'crash', 'b', 'hang', 'c', 'crash']
    found = {o.index: (o.state, o.result) for o in each_isolated(_work, items, workers, timeout=3.0)}
    crash = ('crash', -signal.SIGKILL)
    assert found == {
        0: ('done', 'A'),
        1: crash,
        2: ('done', 'B'),
        3: ('hang', 3.0),
        4: ('done', 'C'),
        5: crash,
    }


def test_faults_of_the_function_go_through() -> None:
    with pytest.raises(RuntimeError, match='item 1: TypeError: a fault'):
        list(each_isolated(_work, ['a', 'error'], 1, timeout=9.0))
    with pytest.raises(ValueError, match='workers=0 must be at least 1 and timeout=1 above 0'):
        list(each_isolated(_work, [], 0, timeout=1))
