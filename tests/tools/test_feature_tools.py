"""Extraction to disk, the learning-rate sweep and the SVM benchmark, as users call them."""

import hashlib
import json
import os
import runpy
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from clsa_mm.datasets.embedded import GENERATORS
from clsa_mm.evaluation import load_features

ROOT = Path(__file__).parents[2]
VOC = 'configs/benchmarks/classification/linear_r50_1xb256_100e_voc07.py'
CIFAR = 'configs/benchmarks/classification/linear_r18_1xb256_100e_cifar10.py'
PRETRAINING = 'configs/cifar10/clsa_r18_1xb256_200e_cifar10.py'
NARROW = ['model.backbone.base_channels=8', 'model.backbone.stem_channels=8']


def run(tool: str, *arguments: object) -> None:
    """In this process: importing the stack takes longer than the work."""
    patch = pytest.MonkeyPatch()
    with patch.context() as context:
        context.setattr(sys, 'argv', [tool, *map(str, arguments)])
        context.chdir(ROOT)
        context.delenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', raising=False)
        runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')


def loader_options(root: Path, splits: tuple[str, ...] = ('train', 'test')) -> list[str]:
    return NARROW + [
        f'{split}_dataloader.{option}'
        for split in splits
        for option in (f'dataset.data_root={root}', 'num_workers=0', 'batch_size=16')
    ]


@pytest.fixture(scope='module')
def voc_features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of embedded VOC images by the real config with a narrow, random backbone."""
    root = tmp_path_factory.mktemp('voc')
    GENERATORS['voc'](root, num_train=40, num_val=40, num_test=20, image_size=64, progress=False)
    options = loader_options(root / 'VOCdevkit' / 'VOC2007')
    run('extract_features.py', VOC, '--random-init', '--out', root / 'features', '--cfg-options', *options)
    return root / 'features'


def test_svm_table_and_json(voc_features: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run('voc07_svm.py', '--features', voc_features, '--costs', '0.1', '1', '--jobs', '1',
        '--out', tmp_path / 'new' / 'svm.json')  # fmt: skip
    table = capsys.readouterr().out
    report = json.loads((tmp_path / 'new' / 'svm.json').read_text())
    assert len(report['classes']) == 20 and report['images'] == 80 and report['dimensions'] == 256
    assert {row['cost'] for row in report['classes'].values()} <= {0.1, 1}
    values = [row['AP_11point'] for row in report['classes'].values() if row['AP_11point'] is not None]
    assert report['mAP_11point'] == pytest.approx(np.mean(values))
    assert 'RANDOM-INITIALISED' in table and f'{report["mAP_area"]:.2f}' in table


def test_sweep_of_several_labels(voc_features: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run('linear_sweep.py', voc_features, '--lrs', '0.1', '1', '--standardize', 'both', '--epochs', '2',
        '--out', tmp_path / 'new' / 'sweep.json')  # fmt: skip
    rows = json.loads((tmp_path / 'new' / 'sweep.json').read_text())['results']
    assert [(row['lr'], row['standardize']) for row in rows] == [
        (0.1, False),
        (1, False),
        (0.1, True),
        (1, True),
    ]
    assert rows[0]['scores'].keys() == {'mAP_11point', 'mAP_area', 'per_image_ap'}
    assert 'best' in capsys.readouterr().out


def test_a_checkpoint_through_every_way(
    image_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Linear config and pretraining config (its KNNHook's data) give the same features of one checkpoint."""
    run('extract_features.py', CIFAR, '--random-init', '--out', tmp_path / 'random', '--splits', 'test',
        '--cfg-options', *loader_options(image_root))  # fmt: skip
    assert 'RANDOM-INITIALISED' in capsys.readouterr().out
    checkpoint = tmp_path / 'backbone.pth'
    write_checkpoint(checkpoint)
    knn = [f'default_hooks.knn.{option}' for option in (f'dataset.data_root={image_root}', 'num_workers=0')]
    for config, name, options in ((CIFAR, 'a', loader_options(image_root)), (PRETRAINING, 'b', NARROW + knn)):
        run('extract_features.py', config, checkpoint, '--out', tmp_path / name, '--cfg-options', *options)
    run('extract_features.py', CIFAR, checkpoint, '--out', tmp_path / 'a', '--images', image_root / 'test',
        '--cfg-options', *loader_options(image_root))  # fmt: skip
    first, second = load_features(tmp_path / 'a' / 'test'), load_features(tmp_path / 'b' / 'test')
    images = load_features(tmp_path / 'a' / 'images')
    assert len(first.features) == 24 and first.labels.tolist() == second.labels.tolist()
    np.testing.assert_allclose(first.features, second.features, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(first.features, images.features, rtol=1e-5, atol=1e-6)
    assert [Path(path).name for path in first.paths] == [Path(path).name for path in images.paths]
    assert images.labels is None
    assert first.meta['checkpoint_sha256'] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    difference = load_features(tmp_path / 'random' / 'test').features - first.features
    assert np.abs(difference).max() > 1e-3

    run('linear_sweep.py', tmp_path / 'a', '--lrs', '0.01', '1', '--epochs', '2')
    assert 'top1' in capsys.readouterr().out
    with pytest.raises(ValueError, match='kind `single`'):
        run('voc07_svm.py', '--features', tmp_path / 'a')


def write_checkpoint(path: Path) -> None:
    from mmengine.registry import MODELS

    torch.manual_seed(3)
    backbone = MODELS.build(dict(type='mmpretrain.ResNet_CIFAR', depth=18, base_channels=8, stem_channels=8))
    state = {f'backbone.{key}': value for key, value in backbone.state_dict().items()}
    torch.save(dict(state_dict=state), path)


@pytest.mark.slow  # two processes that import everything
def test_two_processes_write_what_one_does(image_root: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    write_checkpoint(tmp_path / 'backbone.pth')
    arguments = [CIFAR, tmp_path / 'backbone.pth', '--splits', 'train', '--cfg-options']
    options = loader_options(image_root) + ['train_dataloader.batch_size=5']  # 24 images each: a short batch
    done = subprocess.run(
        ['tools/dist_launch.sh', 'extract_features.py', '2', *arguments, *options, '--out', tmp_path / 'two'],
        cwd=ROOT,
        env=dict(os.environ, PORT=port, PYTHON=sys.executable, OMP_NUM_THREADS='1', GLOO_SOCKET_IFNAME='lo'),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    run('extract_features.py', *arguments, *options, '--out', tmp_path / 'one')
    one, two = (load_features(tmp_path / name / 'train') for name in ('one', 'two'))
    np.testing.assert_allclose(one.features, two.features, rtol=1e-5, atol=1e-6)
    assert one.labels.tolist() == two.labels.tolist() and one.paths == two.paths


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['extract_features.py', CIFAR, '--out', 'x'], 'either a checkpoint or --random-init'),
        (['voc07_svm.py'], 'either a config or --features'),
        (['voc07_svm.py', VOC], 'either a checkpoint or --random-init'),
        (['voc07_svm.py', VOC, '--random-init', '--costs', '1', '0'], '--costs must be > 0, got 1, 0'),
        (['voc07_svm.py', VOC, '--random-init', '--costs', 'nan'], '--costs must be > 0'),
        (['voc07_svm.py', VOC, '--random-init', '--jobs', '0'], '--jobs must be at least 1'),
    ],
)
def test_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        run(*arguments)
    assert message in capsys.readouterr().err


def test_processes_without_launcher(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv('WORLD_SIZE', '2')
    with pytest.raises(SystemExit):
        run('extract_features.py', CIFAR, '--random-init', '--out', 'x')
    assert '--launcher pytorch' in capsys.readouterr().err


def test_a_config_without_the_split(tmp_path: Path) -> None:
    pretraining = 'configs/clsa_r50_8xb32_200e.py'
    with pytest.raises(ValueError, match='no labelled `train` data.*add a KNNHook'):
        run('extract_features.py', pretraining, '--random-init', '--out', tmp_path, '--cfg-options', *NARROW,
            'model.neck.in_channels=256', 'model.queue_len=8')  # fmt: skip


@pytest.mark.parametrize(
    'arguments', [['extract_features.py', CIFAR, 'none.pth', '--out', 'x'], ['voc07_svm.py', VOC, 'none.pth']]
)
def test_a_checkpoint_that_does_not_exist(arguments: list[str]) -> None:
    with pytest.raises(FileNotFoundError, match=r'no checkpoint file none\.pth; check the path'):
        run(*arguments)


def test_all_folders_are_checked_before_the_first_split(image_root: Path, tmp_path: Path) -> None:
    (tmp_path / 'test').mkdir()
    with pytest.raises(FileExistsError, match='test exists already: remove it'):
        run('extract_features.py', CIFAR, '--random-init', '--out', tmp_path, '--cfg-options',
            *loader_options(image_root))  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ['test']


def test_svm_without_scikit_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before anything is read: there are no images here, nor features."""
    monkeypatch.setitem(sys.modules, 'sklearn', None)
    with pytest.raises(ImportError, match='pip install "scikit-learn'):
        run('voc07_svm.py', '--features', tmp_path)


def test_svm_names_the_class_with_too_few_images(voc_features: Path, tmp_path: Path) -> None:
    for split in ('train', 'test'):
        shutil.copytree(voc_features / split, tmp_path / split)
    labels = np.load(tmp_path / 'train/labels.npy')
    labels[:, 7] = 0
    labels[:2, 7] = 1
    np.save(tmp_path / 'train/labels.npy', labels)
    with pytest.raises(ValueError, match='Class cat has only 2 positive training images'):
        run('voc07_svm.py', '--features', tmp_path)


@pytest.mark.parametrize('tool', [['linear_sweep.py'], ['voc07_svm.py', '--features']])
def test_a_folder_without_features(tool: list[str], tmp_path: Path) -> None:
    message = rf'--out {tmp_path}; load_features .* one split, the tools the folder above it'
    with pytest.raises(FileNotFoundError, match=message):
        run(*tool, tmp_path)
