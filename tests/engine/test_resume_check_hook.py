"""Which differences a resumed run names, and which it refuses."""

import re
import subprocess
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from small_training import small_runner

from clsa_mm.checkpoints.config_text import settings_of
from clsa_mm.checkpoints.read import CheckpointError, read_checkpoint
from clsa_mm.engine import run_record
from clsa_mm.engine.run_record import differences


@pytest.fixture
def resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Train an epoch, then a second one with other settings, and return the lines about differences."""

    def run(**options: object) -> list[str]:
        small_runner(tmp_path, 1).train()
        runner = small_runner(tmp_path, 2, **options)
        lines = []
        monkeypatch.setattr(runner.logger, 'warning', lambda line, *a, **k: lines.append(str(line)))
        try:
            runner.train()
        except ValueError:
            assert runner.epoch == 0
            raise
        assert runner.epoch == 2
        return [line for line in lines if line.startswith('Resumed with ') and ' instead of ' in line]

    return run


def test_what_leaves_the_run_what_it_was_is_named_line_by_line(resumed):
    assert resumed(default_hooks__logger__interval=7, train_dataloader__num_workers=1) == [
        'Resumed with default_hooks.logger.interval=7 instead of 50',
        'Resumed with train_cfg.max_epochs=2 instead of 1',
        'Resumed with train_dataloader.num_workers=1 instead of 0',
    ]


def test_a_learning_rate_is_left_to_the_hook_that_lets_it_take_effect(resumed):
    lines = resumed(optim_wrapper__optimizer__lr=0.03)
    assert 'Resumed with optim_wrapper.optimizer.lr=0.03 instead of 0.06' in lines
    assert any(line.startswith('Resumed with lr=0.03 instead of 0.06.') for line in lines)


@pytest.mark.parametrize(
    ('options', 'lines'),
    [
        (dict(model__queue_len=8), ['model.queue_len=8 instead of nothing']),
        (
            dict(train_dataloader__batch_size=4, train_dataloader__sampler__shuffle=False),
            ['batch=4 instead of 8', 'train_dataloader.sampler.shuffle=False instead of True'],
        ),
        (
            dict(optim_wrapper__accumulative_counts=2),
            ['optim_wrapper.accumulative_counts=2 instead of nothing'],
        ),
    ],
)
def test_what_would_make_it_another_run_is_refused(resumed, options, lines):
    listed = re.escape('\n  ' + '\n  '.join(lines) + '\n')
    with pytest.raises(ValueError, match=f'{listed}.*add --force.*load_from=CHECKPOINT, another --work-dir'):
        resumed(**options)


def test_force(resumed):
    lines = resumed(model__queue_len=8, default_hooks__resume_check__force=True)
    assert 'Resumed with model.queue_len=8 instead of nothing' in lines


def test_the_checkpoint_has_plain_values(tmp_path):
    small_runner(tmp_path, 1).train()
    meta = read_checkpoint(tmp_path / 'epoch_1.pth')['meta']  # tensors and plain values only
    assert meta['clsa_mm'] == dict(
        clsa_mm='0.1.0', revision=run_record.code_revision(), torch=str(torch.__version__), processes=1,
        batch=8, images=48, files='',
    )  # fmt: skip
    assert {type(value) for value in meta['clsa_mm'].values()} == {str, int}


def test_data_versions_and_processes(monkeypatch):
    old = dict(clsa_mm='0.1.0', torch='2.9', processes=8, batch=256, images=100, files='ab')
    new = dict(clsa_mm='0.2.0', torch='2.11', processes=4, batch=256, images=101, files='cd', revision='x')
    safe, unsafe = differences(old, new, '', '')
    assert safe == [
        "clsa_mm='0.2.0' instead of '0.1.0'", "torch='2.11' instead of '2.9'", 'processes=4 instead of 8'
    ]  # fmt: skip
    assert unsafe == ['images=101 instead of 100', "files='cd' instead of 'ab'"]
    assert differences({}, new, '', "model = dict(type='A')") == ([], [])  # of a checkpoint of another tool


CONFIG = dict(
    model=dict(type='A', sizes=(1, 2), layers=[dict(type='B'), dict(type='C', scale=-0.5)]),
    train_dataloader=dict(dataset=dict(views={'key': dict(size=32), 'my view': dict(size=[1, 2])})),
    randomness=dict(seed=0),
    work_dir='a',
)


def test_settings_are_read_from_the_text_of_a_config():
    assert settings_of(Config(CONFIG).pretty_text) == {
        'model.type': 'A', 'model.sizes': (1, 2), 'model.layers.0.type': 'B', 'model.layers.1.type': 'C',
        'model.layers.1.scale': -0.5, 'train_dataloader.dataset.views.key.size': 32,
        'train_dataloader.dataset.views.my view.size': [1, 2], 'randomness.seed': 0, 'work_dir': 'a',
    }  # fmt: skip


def test_a_hostile_text_is_not_run(tmp_path):
    target = tmp_path / 'made'
    text = f"model = __import__('pathlib').Path({str(target)!r}).touch()\nrandomness = dict(seed=exit())\n"
    assert settings_of(text)['randomness.seed'] == 'exit()'
    assert differences({}, {}, text, 'work_dir = 1')[1]
    assert not target.exists()
    for bad, message in (('model = (', 'cannot be read'), ('a' * 1_000_001, '1000001 characters'),
                         ('x = ' + '(' * 10_000, 'cannot be read'), ('x = {[1]}', 'cannot be read'),
                         ('x = 1.7e308 + 1.7e308j', 'cannot be read')):  # fmt: skip
        with pytest.raises(CheckpointError, match=message):
            settings_of(bad)
    ((line,), _) = differences({}, {}, 'default_hooks = {"a\\n\\x1b[2J": 1}', '')
    assert '\n' not in line and '\x1b' not in line


def test_the_revision_is_that_of_this_package_only(monkeypatch, tmp_path):
    package = tmp_path / 'clsa_mm' / 'engine' / 'run_record.py'
    package.parent.mkdir(parents=True)
    monkeypatch.setattr(run_record, '__file__', str(package))
    revision = run_record.code_revision.__wrapped__
    assert revision() == ''
    git = ['git', '-C', str(tmp_path), '-c', 'user.name=a', '-c', 'user.email=b']
    subprocess.run([*git, 'init', '-q'], check=True)
    package.touch()
    subprocess.run([*git, 'add', '.'], check=True)
    subprocess.run([*git, 'commit', '-qm', 'a'], check=True)
    head = subprocess.run([*git, 'rev-parse', 'HEAD'], check=True, capture_output=True, text=True).stdout
    assert revision() == head[:12]
    package.write_text('changed')
    assert revision() == f'{head[:12]}-dirty'
