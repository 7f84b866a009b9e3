"""What a run has logged, from files as mmengine writes them."""

import json
from pathlib import Path

import pytest
from mmengine.visualization import LocalVisBackend

from clsa_mm.visualization import read_run


def write_start(folder: Path, rows: list[dict], name: str) -> None:
    backend = LocalVisBackend(save_dir=str(folder / name / 'vis_data'))
    for row in rows:
        backend.add_scalars(row, step=row['step'])


def test_what_a_resumed_run_repeats_counts_once(tmp_path):
    write_start(
        tmp_path,
        [{'loss': 3.0, 'step': 1}, {'loss': 2.0, 'step': 2}, {'loss': 9.0, 'step': 3}],
        '20260101_000000',
    )
    write_start(tmp_path, [{'loss': 1.5, 'step': 2}, {'knn/top1': 50, 'step': 2}], '20260101_000001')
    log = read_run(tmp_path)
    assert log.scalars == {'loss': [(1, 3.0), (2, 1.5)], 'knn/top1': [(2, 50.0)]}
    assert [start.name for start in log.starts] == ['20260101_000000', '20260101_000001']


def test_cut_lines_and_foreign_rows_are_left_out(tmp_path):
    write_start(tmp_path, [{'loss': 3.0, 'lr': 0.1, 'note': 'text', 'step': 1}], '20260101_000000')
    file = tmp_path / '20260101_000000/vis_data/scalars.json'
    file.write_text(file.read_text() + '[1]\n{"loss": 7.0}\n' + json.dumps({'loss': 2.0, 'step': 2})[:-4])
    assert read_run(tmp_path).scalars == {'loss': [(1, 3.0)], 'lr': [(1, 0.1)]}


def test_settings_are_read_and_not_run(tmp_path):
    write_start(tmp_path, [{'loss': 3.0, 'step': 1}], '20260101_000000')
    config = tmp_path / '20260101_000000/vis_data/config.py'
    config.write_text("model = dict(queue_len=4096, head=dict(beta=1.0))\nwork_dir = 'x'\n")
    settings = read_run(tmp_path).settings
    assert settings['model.queue_len'] == 4096
    assert settings['model.head.beta'] == 1.0


def test_a_folder_without_a_log_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='has no log of a run, .* give the work dir of a training'):
        read_run(tmp_path)


def test_a_run_is_called_by_its_folder(tmp_path):
    for folder, name in ((tmp_path / 'seed_0', 'seed_0'), (tmp_path / 'photographs' / 'run', 'photographs')):
        write_start(folder, [{'loss': 1.0, 'step': 1}], '20260101_000000')
        assert read_run(folder).name == name
    assert read_run(tmp_path / 'photographs').folder == tmp_path / 'photographs/run'
