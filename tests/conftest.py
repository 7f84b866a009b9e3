"""Small pictures and small versions of the real configs."""

import gc
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import settings
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader
from small_networks import begun_at_once, small_network, small_sizes
from yapf.yapflib import yapf_api

import clsa_mm  # noqa: F401  registers everything
from clsa_mm.checkpoints.read import trust_checkpoints
from clsa_mm.engine.settings import load_config

ROOT = Path(__file__).parents[1]
# Property tests: the same examples each time, and more of them where asked for.
settings.register_profile(
    'few',
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=int(os.environ.get('CLSA_MM_EXAMPLES', '25')),
)
settings.load_profile('few')


@pytest.fixture(scope='session', autouse=True)
def _quick_runs() -> None:
    """What took most of a small run's time and changes nothing in it."""
    torch.set_num_threads(1)
    gc.freeze()  # each data set collects garbage; the imported libraries are none
    yapf_api.FormatCode = lambda text, **_: (text, True)  # breaks the lines of configs that runners write


@pytest.fixture(autouse=True)
def _loading_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A tool that a test runs in this process holds the whole process to safe loading, or to trust."""
    monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '0')
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    yield
    trust_checkpoints(False)


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    """A training that a test lets fail leaves its handlers behind."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _scope_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """A config that a test runs leaves its default scope behind."""
    monkeypatch.setattr(DefaultScope, '_instance_dict', DefaultScope._instance_dict.copy())


@pytest.fixture(scope='session')
def image_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``train/<class>/*.png`` and ``test/<class>/*.png``: 3 classes of 16 and 8 small pictures."""
    root = tmp_path_factory.mktemp('images')
    rng = np.random.default_rng(0)
    for split, number in (('train', 16), ('test', 8)):
        for index, name in enumerate(('circle', 'cross', 'square')):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(number):
                image = rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)
                image[8 * index : 8 * index + 16, 10:30] = rng.integers(0, 256, 3)
                cv2.imwrite(str(folder / f'{i}.png'), image)
    return root


@pytest.fixture
def tiny_pretraining(image_root: Path, tmp_path: Path) -> Callable[..., Config]:
    """A pretraining config with a small network, small views and 48 images, 6 iterations an epoch."""

    def make(name: str = 'cifar10/clsa_r18_1xb256_200e_cifar10.py', **options: object) -> Config:
        path = ROOT / 'configs' / name
        whole = Config.fromfile(path)
        views = whole.train_dataloader.dataset.views
        small = small_network(whole.model) | {
            'work_dir': str(tmp_path / 'work'),
            'env_cfg.dist_cfg.backend': 'gloo',
            'train_dataloader.dataset.data_root': str(image_root),
            'train_dataloader.dataset.data_prefix': 'train',
            **{
                f'train_dataloader.dataset.views.{role}.size': small_sizes(settings.size, role)
                for role, settings in views.items()
            },
            'train_dataloader.batch_size': 8,
            'train_dataloader.num_workers': 0,
            'train_dataloader.pin_memory': False,
            'train_cfg.max_epochs': 2,
        }
        if 'subfolders' in whole.train_dataloader.dataset:
            small['train_dataloader.dataset.subfolders'] = ['circle', 'cross', 'square']
        if 'watch' in whole.default_hooks:
            small |= {'default_hooks.watch.images': 4, 'default_hooks.watch.draws': 2}
        if 'knn' in whole.default_hooks:
            small['default_hooks.knn'] = None
        small |= begun_at_once(whole.param_scheduler)
        return load_config(path, small | options)

    return make
