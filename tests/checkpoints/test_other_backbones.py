"""Checkpoints of a transformer, a ConvNeXt and a model of timm: trained from their configs, and exported."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from labelled_images import knn_config, write_images
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from torch import nn

import clsa_mm
from clsa_mm.checkpoints.backbone import CheckpointError
from clsa_mm.checkpoints.convert import convert, convert_file
from clsa_mm.checkpoints.publish import publish_checkpoint
from clsa_mm.checkpoints.read import read_checkpoint
from clsa_mm.engine import KNNHook
from clsa_mm.evaluation import global_average_pool

NAMES = ['vit-small', 'convnext-tiny', 'timm-efficientnet-b0']
Trained = tuple[nn.Module, Path, dict]


@pytest.fixture(params=NAMES)
def trained(request: pytest.FixtureRequest, tiny_pretraining: Callable, tmp_path: Path) -> Trained:
    """The model after an epoch of 6 iterations, its checkpoint, and the config of its backbone."""
    cfg = tiny_pretraining(f'backbones/clsa_{request.param}_8xb32_200e.py', **{'train_cfg.max_epochs': 1})
    runner = Runner.from_cfg(cfg)
    runner.train()
    runner.model.eval()  # mmpretrain's transformers return nothing
    return runner.model, tmp_path / 'work' / 'epoch_1.pth', cfg.model.backbone


def features(backbone: nn.Module, pixels: int = 64) -> torch.Tensor:
    images = torch.randn(2, 3, pixels, pixels, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return global_average_pool(backbone(images))


def test_the_same_features_from_every_file(trained: Trained, tmp_path: Path) -> None:
    """The checkpoint, the published one, that of the backbone alone, and the backbone for mmpretrain."""
    model, path, config = trained
    expected = {pixels: features(model.backbone, pixels) for pixels in (64, 96)}
    files = [path]
    for alone in (False, True):
        files.append(publish_checkpoint(path, tmp_path / f'published_{alone}', backbone_only=alone)[0])
    for layout in ('mm', 'clsa'):
        files.append(tmp_path / f'{layout}.pth')
        conversion = convert_file(path, files[-1], layout)
        assert conversion.taken['backbone'] == len(model.backbone.state_dict())
    for file in files:
        backbone = clsa_mm.load_backbone(file)
        assert not backbone.training
        for pixels, value in expected.items():
            assert torch.equal(features(backbone, pixels), value), (file, pixels)
    init_default_scope('mmpretrain')
    pretrained = dict(type='Pretrained', checkpoint=str(tmp_path / 'mm.pth'))
    other = MODELS.build({**config, 'init_cfg': pretrained})
    other.init_weights()
    other.eval()
    assert torch.equal(features(other), expected[64])


def test_nearest_neighbours_of_their_features(trained: Trained, tmp_path: Path) -> None:
    """Noise of three colours, which random features tell apart; by hand from the loaded backbone."""
    for split, number in (('train', 6), ('test', 3)):
        write_images(tmp_path / split, per_class=number, size=32)
    model, path, _ = trained
    init_default_scope('mmpretrain')
    hook = KNNHook(**knn_config(tmp_path, k=1))
    scores = hook.score(model)
    backbone = clsa_mm.load_backbone(path)
    sets = []
    for name in ('train', 'test'):
        samples = [hook._loaders[name].dataset[i] for i in range(len(hook._loaders[name].dataset))]
        images = torch.stack([sample['inputs'] for sample in samples])
        images = model.data_preprocessor(dict(inputs=images, data_samples=None))['inputs']
        with torch.no_grad():
            vectors = global_average_pool(backbone(images))
        labels = [int(sample['data_samples'].gt_label) for sample in samples]
        sets.append((torch.nn.functional.normalize(vectors, dim=1), torch.tensor(labels)))
    (bank, bank_labels), (queries, labels) = sets
    hits = bank_labels[(queries @ bank.T).argmax(dim=1)] == labels
    assert scores['top1'] == pytest.approx(100 * hits.double().mean().item())


@pytest.mark.parametrize('layout', ['torchvision', 'timm', 'detectron2', 'official'])
def test_formats_of_resnets_refuse(trained: Trained, layout: str) -> None:
    with pytest.raises(CheckpointError, match='can hold ResNet-18, .*another backbone.*Convert to mm'):
        convert(read_checkpoint(trained[1]), layout)


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        ("model_name='hf-hub:somebody/something'", "asks for 'hf-hub:somebody/something' of `TIMMBackbone`"),
        ("model_name='local-dir:/somewhere'", "asks for 'local-dir:/somewhere'"),
        ("model_name='no_such_model'", "asks for 'no_such_model'"),
        ('model_name=dict(a=1)', 'asks for .* of `TIMMBackbone`, which this timm has not'),
        ("model_name='test_efficientnet', norm_layer='os.mkdir'", 'asks for `os.mkdir`'),
    ],
)
def test_a_config_makes_timm_fetch_nothing(tmp_path: Path, given: str, message: str) -> None:
    meta = dict(cfg=f"model = dict(backbone=dict(type='TIMMBackbone', {given}))")
    torch.save(dict(state_dict={'backbone.a': torch.ones(1)}, meta=meta), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=message):
        clsa_mm.load_backbone(tmp_path / 'a.pth')


def test_weights_that_a_config_names_are_not_read(tmp_path: Path) -> None:
    """timm would read the file, or fetch weights of the model's own."""
    init_default_scope('mmpretrain')
    backbone = MODELS.build(dict(type='TIMMBackbone', model_name='test_efficientnet'))
    backbone.eval()
    named = f"pretrained=True, checkpoint_path={str(tmp_path / 'none.pth')!r}, pretrained_cfg=dict(file='x')"
    text = f"model = dict(backbone=dict(type='TIMMBackbone', model_name='test_efficientnet', {named}))"
    state = {f'backbone.{name}': value for name, value in backbone.state_dict().items()}
    torch.save(dict(state_dict=state, meta=dict(cfg=text)), tmp_path / 'a.pth')
    assert torch.equal(features(clsa_mm.load_backbone(tmp_path / 'a.pth')), features(backbone))
