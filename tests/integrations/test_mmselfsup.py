"""mmselfsup on the current stack: CLSA in its scope, and its own algorithms, on real images."""

import importlib
import os
import re
import runpy
import sys
import tarfile
from pathlib import Path

import mmcv
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope, Registry
from mmengine.runner import Runner
from small_networks import begun_at_once

import clsa_mm
from clsa_mm.engine.machine import adapt_to_machine
from clsa_mm.engine.settings import load_config

VERSION = mmcv.__version__

import clsa_mm.integrations.mmselfsup  # noqa: E402

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs/mmselfsup'
CLSA = 'clsa_r50_8xb32_200e.py'
BASELINES = sorted(path.name for path in (CONFIGS / 'baselines').glob('*.py'))
SHARED = Path(os.environ.get('CLSA_MM_SHARED', ROOT.parent / 'shared'))
NARROW = dict(base_channels=8, stem_channels=8)  # 256 channels at the end of a ResNet-50


@pytest.fixture(scope='module')
def photographs(tmp_path_factory):
    """A folder with a few real pictures."""
    archive = SHARED / 'data/imagenet_sample_200.tar.gz'
    if not archive.exists():
        pytest.skip(f'{archive} is missing; set CLSA_MM_SHARED to the folder that holds data/')
    folder = tmp_path_factory.mktemp('photographs')
    with tarfile.open(archive) as file:
        images = [member for member in file.getmembers() if member.isfile()]
        file.extractall(folder, members=images[:24], filter='data')
    return folder


def small(path, photographs, work_dir, workers=0):
    """A config with small images and a narrow network: 24 pictures, 3 iterations an epoch."""
    options = {
        'launcher': 'none',
        'work_dir': str(work_dir),
        'model.backbone': NARROW,
        'model.neck.in_channels': 256,
        'model.neck.hid_channels': 64,
        'train_dataloader': dict(batch_size=8, num_workers=workers),
        'train_dataloader.dataset.data_root': str(photographs),
        'train_cfg.max_epochs': 1,
        'default_hooks.logger.interval': 1,
    }
    options |= begun_at_once(Config.fromfile(CONFIGS / path).param_scheduler)
    cfg = load_config(CONFIGS / path, options)
    if 'queue_len' in cfg.model:
        cfg.model.queue_len = 16
    if path == CLSA:
        for role, size in dict(key=64, weak=64, strong=32).items():
            cfg.train_dataloader.dataset.views[role].size = size
    else:
        for views in cfg.train_dataloader.dataset.pipeline[1].transforms:
            views[0].size = 64 if views[0].size == 224 else 32
    adapt_to_machine(cfg)
    return cfg


def test_mmcv_keeps_its_version_and_every_location_exists():
    import mmcls.registry
    import mmselfsup.registry

    assert mmcv.__version__ == VERSION
    for module in (mmselfsup.registry, mmcls.registry):
        registries = [value for value in vars(module).values() if isinstance(value, Registry)]
        assert len(registries) > 30  # theirs and mmengine's
        for registry in registries:
            for location in registry._locations:
                importlib.import_module(location)
            registry.import_from_location()


def test_libraries_keep_apart():
    """mmpretrain and mmcls, its older self, register under the same names."""
    for scope in ('mmpretrain', 'mmselfsup', 'mmcls'):
        with DefaultScope.overwrite_default_scope(scope):
            model = MODELS.build(dict(type='ResNet', depth=18))
            assert type(model).__module__ == f'{scope}.models.backbones.resnet'


class Missing:
    """A finder, first in line, to which one package does not exist."""

    def __init__(self, name):
        self.name = name

    def find_spec(self, name, path=None, target=None):
        if name == self.name:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)


@pytest.mark.parametrize(
    ('module', 'package', 'extra'),
    [
        ('mmselfsup', 'mmselfsup', 'mmselfsup'),
        ('mmselfsup', 'mmcls', 'mmselfsup'),
        ('mmdet', 'mmdet', 'detection'),
    ],
)
def test_a_missing_package_is_named_with_its_remedy(monkeypatch, module, package, extra):
    monkeypatch.setattr(sys, 'meta_path', [Missing(package), *sys.meta_path])
    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.delitem(sys.modules, f'clsa_mm.integrations.{module}', raising=False)
    with pytest.raises(
        ImportError, match=rf"needs? {package}.* not installed: pip install 'clsa_mm\[{extra}\]'"
    ):
        runpy.run_module(f'clsa_mm.integrations.{module}')
    assert mmcv.__version__ == VERSION


def test_importing_again_says_nothing(capfd):
    importlib.import_module('clsa_mm.integrations.mmselfsup')
    assert 'mmselfsup' not in ''.join(capfd.readouterr())


def models():
    """Ours under mmpretrain's and mmselfsup's scope, narrow and with the same weights."""
    built = []
    for path, scope in ((f'../{CLSA}', 'mmpretrain'), (CLSA, 'mmselfsup')):
        cfg = Config.fromfile(CONFIGS / path)
        cfg.merge_from_dict({'model.backbone': NARROW, 'model.neck.in_channels': 256, 'model.queue_len': 48})
        assert cfg.default_scope == scope
        with DefaultScope.overwrite_default_scope(scope):
            torch.manual_seed(0)
            model = MODELS.build(cfg.model)
            model.init_weights()
        for part in (model.backbone, model.neck):
            assert type(part).__module__.startswith(f'{scope}.')
        built.append(model)
    built[1].load_state_dict(built[0].state_dict())
    return built


def test_losses_and_gradients_equal_those_of_the_mmpretrain_config():
    results = []
    generator = torch.Generator().manual_seed(0)
    images = {
        role: [torch.randint(256, (6, 3, size, size), dtype=torch.uint8, generator=generator)]
        for role, size in dict(key=64, weak=64, strong=48).items()
    }
    for model in models():
        model.train()
        for _ in range(3):  # the key encoder moves and the queue fills
            data = model.data_preprocessor(dict(inputs=images, data_samples=None), training=True)
            losses = {key: value for key, value in model.loss(data['inputs']).items() if 'loss' in key}
            model.zero_grad()
            sum(losses.values()).backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.grad is not None:
                        parameter -= 0.1 * parameter.grad
            model.momentum_update()
            model.enqueue()
        results.append((losses, model.state_dict(), [p.grad for p in model.parameters()]))
    assert set(results[0][0]) == {'loss_contrastive', 'loss_ddm'}
    torch.testing.assert_close(*results, rtol=0, atol=1e-6)


def test_only_the_scope_differs_from_the_mmpretrain_config():
    ours, theirs = (Config.fromfile(path).to_dict() for path in (CONFIGS.parent / CLSA, CONFIGS / CLSA))
    differing = {key for key in ours if ours[key] != theirs[key]}
    assert ours.keys() == theirs.keys()
    assert differing == {'default_scope', 'custom_imports', 'visualizer'}


@pytest.mark.parametrize('name', BASELINES)
def test_mmselfsups_own_schedules_and_batches(name):
    """mmselfsup's lengths, written by train_cfg alone; images per step by file name and accumulation."""
    cfg = load_config(CONFIGS / 'baselines' / name)
    epochs = int(re.search(r'_(\d+)e', name)[1])
    assert cfg.train_cfg.max_epochs == epochs
    assert not any(
        'end' in schedule for schedule in cfg.param_scheduler if schedule.type == 'CosineAnnealingLR'
    )
    steps = cfg.optim_wrapper.get('accumulative_counts', 1)
    assert cfg.auto_scale_lr.base_batch_size == 8 * cfg.train_dataloader.batch_size * steps
    base = re.search(r"_base_ = 'mmselfsup::(.*)'", (CONFIGS / 'baselines' / name).read_text())[1]
    import mmselfsup

    original = Config.fromfile(Path(mmselfsup.__file__).parent / '.mim/configs' / base)
    for mine, its in zip(cfg.param_scheduler, original.param_scheduler, strict=True):
        filled = dict(by_epoch=True, begin=0, end=epochs) | mine
        if mine.type == 'CosineAnnealingLR':
            filled['T_max'] = filled['end'] - filled['begin']
        assert filled == its


def test_clsa_runs_under_mmselfsup(photographs, tmp_path):
    cfg = small(CLSA, photographs, tmp_path, workers=2)
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert type(runner.visualizer).__module__ == 'mmselfsup.visualization.selfsup_visualizer'
    assert runner.iter == 3
    assert runner.model.queue.total == 24
    losses = {key for key in runner.message_hub.log_scalars if 'loss_' in key}
    assert losses == {'train/loss_contrastive', 'train/loss_ddm'}
    # Elsewhere its backbone is mmpretrain's, which counts the stages from another number.
    backbone = clsa_mm.load_backbone(tmp_path / 'epoch_1.pth')
    images = torch.randn(2, 3, 64, 64)
    runner.model.eval()
    with torch.no_grad():
        assert torch.equal(backbone(images)[0], runner.model.backbone(images)[0])


@pytest.mark.parametrize('name', BASELINES)
def test_mmselfsups_own_algorithms_run(name, photographs, tmp_path):
    cfg = small(f'baselines/{name}', photographs, tmp_path)
    for hook in cfg.get('custom_hooks', []):
        if hook.type == 'SwAVHook':
            hook.batch_size = 8
    runner = Runner.from_cfg(cfg)
    model = runner.model
    assert type(model).__module__.startswith('mmselfsup.')
    before = [parameter.detach().clone() for parameter in model.backbone.parameters()]
    runner.train()
    assert runner.iter == 3
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 3
    assert all(torch.isfinite(torch.as_tensor(loss)) for loss in losses)
    after = list(model.backbone.parameters())
    assert any(not torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_the_baselines_are_those_that_are_promised():
    assert [name.split('_')[0] for name in BASELINES] == ['byol', 'mocov2', 'simclr', 'simsiam', 'swav']
