"""``make demo`` from end to end, on few pictures and for one epoch."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

ROOT = Path(__file__).parents[2]


def test_demo(tmp_path):
    command = [sys.executable, 'tools/demo.py', '--epochs', '1', '--images', '160']
    command += ['--work-dir', tmp_path / 'work', '--data', tmp_path / 'data']
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    table = (tmp_path / 'work' / 'results.md').read_text()
    assert table in done.stdout
    for backbone in ('random-initialised', 'clsa_r18_1xb64_24e_embedded'):
        values = re.search(rf'^\| {backbone} \| ([\d.]+) \| ([\d.]+) \|$', table, re.M).groups()
        assert all(0 <= float(value) <= 100 for value in values)
    # The commands that it prints are those of the README, and progress is shown.
    for expected in ('$ python tools/train.py configs/embedded/', '$ python tools/knn.py', 'Epoch(train)'):
        assert expected in done.stdout
    for picture in ('views.png', 'curves.png'):
        image = cv2.imread(str(tmp_path / 'work' / picture))
        assert image is not None and image.std() > 10
    assert (tmp_path / 'work' / 'seed_0' / 'clsa_r18_1xb64_24e_embedded' / 'epoch_1.pth').exists()


def test_a_folder_of_the_users_own_stays(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['demo.py', '--work-dir', str(tmp_path)])
    demo = importlib.import_module('demo')
    monkeypatch.setattr(demo, 'run', lambda *_: pytest.fail('ran'))
    (tmp_path / 'seed_0').mkdir()
    (tmp_path / 'seed_0' / 'epoch_100.pth').touch()
    with pytest.raises(SystemExit, match='is not empty and no earlier demo has made it: give another'):
        demo.main()
    assert (tmp_path / 'seed_0' / 'epoch_100.pth').exists()


def test_an_earlier_demo_gives_way(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    demo = importlib.import_module('demo')
    demo.start_anew(tmp_path)
    (tmp_path / 'seed_0').mkdir()
    (tmp_path / 'notes.txt').touch()
    demo.start_anew(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['.demo', 'notes.txt']
