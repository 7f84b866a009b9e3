"""The report on a run: its numbers against the log's, its markup, and what files' names can do to it."""

import builtins
import importlib.util
import json
import os
import re
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from mmengine.runner import Runner
from mmengine.visualization import LocalVisBackend
from page_reader import Page, browser_complaints
from PIL import Image

from clsa_mm.engine.settings import load_config
from clsa_mm.reports import write_report

ROOT = Path(__file__).parents[2]
HOSTILE = '<script>alert(1)</script>'
HEAD = """2026/01/01 10:00:00 - mmengine - INFO -
------------------------------------------------------------
System environment:
    sys.platform: linux
    Python: 3.11.7 (main)
    CUDA available: True
    GPU 0: Some <b>GPU</b>
    PyTorch: 2.11.0
------------------------------------------------------------
"""
LINES = """2026/01/01 10:00:05 - mmengine - INFO - Effective batch: 8 images per optimizer step = 8 x 1; \
48 images, 6 iterations per epoch and process
2026/01/01 10:00:06 - mmengine - WARNING - loss_ddm is not finite in iteration 2, which is skipped: so.
2026/01/01 10:00:07 - mmengine - WARNING - Beware of </svg><img src=x>.
2026/01/01 10:01:40 - mmengine - INFO - done
"""
SETTINGS = """model = dict(type='CLSA', feat_dim=16, backbone=dict(type='ResNet', depth=18))
train_cfg = dict(max_epochs=2)
default_hooks = dict(logger=dict(interval=1))
train_dataloader = dict(dataset=dict(data_root='"><img src=x onerror=alert(1)>', data_prefix='train'))
work_dir = __import__('os').abort()
"""


def write_run(folder: Path, rows: list[dict], settings: str = SETTINGS) -> Path:
    start = folder / '20260101_100000'
    backend = LocalVisBackend(save_dir=str(start / 'vis_data'))
    for row in rows:
        backend.add_scalars(row, step=row['step'])
    (start / 'vis_data' / 'config.py').write_text(settings)
    (start / f'{start.name}.log').write_text(HEAD + LINES)
    return folder


def rows_of(losses: list[float], chance: float = 4.0) -> list[dict]:
    return [
        dict(step=i + 1, loss_contrastive=loss, chance_level=chance, time=0.5, data_time=0.1, feature_std=0.2)
        for i, loss in enumerate(losses)
    ]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Loss 4, 3, 2 at chance 4; 0.1 of 0.5 s waiting; kNN 20 % before and 60 % after."""
    rows = [{'step': 0, 'knn/top1': 20.0}, *rows_of([4.0, 3.0, 2.0]), {'step': 12, 'knn/top1': 60.0}]
    folder = write_run(tmp_path / 'run', rows)
    report = {'train': {'empty': ['a', 'b'], 'damaged': ['c\udce9"<']}}
    (folder / 'corrupt_files.json').write_text(json.dumps(report))
    return folder


def text_of(path: Path) -> str:
    return path.read_text(encoding='utf-8')


def test_numbers_are_those_of_the_log(run, tmp_path):
    page = Page(text_of(write_report([run], tmp_path / 'r.html')))
    rows = page.rows()
    assert rows['images per optimizer step'] == ['8']
    assert rows['s per iteration'] == ['0.5'] and rows['waiting for data'] == ['20.0 %']
    assert rows['length'] == ['1 min 40 s'] and rows['start'] == ['2026-01-01 10:00:00']
    assert rows['corrupt files'] == ['3'] and rows['kNN top-1 (%)'] == ['60']
    assert rows['machine'] == ['Some <b>GPU</b>'] and rows['Python'] == ['3.11.7']
    assert rows['loss_contrastive'] == ['4', '2', '2', '4', '3']  # first, last, lowest, highest, number
    assert rows['knn/top1'] == ['20', '60', '20', '60', '2']
    (loss,) = (a['aria-label'] for a, _ in page.all('svg') if 'Contrastive' in a.get('aria-label', ''))
    assert loss == 'Contrastive loss. loss contrastive from 4 to 2; chance 4'


def test_a_run_of_pretrain_is_called_by_its_folder(tmp_path):
    run = write_run(tmp_path / 'photographs' / 'run', rows_of([4.0]))
    page = Page(text_of(write_report([run], tmp_path / 'r.html', features=False)))
    assert page.all('h1') == [({}, 'photographs')]


def test_the_page_opens_with_the_answer_and_the_warnings(run, tmp_path):
    page = Page(text_of(write_report([run], tmp_path / 'r.html')))
    ((_, answer),) = page.all('article')
    assert 'It learnt: the contrastive loss ends at 2, 50 % below the 4 of chance' in ' '.join(answer.split())
    assert 'right for 60.0 % of the test images, against 20.0 % before training' in answer
    assert 'Corrupt files were skipped: 2 empty, 1 damaged' in answer
    assert 'Iterations skipped for losses or gradients that are not finite: 1.' in answer
    assert 'There is no whole checkpoint' in answer
    assert 'The log says: Beware of </svg><img src=x>.' in answer


@pytest.mark.parametrize(
    ('losses', 'std', 'said'),
    [
        ([4.0, 3.98, 3.97], 0.2, 'No sign that it learnt'),
        ([4.0, 3.0, 3.0], 0.0001, 'The features have collapsed'),
        ([4.0, float('nan'), 3.0], 0.2, '25 % below the 4 of chance'),
    ],
)
def test_what_went_wrong_is_said(tmp_path, losses, std, said):
    rows = [row | dict(feature_std=std) for row in rows_of(losses)]
    text = text_of(write_report([write_run(tmp_path / 'run', rows)], tmp_path / 'r.html', features=False))
    assert 'The log ends at iteration 3 of 12: the run is not finished.' in text
    assert said in text and 'nan' not in text.split('<body>')[1]


def test_a_run_that_logs_neither_chance_nor_knn_is_not_judged(tmp_path):
    run = write_run(tmp_path / 'run', [dict(step=1, loss=1.0)])
    assert 'Whether it learnt is not known' in text_of(write_report([run], tmp_path / 'r.html'))


def test_no_text_of_a_file_becomes_markup(run, tmp_path):
    text = text_of(write_report([run], tmp_path / 'r.html'))
    page = Page(text)
    assert not page.all('script') and not page.all('b')
    assert all(a['src'].startswith('data:') for a, _ in page.all('img'))
    assert not any(name.startswith('on') for _, a, _ in page.elements for name in a)
    for svg in re.findall(r'<svg.*?</svg>', text, re.DOTALL):
        ElementTree.fromstring(svg)  # which no </svg> of a text has ended


def test_damaged_files_leave_out_what_they_told(run, tmp_path):
    log = run / '20260101_100000' / '20260101_100000.log'
    log.write_bytes(b'2026/13/45 99:99:99 - mmengine - INFO - x\n\xff\xfe\n' + log.read_bytes())
    (run / 'corrupt_files.json').write_text('{"train": [1], "x": {"y": 3}}')
    (run / 'a.json').write_text('{"results": [{"lr": 1}, 5, {"lr": 2, "scores": {"top1": 71.5}}]}')
    (run / 'b.json').write_text('{')
    (run / 'epoch_9.pth').write_bytes(b'no checkpoint')
    page = Page(text_of(write_report([run], tmp_path / 'r.html')))
    rows = page.rows()
    assert rows['start'] == ['2026-01-01 10:00:00'] and rows['corrupt files'] == ['0']
    assert rows['linear top-1, best (%)'] == ['71.5'] and rows['lr 2'] == ['71.5']
    assert any(text == f'{tmp_path.name}, a.json: ? epochs on ? images' for _, text in page.all('caption'))
    answer = ' '.join(page.all('article')[0][1].split())
    assert 'epoch_9.pth is not whole and was passed over: cut off, or no checkpoint' in answer
    assert 'Corrupt files' not in answer


def test_numbers_beyond_all_use_and_files_without_end_stop_no_report(run, tmp_path):
    scalars = run / '20260101_100000' / 'vis_data' / 'scalars.json'
    rows = [
        f'{{"a": {"9" * 400}, "step": 3}}',
        f'{{"a": 1, "step": {"9" * 400}}}',
        f'{{"a": {"9" * 5000}, "step": 4}}',
        '{"b": 1.7e308, "step": 3}\n{"b": -1.7e308, "step": 4}\n{"b": 7, "step": 5}',
        '{"c": 5e-324, "step": 3}\n{"c": 1e-323, "step": 4}',
        '[' * 200_000,
    ]
    scalars.write_text(scalars.read_text() + '\n'.join(rows) + '\n')
    (run / 'a.json').write_text(f'{{"results": [{{"scores": {{"top1": {"9" * 400}}}}}]}}')
    os.mkfifo(run / 'b.json')
    (run / 'c.json').symlink_to('/dev/zero')
    (run / 'corrupt_files.json').unlink()
    os.mkfifo(run / 'corrupt_files.json')
    page = Page(text_of(write_report([run], tmp_path / 'r.html')))
    rows = page.rows()
    assert rows['b'] == ['1.7e+308', '7', '-1.7e+308', '1.7e+308', '3'] and rows['iterations'] == ['12']
    assert 'b. b from 7 to 7' in [a.get('aria-label') for a, _ in page.all('svg')]


def test_settings_that_differ_from_the_config_of_that_name(run, tmp_path):
    base = load_config(ROOT / 'configs' / 'cifar10' / 'mocov2_r18_1xb256_200e_cifar10.py')
    base.model.queue_len = 77
    config = run / '20260101_100000' / 'vis_data' / 'config.py'
    config.write_text(base.pretty_text)
    (run / 'mocov2_r18_1xb256_200e_cifar10.py').write_text(base.pretty_text)
    text = text_of(write_report([run], tmp_path / 'r.html'))
    assert 'that differ from configs/cifar10/mocov2_r18_1xb256_200e_cifar10.py: 1<' in text
    assert Page(text).rows()['model.queue_len'] == ['4096', '77']


def test_several_runs_lie_over_each_other(run, tmp_path):
    other = SETTINGS.replace('feat_dim=16', 'feat_dim=32')
    second = write_run(tmp_path / 'second' / '0', rows_of([4.0, 3.5]), other)
    page = Page(text_of(write_report([run, second], tmp_path / 'r.html')))
    rows = page.rows()
    assert rows['model.feat_dim'][-2:] == ['16', '32']
    assert rows['loss_contrastive'] == ['2', '3.5']
    (label,) = (a['aria-label'] for a, _ in page.all('svg') if 'Contrastive' in a.get('aria-label', ''))
    names = [tmp_path.name, 'second/0']
    assert all(f'{name} from 4 to {last}' in label for name, last in zip(names, (2, 3.5), strict=True))
    dashes = {a['class']: a['stroke-dasharray'] for a, _ in page.all('path') if 'line' in a.get('class', '')}
    assert len(set(dashes.values())) == len(dashes) == 2


def test_nothing_is_loaded_and_nothing_runs(run, tmp_path):
    page = Page(text_of(write_report([run], tmp_path / 'r.html')))
    (policy,) = (a['content'] for a, _ in page.all('meta') if a.get('http-equiv'))
    assert policy.startswith("default-src 'none'") and 'script' not in policy and 'unsafe' not in policy
    links = [a['href'] for a, _ in page.all('a')]
    ids = {a['id'] for _, a, _ in page.elements if 'id' in a}
    assert links and all(link[0] == '#' and link[1:] in ids for link in links)


def test_a_folder_without_a_log_and_wrong_numbers_are_refused(run, tmp_path):
    with pytest.raises(FileNotFoundError, match='has no log of a run.*give the work dir'):
        write_report([tmp_path / 'nothing'], tmp_path / 'r.html')
    with pytest.raises(ValueError, match='at least one run: give a work dir'):
        write_report([], tmp_path / 'r.html')
    with pytest.raises(ValueError, match='images'):
        write_report([run], tmp_path / 'r.html', images=2)


@pytest.fixture
def hostile_run(tiny_pretraining, image_root, tmp_path) -> Path:
    """A run of two epochs on images whose folders and names try what they can."""
    data = tmp_path / 'data'
    shutil.copytree(image_root / 'train', data / 'train')
    for old, new in (('circle', HOSTILE.replace('/', '∕')), ('cross', 'a"\'b</svg>'.replace('/', '∕'))):
        (data / 'train' / old).rename(data / 'train' / new)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    image.save(data / 'train' / 'square' / '<img src=x onerror=alert(1)>&amp;.png')
    image.save(os.fsdecode(os.fsencode(data / 'train' / 'square') + b'/\xe9.png'), 'PNG')
    (data / 'train' / 'square' / 'broken.png').write_bytes(b'no image')
    options = {'train_dataloader.dataset.data_root': str(data), 'default_hooks.logger.interval': 2}
    cfg = tiny_pretraining(**options)
    Runner.from_cfg(cfg).train()
    return Path(cfg.work_dir)


def test_a_whole_report_in_a_browser(hostile_run, tmp_path):
    out = write_report([hostile_run], tmp_path / 'r.html', images=30)
    text = text_of(out)
    page = Page(text)
    sections = {a['id']: said for a, said in page.all('section')}
    assert 'Not shown' not in sections['views'] + sections['features']
    alts = [a['alt'] for a, _ in page.all('img')]
    assert all(alts)
    assert any('<script>' in alt for alt in alts) and HOSTILE.partition('/')[0] not in text
    assert 'nearest neighbour is of the same class' in text
    assert any(
        'Features by t-SNE: 30 points in 3 groups' in a.get('aria-label', '') for a, _ in page.all('svg')
    )
    again = write_report([hostile_run], tmp_path / 'again.html', images=30)
    assert again.read_bytes() == out.read_bytes()
    assert browser_complaints(out, tmp_path / 'profile') == []


def test_without_scikit_learn_there_is_a_map_all_the_same(hostile_run, tmp_path, monkeypatch):
    imported = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition('.')[0] in ('sklearn', 'umap'):
            raise ImportError(name)
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', without)
    text = text_of(write_report([hostile_run], tmp_path / 'r.html', images=20, seconds=0))
    assert 'Features by PCA (for t-SNE: pip install scikit-learn)' in text


def test_a_page_that_breaks_the_rule_is_noticed(tmp_path):
    """The browser's console is looked at, or the test above could not fail."""
    page = tmp_path / 'bad.html'
    policy = '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'">'
    page.write_text(f'<!DOCTYPE html><html><head>{policy}</head><body><script>x</script></body></html>')
    assert browser_complaints(page, tmp_path / 'profile')


def test_the_tool_writes_beside_the_run(run, capsys, monkeypatch):
    path = ROOT / 'tools' / 'analysis_tools' / 'report.py'
    spec = importlib.util.spec_from_file_location('report_tool', path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(sys, 'argv', ['report.py', str(run), '--no-features'])
    tool.main()
    assert (run / 'report.html').is_file() and 'report.html' in capsys.readouterr().out
    with pytest.raises(SystemExit, match='has no log of a run'):
        tool.main([str(run / 'nothing')])
    odd = run.rename(run.with_name('\x1b[31m\udcff'))
    tool.main([str(odd), '--no-features'])
    assert r'\x1b[31m\udcff/report.html' in capsys.readouterr().out
    (odd / '20260101_100000' / 'vis_data' / 'config.py').write_text('model = (')
    with pytest.raises(SystemExit, match=r'\\x1b.*config.py is no config as mmengine writes it: remove it'):
        tool.main([str(odd), '--no-features'])
