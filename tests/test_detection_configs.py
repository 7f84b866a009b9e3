"""The detection configs in full size: what they say is what MoCo's protocol and the official configs say."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from clsa_mm.engine.settings import load_config

FOLDER = Path(__file__).parents[1] / 'configs' / 'benchmarks' / 'detection'
NAMES = sorted(path.stem for path in FOLDER.glob('*.py'))
C4 = [name for name in NAMES if '-c4_' in name]
COCO = [name for name in NAMES if name.endswith('x_coco')]
VOC = 'faster-rcnn_r50-c4_8xb2-24k_voc0712'


def load(name: str) -> Config:
    cfg = Config.fromfile(FOLDER / f'{name}.py')
    init_default_scope(cfg.default_scope)
    return cfg


def steps(pipeline: list[dict]) -> dict[str, dict]:
    return {step.type: step for step in pipeline}


def norms(model: nn.Module) -> dict[str, nn.Module]:
    kinds = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)
    return {name: module for name, module in model.named_modules() if isinstance(module, kinds)}


def test_all_are_here() -> None:
    assert len(C4) == 3 and len(COCO) == 4 and len(NAMES) == 8


@pytest.mark.parametrize('name', NAMES)
def test_model(name: str) -> None:
    cfg = load(name)
    model = MODELS.build(cfg.model)
    # RGB in 0..255, as in pretraining, where the model itself sees it.
    assert model.data_preprocessor._channel_conversion is True
    torch.testing.assert_close(
        model.data_preprocessor.mean.flatten(), torch.tensor([123.675, 116.28, 103.53])
    )
    torch.testing.assert_close(model.data_preprocessor.std.flatten(), torch.tensor([58.395, 57.12, 57.375]))
    # Nothing frozen, in training mode too; every normalisation synchronised and trained.
    model.train()
    assert all(parameter.requires_grad for parameter in model.parameters())
    layers = norms(model)
    assert layers and all(isinstance(layer, nn.SyncBatchNorm) for layer in layers.values())
    assert all(layer.training and layer.affine for layer in layers.values())
    # 3 x 3 convolutions carry the stride, as in the pretrained backbones.
    if '_r50-' in name:
        block = model.backbone.layer2[0]
        assert (block.conv1.stride, block.conv2.stride) == ((1, 1), (2, 2))
    # Nothing is downloaded.
    for module in model.modules():
        assert 'Pretrained' not in str(getattr(module, 'init_cfg', None))


@pytest.mark.parametrize('name', NAMES)
def test_schedule(name: str) -> None:
    cfg = load(name)
    gpus, batch = name.split('_')[2].split('-')[0].split('xb')
    assert cfg.train_dataloader.batch_size == int(batch)
    assert cfg.auto_scale_lr.base_batch_size == int(gpus) * int(batch)
    assert not cfg.auto_scale_lr.enable
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.momentum, optimizer.weight_decay) == ('SGD', 0.9, 1e-4)
    warm_up, step = cfg.param_scheduler
    assert (warm_up.type, warm_up.by_epoch, step.type) == ('LinearLR', False, 'MultiStepLR')
    length = cfg.train_cfg.get('max_epochs') or cfg.train_cfg.max_iters
    assert max(step.milestones) < length and step.gamma == 0.1
    assert 'end' not in step and step.get('by_epoch', True) == ('max_epochs' in cfg.train_cfg)


@pytest.mark.parametrize('name', [VOC, *COCO])
def test_protocol_of_moco(name: str) -> None:
    """Official ``detection/configs/*.yaml``, and detectron2's defaults behind them."""
    cfg = load(name)
    warm_up, step = cfg.param_scheduler
    assert cfg.optim_wrapper.optimizer.lr == 0.02 and cfg.auto_scale_lr.base_batch_size == 16
    assert (warm_up.start_factor, warm_up.end) == (0.001, 100 if name == VOC else 1000)
    train = steps(cfg.train_dataloader.dataset.get('datasets', [cfg.train_dataloader.dataset])[0].pipeline)
    sides = [480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800][0 if name == VOC else 5 :]
    assert [tuple(scale) for scale in train['RandomChoiceResize'].scales] == [(1333, side) for side in sides]
    assert train['RandomChoiceResize'].keep_ratio and train['RandomFlip'].prob == 0.5
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        resize = steps(loader.dataset.pipeline)['Resize']
        assert tuple(resize.scale) == (1333, 800) and resize.keep_ratio
    if name == VOC:
        assert cfg.train_cfg.max_iters == 24000 and list(step.milestones) == [18000, 22000]
    else:
        twice = 2 if '-2x' in name else 1
        assert cfg.train_cfg.max_epochs == 12 * twice
        assert list(step.milestones) == ([16, 22] if twice == 2 else [8, 11])


@pytest.mark.parametrize('name', C4)
def test_c4_has_the_extra_norm_and_loads_both_parts(name: str) -> None:
    cfg = load(name)
    model = MODELS.build(cfg.model)
    head = model.roi_head.shared_head
    assert head.norm.num_features == 2048
    features = torch.randn(2, 1024, 14, 14)
    head.eval()
    torch.testing.assert_close(head(features), head.norm(head.layer4(features)))
    assert cfg.default_hooks.pretrained_backbone.modules == ['backbone', 'roi_head.shared_head']
    # Both parts are the pretraining's ResNet-50 but for the extra norm's 5 tensors.
    assert len(model.backbone.state_dict()) + len(head.state_dict()) == 318 + 5


def test_fpn_has_norms_where_moco_adds_them() -> None:
    """In new layers too; the box head is detectron2's for SyncBN: 4 convolutions and 1 linear layer."""
    for name in ('mask-rcnn_r50-fpn_8xb2-1x_coco', 'mask-rcnn_r50-fpn_8xb2-2x_coco'):
        model = MODELS.build(load(name).model)
        counts = {
            part: len(norms(model.get_submodule(part)))
            for part in ('backbone', 'neck', 'rpn_head', 'roi_head.bbox_head', 'roi_head.mask_head')
        }
        assert counts == {
            'backbone': 53, 'neck': 8, 'rpn_head': 0, 'roi_head.bbox_head': 4, 'roi_head.mask_head': 4
        }  # fmt: skip
        assert len(model.roi_head.bbox_head.shared_convs) == 4
        assert len(model.roi_head.bbox_head.shared_fcs) == 1


def test_voc_data_and_scores() -> None:
    cfg = load(VOC)
    first, second = cfg.train_dataloader.dataset.datasets
    assert first.ann_file == 'VOC2007/ImageSets/Main/trainval.txt'
    assert second.ann_file == 'VOC2012/ImageSets/Main/trainval.txt'
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.ann_file == 'VOC2007/ImageSets/Main/test.txt'
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert {metric.prefix: metric.eval_mode for metric in evaluator} == {
            'voc_11points': '11points',
            'voc_area': 'area',
        }
        for metric in evaluator:
            assert metric.iou_thrs == pytest.approx([0.5 + 0.05 * i for i in range(10)])


@pytest.mark.parametrize('style', ['voc', 'coco'])
def test_own_data_takes_a_short_config(style: str) -> None:
    path = FOLDER / f'faster-rcnn_r50-fpn_1xb8-12e_own_{style}.py'
    cfg = load_config(path)
    assert cfg.model.roi_head.bbox_head.num_classes == 3
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.metainfo.classes == ('first', 'second', 'third')
        assert loader.dataset.data_root == 'data/own'
