"""``make demo`` from end to end, on few pictures and for one epoch."""

import contextlib
import importlib
import io
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import pytest

from clsa_mm.datasets.embedded import generate_imagenet

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The demo and compare.py; the commands that they print run in this process, without importing anew."""
    for folder in ('tools', 'tools/benchmarks'):
        monkeypatch.syspath_prepend(str(ROOT / folder))
    monkeypatch.chdir(ROOT)
    demo, compare = importlib.import_module('demo'), importlib.import_module('compare')

    def run(title: str, *command: str) -> str:
        print(f'\n== {title}\n$ python {" ".join(command)}')
        with monkeypatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as output:
            patch.setattr(sys, 'argv', list(command))
            runpy.run_path(str(ROOT / command[0]), run_name='__main__')
        return output.getvalue()

    def call(command: list[str]) -> subprocess.CompletedProcess:
        with monkeypatch.context() as patch:
            patch.setattr(sys, 'argv', command[1:])
            compare.main()
        return subprocess.CompletedProcess(command, 0)

    for module in (demo, compare):
        monkeypatch.setattr(module, 'run', run)
    monkeypatch.setattr(demo, 'subprocess', SimpleNamespace(run=call))
    return dict(demo=demo, compare=compare)


def test_demo(tools, tmp_path, monkeypatch, capsys):
    arguments = [
        '--epochs',
        '1',
        '--images',
        '160',
        '--work-dir',
        tmp_path / 'work',
        '--data',
        tmp_path / 'data',
    ]
    monkeypatch.setattr(sys, 'argv', ['demo.py', *map(str, arguments)])
    tools['demo'].main()
    output = capsys.readouterr().out
    table = (tmp_path / 'work' / 'results.md').read_text()
    assert table in output
    for backbone in ('random-initialised', 'clsa_r18_1xb64_24e_embedded'):
        values = re.search(rf'^\| {backbone} \| ([\d.]+) \| ([\d.]+) \|$', table, re.M).groups()
        assert all(0 <= float(value) <= 100 for value in values)
    # The commands that it prints are those of the README.
    for expected in ('$ python tools/train.py configs/embedded/', '$ python tools/knn.py'):
        assert expected in output
    for picture in ('views.png', 'curves.png'):
        image = cv2.imread(str(tmp_path / 'work' / picture))
        assert image is not None and image.std() > 10
    assert (tmp_path / 'work' / 'seed_0' / 'clsa_r18_1xb64_24e_embedded' / 'epoch_1.pth').exists()


def test_a_folder_of_the_users_own_stays(tools, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['demo.py', '--work-dir', str(tmp_path)])
    (tmp_path / 'seed_0').mkdir()
    (tmp_path / 'seed_0' / 'epoch_100.pth').touch()
    with pytest.raises(SystemExit, match='is not empty and no earlier demo has made it: give another'):
        tools['demo'].main()
    assert [path.name for path in tmp_path.rglob('*')] == ['seed_0', 'epoch_100.pth']


def test_pictures_made_otherwise_stay(tools, tmp_path, monkeypatch):
    folder = generate_imagenet(tmp_path / 'data', num_train=4, num_val=2, image_size=32, progress=False)
    (folder / 'notes.txt').touch()
    before = sorted(folder.rglob('*'))
    arguments = ['--images', '6', '--work-dir', str(tmp_path / 'work'), '--data', str(tmp_path / 'data')]
    monkeypatch.setattr(sys, 'argv', ['demo.py', *arguments])
    with pytest.raises(SystemExit, match='num_train is 4, asked for 6.*--overwrite.* name another root'):
        tools['demo'].main()
    assert sorted(folder.rglob('*')) == before


def test_an_earlier_demo_gives_way(tools, tmp_path):
    tools['demo'].start_anew(tmp_path)
    (tmp_path / 'seed_0').mkdir()
    (tmp_path / 'notes.txt').touch()
    tools['demo'].start_anew(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['.demo', 'notes.txt']
