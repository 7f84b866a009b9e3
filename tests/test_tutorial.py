"""docs/tutorial.md, command by command as a reader types them, with fewer and smaller images."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from doc_commands import ROOT, blocks, commands

from clsa_mm.visualization import read_run

PAGE = 'docs/tutorial.md'
SMALLER = {
    '--layouts voc': '--layouts voc --num-train 24 --num-val 8 --num-test 8 --image-size 96',
    '--hours 0.5': '--epochs 2',
    'my_detector.py --': 'my_detector.py --cfg-options train_cfg.max_epochs=12 train_cfg.val_interval=12 '
    'train_dataloader.num_workers=0 val_dataloader.num_workers=0 --',
}


@pytest.mark.slow
def test_the_tutorial_from_photographs_to_a_detector(tmp_path: Path) -> None:
    for name in ('tools', 'configs', 'clsa_mm'):
        (tmp_path / name).symlink_to(ROOT / name)
    config, use = (block.text for block in blocks('python') if block.page == PAGE)
    (tmp_path / 'my_detector.py').write_text(config)
    (tmp_path / 'use.py').write_text(f'{use}\nassert features.shape == (1, 512, 7, 7)\n')
    typed = [command for command in commands() if command.page == PAGE]
    assert len(typed) == 5
    environment = os.environ | {'PYTHONPATH': str(ROOT)}
    for command in typed:
        text = command.text
        for full, small in SMALLER.items():
            text = text.replace(full, small)
        program, *arguments = type(command)(PAGE, command.line, text).words
        assert program == 'python'
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f'{text}\n{done.stdout[-2000:]}{done.stderr[-3000:]}'
    assert '</html>' in (tmp_path / 'work_dirs/shapes/report.html').read_text()
    log = read_run(tmp_path / 'work_dirs/detector').log_files[0].read_text()
    assert 'Backbone: loaded 120/120 keys' in log
    assert (
        'RANDOM-INITIALISED'
        in read_run(tmp_path / 'work_dirs/detector_from_scratch').log_files[0].read_text()
    )
    done = subprocess.run(
        [sys.executable, 'use.py'], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
