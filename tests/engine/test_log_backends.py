"""What the logging back ends received is what mmengine's local file holds."""

import importlib
import json
import struct
import time
from pathlib import Path

import pytest
from child_process import run_tool
from mmengine.config import Config
from mmengine.registry import VISBACKENDS
from mmengine.runner import Runner
from mmengine.visualization import TensorboardVisBackend

from clsa_mm.engine import LOG_BACKENDS, add_log_backends

try:
    from wandb.proto import wandb_internal_pb2
except ImportError:
    wandb_internal_pb2 = None

ROOT = Path(__file__).parents[2]


def run(cfg, *names):
    """Train with the back ends; returns the logged rows of scalars.json and the folder they lie in."""
    cfg.default_hooks.logger.interval = 2
    add_log_backends(cfg, names)
    Runner.from_cfg(cfg).train()
    (file,) = Path(cfg.work_dir).glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row['step'] for row in rows if 'loss' in row] == [2, 4, 6, 8, 10, 12]
    assert [row['step'] for row in rows if 'watch/rankme_projection' in row] == [12]
    return rows, file.parent


def test_tensorboard(tiny_pretraining):
    event_accumulator = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    rows, folder = run(tiny_pretraining(), 'tensorboard')
    events = event_accumulator.EventAccumulator(str(folder)).Reload()
    names = {'loss_contrastive', 'loss_ddm', 'lr', 'positive_similarity', 'watch/rankme_projection'}
    assert names <= set(events.Tags()['scalars'])
    for name in events.Tags()['scalars']:
        logged = [(event.step, event.value) for event in events.Scalars(name)]
        expected = [(row['step'], pytest.approx(row[name], rel=1e-6)) for row in rows if name in row]
        assert logged == expected


def test_mlflow(tiny_pretraining, monkeypatch):
    tracking = pytest.importorskip('mlflow.tracking')
    monkeypatch.delenv('MLFLOW_TRACKING_URI', raising=False)
    monkeypatch.setenv('MLFLOW_ALLOW_FILE_STORE', 'true')
    rows, folder = run(tiny_pretraining(), 'mlflow')
    client = tracking.MlflowClient(folder.as_uri())
    experiment = client.get_experiment_by_name('Default')
    (found,) = client.search_runs([experiment.experiment_id])
    for name in ('loss', 'loss_contrastive', 'loss_ddm', 'feature_std', 'watch/rankme_projection'):
        logged = [(m.step, m.value) for m in client.get_metric_history(found.info.run_id, name)]
        assert logged == [(row['step'], pytest.approx(row[name])) for row in rows if name in row]
    assert found.data.params['model.queue_len'] == '24'


@pytest.mark.parametrize('uri', ['http://example.org:5000', None])
def test_mlflow_listens_to_its_own_variables(uri, monkeypatch):
    pytest.importorskip('mlflow')
    monkeypatch.delenv('MLFLOW_ALLOW_FILE_STORE', raising=False)
    monkeypatch.delenv('MLFLOW_TRACKING_URI', raising=False)
    if uri:
        monkeypatch.setenv('MLFLOW_TRACKING_URI', uri)
    cfg = Config()
    add_log_backends(cfg, ['mlflow'])
    assert cfg.visualizer.vis_backends[-1].get('tracking_uri') == uri
    environment_variables = importlib.import_module('mlflow.environment_variables')
    assert environment_variables.MLFLOW_ALLOW_FILE_STORE.get()


def read_wandb(file):
    """The records of a .wandb file: a header of 7 bytes, then LevelDB's log format."""
    data, position, record = file.read_bytes(), 7, b''
    while position + 7 <= len(data):
        if 32768 - position % 32768 < 7:  # a header is never split: the rest of a block is padding
            position += 32768 - position % 32768
        _, length, kind = struct.unpack_from('<IHB', data, position)
        record += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield wandb_internal_pb2.Record.FromString(record)
            record = b''


@pytest.mark.skipif(wandb_internal_pb2 is None, reason='wandb is not installed')
def test_wandb_offline(tiny_pretraining, monkeypatch, tmp_path):
    monkeypatch.setenv('WANDB_MODE', 'offline')
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'mine.py').write_text('secret = 1\n')
    rows, folder = run(tiny_pretraining(), 'wandb')
    (file,) = folder.glob('wandb/offline-run-*/*.wandb')
    for _ in range(300):  # W&B's own process may still be writing
        records = list(read_wandb(file))
        if records and records[-1].HasField('exit'):
            break
        time.sleep(0.1)
    history = [
        {(item.key or '/'.join(item.nested_key)): json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.HasField('history')
    ]
    assert len(history) == len(rows)
    for sent, row in zip(history, rows, strict=True):
        for name in {'loss', 'loss_contrastive', 'loss_ddm', 'epoch', 'watch/rankme_projection'} & row.keys():
            assert sent[name] == pytest.approx(row[name])
    # The files of the working directory stay here.
    assert b'mine.py' not in file.read_bytes()
    assert not any(record.HasField('artifact') for record in records)
    assert not any(record.request.HasField('log_artifact') for record in records)


@pytest.mark.parametrize('name', LOG_BACKENDS)
def test_each_is_one_of_mmengine(name, monkeypatch, tmp_path):
    monkeypatch.setattr('importlib.util.find_spec', lambda module: module)
    cfg = Config()
    add_log_backends(cfg, [name])
    local, added = (VISBACKENDS.build({**b, 'save_dir': str(tmp_path)}) for b in cfg.visualizer.vis_backends)
    assert type(local).__name__ == 'LocalVisBackend'
    vis_backend = importlib.import_module('mmengine.visualization.vis_backend')
    (parent,) = [getattr(vis_backend, x) for x in vis_backend.__dict__ if x.lower() == f'{name}visbackend']
    assert isinstance(added, parent)


def test_none_of_mmengine_is_missing():
    ours = {VISBACKENDS.get(backend.type) for backend in LOG_BACKENDS.values()}
    mmengines = {c for c in VISBACKENDS.module_dict.values() if c.__module__.startswith('mmengine.')}
    missing = {c.__name__ for c in mmengines if not any(issubclass(our, c) for our in ours)}
    assert missing == {'LocalVisBackend'}


@pytest.mark.parametrize(
    'type_', ['TensorboardVisBackend', 'mmengine.TensorboardVisBackend', TensorboardVisBackend]
)
def test_what_the_config_has_stays(type_):
    mine = [dict(type='LocalVisBackend', img_save_dir='x'), dict(type=type_)]
    cfg = Config(dict(visualizer=dict(type='DetLocalVisualizer', name='visualizer', vis_backends=mine)))
    add_log_backends(cfg, ['tensorboard', 'wandb', 'wandb'])
    assert (cfg.visualizer.type, cfg.visualizer.name) == ('DetLocalVisualizer', 'visualizer')
    assert cfg.visualizer.vis_backends[:2] == mine
    assert [b['type'] for b in cfg.visualizer.vis_backends[2:]] == ['WandbWithoutCodeVisBackend']


def test_nothing_asked_nothing_changed():
    cfg = Config(dict(visualizer=dict(type='Visualizer'), custom_hooks=[]))
    add_log_backends(cfg, [])
    assert cfg.to_dict() == dict(visualizer=dict(type='Visualizer'), custom_hooks=[])


def test_errors(monkeypatch):
    with pytest.raises(ValueError, match=r"unknown log back end 'excel'; there are tensorboard, wandb"):
        add_log_backends(Config(), ['excel'])
    monkeypatch.setattr('importlib.util.find_spec', lambda module: None if module == 'pygit2' else module)
    with pytest.raises(ModuleNotFoundError, match=r'dvclive.*module pygit2.*pip install dvclive pygit2'):
        add_log_backends(Config(), ['dvclive'])


def test_metrics_of_a_test_are_logged(image_root, tmp_path):
    """tools/test.py on a random-initialised network."""
    event_accumulator = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    import torch

    torch.save({'state_dict': {}}, tmp_path / 'empty.pth')
    done = run_tool(
        'tools/test.py', 'configs/benchmarks/classification/linear_r18_1xb256_100e_cifar10.py',
        tmp_path / 'empty.pth', '--log-to', 'tensorboard', '--out', tmp_path / 'metrics.json',
        '--work-dir', tmp_path / 'work',
        '--cfg-options', 'model.backbone.base_channels=8', 'model.backbone.stem_channels=8',
        'model.head.in_channels=64', f'test_dataloader.dataset.data_root={image_root}',
        'test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (folder,) = (tmp_path / 'work').glob('*/vis_data')
    events = event_accumulator.EventAccumulator(str(folder)).Reload()
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert 'accuracy/top1' in metrics
    for name, value in metrics.items():
        (event,) = events.Scalars(f'test/{name}')
        assert event.value == pytest.approx(value, rel=1e-6)
