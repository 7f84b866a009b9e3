"""plot_knn_views.py on logs, and on checkpoints, which tools/knn.py measures the same."""

import sys
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS
from tool_modules import load_tool
from written_runs import write_run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool():
    return load_tool('analysis_tools/plot_knn_views.py')


def run(tool, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, 'argv', ['plot_knn_views.py', *map(str, arguments)])
    tool.main()


def figures(value: float) -> dict:
    names = ('knn/top1', 'knn/weak_top1', 'knn/strong_top1')
    return {name: [(10, value - place), (20, value + place)] for place, name in enumerate(names)}


@pytest.fixture
def drawn(tool, monkeypatch):
    """The figures that the tool writes."""
    found = []

    def save(figure, path):
        found.append(figure)
        return [path]

    monkeypatch.setattr(tool, 'save_figure', save)
    return found


def test_logs(tool, tmp_path, monkeypatch, drawn):
    for name, value in (('a0', 40.0), ('a1', 44.0), ('b', 30.0)):
        write_run(tmp_path / name, figures(value))
    run(tool, monkeypatch, *(f'{name[0]}={tmp_path}/{name}' for name in ('a0', 'a1', 'b')))
    means = [[list(line.get_ydata()) for line in axes.get_lines()] for axes in drawn[0].axes]
    assert means == [[[42 - i, 42 + i], [30 - i, 30 + i]] for i in range(3)]
    assert len({axes.get_ylim() for axes in drawn[0].axes}) == 1


def test_a_log_without_augmented_images(tool, tmp_path, monkeypatch):
    write_run(tmp_path / 'a', {'knn/top1': [(10, 40.0)]})
    with pytest.raises(SystemExit, match="a has logged no 'knn/weak_top1'; it has knn/top1"):
        run(tool, monkeypatch, tmp_path / 'a')


@pytest.fixture
def checkpoints(tiny_pretraining, image_root, tmp_path):
    """A config and two checkpoints of random weights, of iterations 6 and 12; the later is given first."""
    split = dict(data_root=str(image_root))
    pipeline = [
        dict(type='LoadImage'),
        dict(type='ResizeEdge', scale=32),
        dict(type='CenterCrop', crop_size=32),
    ]
    dataset = dict(type='LabelledFolder', pipeline=[*pipeline, dict(type='PackInputs')], **split)
    knn = dict(
        type='KNNHook', dataset=dataset, train=dict(data_prefix='train'), test=dict(data_prefix='test')
    )
    cfg = tiny_pretraining(**{'default_hooks.knn': knn | dict(k=5, num_workers=0, batch_size=16)})
    for iteration in (12, 6):
        torch.manual_seed(iteration)
        state = MODELS.build(cfg.model).state_dict()
        torch.save(dict(state_dict=state, meta=dict(iter=iteration)), tmp_path / f'iter_{iteration}.pth')
    cfg.dump(tmp_path / 'config.py')
    return tmp_path


def test_checkpoints(tool, checkpoints, monkeypatch, drawn, capsys):
    words = [f'a={checkpoints}/iter_{iteration}.pth' for iteration in (12, 6)]
    run(tool, monkeypatch, *words, '--config', checkpoints / 'config.py')
    lines = capsys.readouterr().out.splitlines()
    said = {
        iteration: next(line for line in lines if f'iter_{iteration}.pth: kNN' in line)
        for iteration in (6, 12)
    }
    for axes, name in zip(drawn[0].axes, ('top1', 'weak_top1', 'strong_top1'), strict=True):
        (line,) = axes.get_lines()
        assert list(line.get_xdata()) == [6, 12]
        for iteration, value in zip((6, 12), line.get_ydata(), strict=True):
            assert f'  {name}: {value:.2f}' in said[iteration]


def test_checkpoints_need_a_config(tool, checkpoints, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(tool, monkeypatch, checkpoints / 'iter_6.pth')
    assert 'checkpoints need --config, which says the data, the views' in capsys.readouterr().err
