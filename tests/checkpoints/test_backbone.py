import importlib
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from labelled_images import TinyModel, loader_config, write_images
from mmengine.logging import HistoryBuffer
from mmengine.registry import MODELS
from mmengine.runner import Runner
from mmpretrain.models import ImageClassifier, ResNet, TIMMBackbone

import clsa_mm
from clsa_mm.checkpoints.backbone import (
    CheckpointError,
    backbone_state_dict,
    load_backbone,
    load_backbone_weights,
    read_checkpoint,
)

NARROW = "dict(type='ResNet_CIFAR', depth=18, stem_channels=8, base_channels=8)"


class Touch:
    """Unpickles to the creation of a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


class Reach:
    """Unpickles to an attribute of the one class whose attributes a log names."""

    def __init__(self, owner: object, name: str) -> None:
        self.target = owner, name

    def __reduce__(self) -> tuple:
        return getattr, self.target


def save(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def tensors_equal(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Runner]:
    """A checkpoint that mmengine's runner wrote, with optimizer, schedulers and message hub."""
    folder = tmp_path_factory.mktemp('trained')
    write_images(folder / 'images', per_class=2)
    runner = Runner(
        model=TinyModel(),
        work_dir=str(folder / 'run'),
        train_dataloader=dict(
            loader_config(folder / 'images'),
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
        param_scheduler=[dict(type='CosineAnnealingLR', T_max=1)],
        default_scope='mmpretrain',
        experiment_name='checkpoint',
    )
    runner.train()
    return folder / 'run' / 'epoch_1.pth', runner


def test_mmengine_training_checkpoint_is_read_whole(trained: tuple[Path, Runner]) -> None:
    path, runner = trained
    checkpoint = read_checkpoint(path)
    assert tensors_equal(checkpoint['state_dict'], runner.model.state_dict())
    assert checkpoint['meta']['epoch'] == 1 and checkpoint['optimizer']['state']
    losses = checkpoint['message_hub']['log_scalars']['train/loss']
    reference = runner.message_hub.get_scalar('train/loss')
    assert type(losses) is HistoryBuffer
    assert np.array_equal(losses.data[0], reference.data[0]) and len(losses.data[0]) == 2
    assert losses.mean() == reference.mean()


@pytest.mark.parametrize('legacy', [False, True])
def test_malicious_pickle_runs_nothing(tmp_path: Path, legacy: bool) -> None:
    target = tmp_path / 'touched'
    path = tmp_path / 'evil.pth'
    torch.save(
        dict(state_dict={'conv1.weight': torch.ones(1)}, x=Touch(target)),
        path,
        _use_new_zipfile_serialization=not legacy,
    )
    for read in (read_checkpoint, load_backbone):
        with pytest.raises(CheckpointError, match=r'wants to load `\w+\.mkdir`.*could run code'):
            read(path)
    assert not target.exists()
    torch.load(path, weights_only=False)
    assert target.exists()  # the same file does run code where nothing stops it


def test_a_log_cannot_be_used_to_reach_further(tmp_path: Path) -> None:
    for owner, name in [(HistoryBuffer, '__init__'), (HistoryBuffer, '__globals__'), (dict, 'get')]:
        path = save(tmp_path / 'evil.pth', dict(state_dict={}, x=Reach(owner, name)))
        with pytest.raises(CheckpointError, match='could run code|damaged|not a checkpoint'):
            read_checkpoint(path)


def test_a_log_brings_no_methods_along(tmp_path: Path) -> None:
    buffer = HistoryBuffer([1.0, 2.0], [1, 1])
    before = dict(HistoryBuffer._statistics_methods)
    try:
        HistoryBuffer._statistics_methods.update(mean=HistoryBuffer.max, extra=HistoryBuffer.min)
        path = save(tmp_path / 'log.pth', dict(log=buffer))
    finally:
        HistoryBuffer._statistics_methods.clear()
        HistoryBuffer._statistics_methods.update(before)
    loaded = read_checkpoint(path)['log']
    assert HistoryBuffer._statistics_methods == before
    assert loaded.statistics('mean') == 1.5


def test_allowances_end_with_the_reading(trained: tuple[Path, Runner]) -> None:
    before = set(torch.serialization.get_safe_globals())  # torch keeps a set
    read_checkpoint(trained[0])
    assert set(torch.serialization.get_safe_globals()) == before


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='no checkpoint file .*missing.pth; check the path'):
        read_checkpoint(tmp_path / 'missing.pth')
    text = tmp_path / 'text.pth'
    text.write_text('just text')
    (tmp_path / 'empty.pth').touch()
    cut = tmp_path / 'cut.pth'
    cut.write_bytes(save(tmp_path / 'whole.pth', dict(a=torch.ones(9))).read_bytes()[:300])
    for path in (text, tmp_path / 'empty.pth', cut):
        with pytest.raises(CheckpointError, match=f'{path.name} is not a checkpoint'):
            read_checkpoint(path)
    with pytest.raises(CheckpointError, match='holds a Tensor, not a dictionary'):
        read_checkpoint(save(tmp_path / 'tensor.pth', torch.ones(1)))
    plain = tmp_path / 'plain.pkl'
    plain.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(CheckpointError, match='holds a list|not a checkpoint'):
        read_checkpoint(plain)


@pytest.mark.parametrize('prefix', ['backbone.', 'module.backbone.', '', 'module.'])
@pytest.mark.parametrize('nested', [True, False])
def test_layouts_of_backbone_weights(prefix: str, nested: bool) -> None:
    weights = TinyModel().backbone.state_dict()
    state = {prefix + key: value for key, value in weights.items()}
    if 'backbone' in prefix:
        outer = prefix.removesuffix('backbone.')
        state[outer + 'key_encoder.backbone.conv1.weight'] = torch.zeros(1)
        state[outer + 'queue.keys'] = torch.zeros(4, 2)
    checkpoint = dict(state_dict=state, meta={}) if nested else state
    assert tensors_equal(backbone_state_dict(checkpoint), weights)


def test_image_classifier_checkpoint() -> None:
    model = ImageClassifier(
        backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=3, in_channels=64),
    )
    state = backbone_state_dict(dict(state_dict=model.state_dict()))
    assert tensors_equal(state, model.backbone.state_dict())


def test_no_weights() -> None:
    with pytest.raises(CheckpointError, match='holds no weights, only meta'):
        backbone_state_dict(dict(meta=dict(epoch=1)))


def test_report_of_a_partial_match(tmp_path: Path) -> None:
    module, other = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
    state = dict(weight=other.weight.data, bias=torch.ones(4), more=torch.ones(1))
    report = load_backbone_weights(module, save(tmp_path / 'a.pth', state))
    assert torch.equal(module.weight, other.weight) and not report.complete
    assert report.matched == ['weight'] and report.unused == ['more']
    assert report.mismatched == ['bias ((4,) in the file, (3,) in the module)']
    assert str(report).startswith('loaded 1/2 keys from')


@pytest.mark.parametrize(('found', 'wanted'), [(18, 50), (101, 50), (50, 101), (34, 18)])
def test_weights_of_another_depth_are_refused(tmp_path: Path, found: int, wanted: int) -> None:
    """Many names and shapes of a deeper ResNet fit a shallower one, which would run as a mixture."""
    state = getattr(torchvision.models, f'resnet{found}')().state_dict()
    path = save(tmp_path / 'other.pth', state)
    model = ResNet(depth=wanted)
    before = model.conv1.weight.clone()
    with pytest.raises(
        CheckpointError, match=f'holds a ResNet-{found} and the ResNet has depth {wanted}: give'
    ):
        load_backbone_weights(model, path)
    assert torch.equal(model.conv1.weight, before)


def test_nothing_matches(tmp_path: Path) -> None:
    path = save(tmp_path / 'a.pth', dict(weight=torch.ones(5), kernel=torch.ones(1)))
    with pytest.raises(
        CheckpointError, match='it has weight, bias, the file has weight, kernel. Shapes differ'
    ):
        load_backbone_weights(torch.nn.Linear(2, 3), path)


def test_load_backbone_builds_what_the_config_says(tmp_path: Path) -> None:
    """`strides` leave no trace in the weights: only the config tells them."""
    config = dict(type='ResNet_CIFAR', depth=18, base_channels=8, stem_channels=8)
    config |= dict(strides=(1, 1, 2, 2), norm_cfg=dict(type='BN', eps=0.1))
    # What a linear evaluation froze there can be trained here.
    config |= dict(frozen_stages=4, norm_eval=True)
    source = MODELS.build(dict(config, type='mmpretrain.ResNet_CIFAR'))
    text = f"base = 3\nmodel = dict(type='CLSA', backbone={config}, head=dict(type='DDMHead'))"
    state = {f'backbone.{key}': value for key, value in source.state_dict().items()}
    path = save(tmp_path / 'a.pth', dict(state_dict=state, meta=dict(cfg=text)))
    backbone = clsa_mm.load_backbone(path)
    images = torch.rand(2, 3, 16, 16)
    source.eval()
    assert not backbone.training
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    backbone.train()  # mmpretrain's do not return themselves
    assert all(module.training for module in backbone.modules())
    backbone.eval()
    assert torch.equal(backbone(images)[-1], source(images)[-1])


@pytest.mark.parametrize(
    ('name', 'depth'),
    [('resnet18', 18), ('resnet34', 34), ('resnet50', 50), ('resnet101', 101), ('resnet152', 152)],
)
def test_load_backbone_infers_resnets_from_weights(tmp_path: Path, name: str, depth: int) -> None:
    """torchvision's network is the oracle for the features."""
    reference = getattr(torchvision.models, name)().eval()
    path = save(tmp_path / 'a.pth', reference.state_dict())
    backbone = load_backbone(path)
    assert isinstance(backbone, ResNet) and backbone.depth == depth
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        x = reference.maxpool(reference.relu(reference.bn1(reference.conv1(images))))
        for stage in (reference.layer1, reference.layer2, reference.layer3, reference.layer4):
            x = stage(x)
        torch.testing.assert_close(backbone(images)[-1], x)


def test_load_backbone_infers_the_cifar_stem(tmp_path: Path) -> None:
    source = TinyModel().backbone
    source.eval()
    backbone = load_backbone(save(tmp_path / 'a.pth', source.state_dict()))
    images = torch.rand(1, 3, 16, 16)
    assert torch.equal(backbone(images)[-1], source(images)[-1])


def test_load_backbone_of_unknown_weights(tmp_path: Path) -> None:
    path = save(tmp_path / 'a.pth', {'patch_embed.weight': torch.ones(1)})
    with pytest.raises(CheckpointError, match='not those of a ResNet .*Build the backbone yourself'):
        load_backbone(path)


def test_load_backbone_with_weights_that_do_not_fit_its_config(tmp_path: Path) -> None:
    state = {f'backbone.{k}': v for k, v in TinyModel().backbone.state_dict().items()}
    del state['backbone.layer4.1.conv2.weight']
    text = f'model = dict(backbone={NARROW})'
    with pytest.raises(CheckpointError, match='1 missing: layer4.1.conv2.weight'):
        load_backbone(save(tmp_path / 'a.pth', dict(state_dict=state, meta=dict(cfg=text))))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ("model = dict(backbone=__import__('os').mkdir({path}))", 'is no literal'),
        ("model = dict(backbone=dict(type='ResNet', depth=os.mkdir({path})))", 'is no literal'),
        ("model = dict(backbone=[x for x in open({path}, 'w')])", 'not the plain data'),
        ("model = dict(backbone=dict(**{{'a': 1}}))", 'is no literal'),
        ("model = dict(backbone=dict(type='os.mkdir', path={path}))", 'asks for `os.mkdir`'),
        ("model = dict(backbone=dict(type='mmengine.os.mkdir', path={path}))", 'asks for'),
        ("model = dict(backbone=dict(type='antigravity'))", 'asks for `antigravity`'),
        (
            "model = dict(backbone=dict(type='TIMMBackbone', checkpoint_path={path}))",
            'asks for None of `TIMMBackbone`',
        ),
        (
            "model = dict(backbone=dict(type='ResNet', depth=18, norm_cfg=dict(type='os.mkdir')))",
            'asks for `os.mkdir`.*load_backbone_weights',
        ),
        ('model = dict(', 'not the plain data'),
        ("import os; os.mkdir({path})\nmodel = dict(backbone=dict(type='nothing'))", 'asks for'),
    ],
)
def test_malicious_config_runs_nothing(tmp_path: Path, text: str, message: str) -> None:
    target = tmp_path / 'touched'
    state = TinyModel().backbone.state_dict()
    meta = dict(cfg=text.format(path=repr(str(target))))
    path = save(tmp_path / 'a.pth', dict(state_dict=state, meta=meta))
    with pytest.raises(CheckpointError, match=message):
        load_backbone(path)
    assert not target.exists()


@pytest.fixture
def evil_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module `evil` with a layer and a registry, which must not get imported."""
    folder = tmp_path / 'path' / 'evil'
    folder.mkdir(parents=True)
    (folder / '__init__.py').write_text('from torch.nn import BatchNorm2d, Conv2d, ReLU\n')
    (folder / 'registry.py').touch()
    monkeypatch.syspath_prepend(folder.parent)
    yield
    assert 'evil' not in sys.modules
    assert importlib.import_module('evil').Conv2d is torch.nn.Conv2d
    for name in [name for name in sys.modules if name.partition('.')[0] == 'evil']:
        del sys.modules[name]


@pytest.mark.usefixtures('evil_module')
@pytest.mark.parametrize(
    ('backbone', 'name'),
    [
        (dict(type='VisionTransformer', patch_cfg=dict(conv_type='evil.Conv2d')), 'evil.Conv2d'),
        (dict(type='VisionTransformer', patch_cfg=dict(conv_type='subprocess.Popen')), 'subprocess.Popen'),
        (dict(type='VisionTransformer', patch_cfg=dict(conv_type='TIMMBackbone')), 'TIMMBackbone'),
        (dict(type='ResNet', depth=18, norm_cfg=dict(type='evil.BatchNorm2d')), 'evil.BatchNorm2d'),
        (dict(type='MobileNetV2', act_cfg=dict(type='evil.ReLU')), 'evil.ReLU'),
        (dict(type='MobileNetV2', conv_cfg=dict(type='evil.Conv2d')), 'evil.Conv2d'),
        (dict(type='evil.registry.x'), 'evil.registry.x'),
    ],
)  # fmt: skip
def test_no_name_in_a_config_is_imported(tmp_path: Path, backbone: dict, name: str) -> None:
    state = TinyModel().backbone.state_dict()
    path = save(
        tmp_path / 'a.pth', dict(state_dict=state, meta=dict(cfg=f'model = dict(backbone={backbone})'))
    )
    with pytest.raises(CheckpointError, match=f'asks for `{name}`'):
        load_backbone(path)
    assert isinstance(MODELS.build(dict(type='torch.nn.Identity')), torch.nn.Identity)  # others still may


@pytest.mark.usefixtures('evil_module')
@pytest.mark.parametrize(
    'text',
    [
        f"custom_imports = dict(imports=['evil'])\nmodel = dict(backbone={NARROW})",
        f"default_scope = 'evil'\nmodel = dict(_scope_='evil', backbone={NARROW})",
        f"model = dict(backbone={NARROW[:-1]}, _scope_='evil'))",
        f"model = dict(backbone={NARROW[:-1]}, norm_cfg=dict(type='BN', _scope_='evil')))",
        f"model = dict(backbone={NARROW[:-1]}, init_cfg=dict(type='evil.x')))",
        f"model = dict(backbone={NARROW[:-1]}, init_cfg=dict(type='Pretrained', checkpoint='http://0.0.0.0/a')))",
    ],
)  # fmt: skip
def test_what_a_backbone_does_not_need_is_left_out(tmp_path: Path, text: str) -> None:
    state = TinyModel().backbone.state_dict()
    backbone = load_backbone(save(tmp_path / 'a.pth', dict(state_dict=state, meta=dict(cfg=text))))
    backbone.init_weights()


def test_initialisation_in_a_config_fetches_nothing(tmp_path: Path) -> None:
    evil = save(tmp_path / 'evil.pth', Touch(tmp_path / 'touched'))
    init = f"dict(type='Pretrained', checkpoint={str(evil)!r})"
    text = f'model = dict(backbone={NARROW[:-1]}, init_cfg={init}))'
    state = TinyModel().backbone.state_dict()
    backbone = load_backbone(save(tmp_path / 'a.pth', dict(state_dict=state, meta=dict(cfg=text))))
    backbone.init_weights()
    assert not (tmp_path / 'touched').exists()


def test_timms_own_file_fits_mmpretrains_wrapper_of_the_network(tmp_path: Path) -> None:
    network = timm.create_model('resnet10t', num_classes=0)
    wrapper = TIMMBackbone(model_name='resnet10t')
    report = load_backbone_weights(wrapper, save(tmp_path / 'a.pth', network.state_dict()))
    assert report.complete and not report.unused
    found = wrapper.state_dict()
    assert all(
        torch.equal(found[f'timm_model.{name}'], value) for name, value in network.state_dict().items()
    )
