import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import clsa_mm
from clsa_mm.engine import KNNHook

TOOL = Path(clsa_mm.__file__).parents[1] / 'tools' / 'knn.py'


@pytest.fixture
def config(tiny_pretraining: Callable[..., Config], image_root: Path, tmp_path: Path) -> Path:
    """A pretraining config file with a KNNHook."""
    crop = dict(type='CenterCrop', crop_size=32)
    pipeline = [dict(type='LoadImage'), crop, dict(type='PackInputs')]
    cfg = tiny_pretraining()
    cfg.default_hooks.knn = dict(
        type='KNNHook',
        dataset=dict(type='CustomDataset', data_root=str(image_root), pipeline=pipeline),
        train=dict(data_prefix='train'),
        test=dict(data_prefix='test'),
        num_workers=0,
        k=9,
    )
    cfg.dump(tmp_path / 'config.py')
    return tmp_path / 'config.py'


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name='__main__')


def test_a_checkpoint(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The printed figures are those of the checkpoint's weights, through another way in."""
    init_default_scope('mmpretrain')
    cfg = Config.fromfile(config)
    torch.manual_seed(5)
    model = MODELS.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'a.pth')
    settings = {key: value for key, value in cfg.default_hooks.knn.items() if key != 'type'}
    scores = KNNHook(**dict(settings, k=5)).score(model)
    run([config, tmp_path / 'a.pth', '--k', '5'], monkeypatch)
    output = capsys.readouterr().out
    total = len(model.backbone.state_dict())
    assert f'Backbone: loaded {total}/{total} keys from' in output
    assert f'top1: {scores["top1"]:.2f}  top5: {scores["top5"]:.2f}' in output
    assert 'k=5, temperature=0.07, bank of 48 images, 24 tested' in output


def test_random_init_is_reproducible(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    lines = []
    for _ in range(2):
        run([config, '--random-init', '--temperature', '0.5'], monkeypatch)
        output = capsys.readouterr().out
        assert 'RANDOM-INITIALISED' in output and 'k=9, temperature=0.5' in output
        lines.append(re.search(r'top1: \d+\.\d\d', output)[0])
    assert lines[0] == lines[1]


def test_config_without_knn_data(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match='no KNNHook in `default_hooks` or.*Add one'):
        run([config, '--random-init', '--cfg-options', 'default_hooks.knn=None'], monkeypatch)


def test_checkpoint_or_random(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit):
        run([config], monkeypatch)
    assert 'give either a checkpoint or --random-init' in capsys.readouterr().err
