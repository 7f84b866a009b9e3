import copy
from functools import partial
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from small_networks import small_network

CONFIGS = Path(__file__).parents[2] / 'configs' / 'benchmarks' / 'classification'
# Networks that no test makes narrow.
LARGE = ('linear_convnext', 'linear_vit')
# One label per image; the multi-label one of VOC07 has its own tests.
NAMES = sorted(path.stem for path in CONFIGS.glob('linear_*.py') if 'voc07' not in path.stem)


class ModeSpy(Hook):
    """Notes in each step which parts of the backbone were in training mode."""

    def __init__(self) -> None:
        self.training: list[str] = []

    def before_train(self, runner: Runner) -> None:
        """Watch the modes at the time of the forward pass."""
        for name, module in runner.model.backbone.named_modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.register_forward_hook(partial(self._note_mode, name))

    def _note_mode(self, name: str, module: torch.nn.Module, *args: object) -> None:
        if module.training:
            self.training.append(name)


def tiny_config(name: str, image_root: Path, work_dir: Path) -> Config:
    """The config itself with a narrow backbone and the fixture's pictures."""
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    cfg.work_dir = str(work_dir)
    cfg.env_cfg.dist_cfg.backend = 'gloo'
    cfg.merge_from_dict(small_network(cfg.model))
    for loader, split in ((cfg.train_dataloader, 'train'), (cfg.val_dataloader, 'test')):
        loader.update(batch_size=16, num_workers=0, persistent_workers=False, pin_memory=False)
        loader.dataset = dict(
            type='CustomDataset',
            data_root=str(image_root),
            data_prefix=split,
            pipeline=loader.dataset.pipeline,
        )
    cfg.test_dataloader = cfg.val_dataloader
    cfg.train_cfg.update(max_epochs=2, val_interval=1)
    cfg.experiment_name = f'{work_dir.parent.name}_{name}'
    return cfg


@pytest.mark.parametrize(
    'name',
    [pytest.param(name, marks=pytest.mark.slow) if name.startswith(LARGE) else name for name in NAMES],
)
def test_only_the_classifier_learns(name: str, image_root: Path, tmp_path: Path) -> None:
    cfg = tiny_config(name, image_root, tmp_path / 'first')
    pretrained = Runner.from_cfg(cfg).model
    pretrained.init_weights()
    for module in pretrained.backbone.modules():  # statistics as a pretraining leaves them
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.num_batches_tracked.fill_(7)
    expected = copy.deepcopy(pretrained.backbone.state_dict())
    torch.save(dict(state_dict=pretrained.state_dict()), tmp_path / 'pretrained.pth')

    cfg = tiny_config(name, image_root, tmp_path / 'second')
    cfg.default_hooks.pretrained_backbone.checkpoint = str(tmp_path / 'pretrained.pth')
    spy = ModeSpy()
    runner = Runner.from_cfg(cfg)
    runner.register_hook(spy)
    classifier = copy.deepcopy(runner.model.head.state_dict())
    runner.train()

    after = runner.model.backbone.state_dict()
    assert runner.iter == 6 and after.keys() == expected.keys()
    assert all(torch.equal(after[key], value) for key, value in expected.items())
    assert spy.training == []
    learning = {n for n, p in runner.model.named_parameters() if p.requires_grad}
    assert learning == {'head.fc.weight', 'head.fc.bias'}
    assert not torch.equal(runner.model.head.fc.weight, classifier['fc.weight'])
    scores = [runner.message_hub.get_scalar(f'val/accuracy/top{k}').current() for k in (1, 5)]
    assert 0 <= scores[0] <= scores[1] <= 100


@pytest.mark.parametrize(
    ('name', 'pretraining'),
    [
        ('linear_r50_8xb32_100e_imagenet', 'clsa_r50_8xb32_200e'),
        ('linear_vit-small_8xb32_100e_imagenet', 'backbones/clsa_vit-small_8xb32_200e'),
        ('linear_convnext-tiny_8xb32_100e_imagenet', 'backbones/clsa_convnext-tiny_8xb32_200e'),
        ('linear_r50_1xb256_100e_voc07', 'clsa_r50_8xb32_200e'),
        ('linear_r18_1xb256_100e_cifar10', 'cifar10/clsa_r18_1xb256_200e_cifar10'),
        ('linear_r18_1xb64_15e_embedded', 'embedded/clsa_r18_1xb64_24e_embedded'),
    ],
)
def test_backbone_and_normalisation_are_those_of_the_pretraining(name: str, pretraining: str) -> None:
    linear = Config.fromfile(CONFIGS / f'{name}.py').model
    source = Config.fromfile(CONFIGS.parents[1] / f'{pretraining}.py').model
    init_default_scope('mmpretrain')
    shapes = [
        {key: value.shape for key, value in MODELS.build(model.backbone).state_dict().items()}
        for model in (linear, source)
    ]
    assert shapes[0] == shapes[1]
    for key in ('mean', 'std', 'to_rgb'):
        assert linear.data_preprocessor[key] == source.data_preprocessor[key]


def test_imagenet_arithmetic_is_the_papers() -> None:
    """arXiv 2104.07713, and the official lincls.py where the paper is silent."""
    cfg = Config.fromfile(CONFIGS / 'linear_r50_8xb32_100e_imagenet.py')
    assert cfg.optim_wrapper.optimizer == dict(type='SGD', lr=10.0, momentum=0.9, weight_decay=0.0)
    assert cfg.train_dataloader.batch_size * 8 == cfg.auto_scale_lr.base_batch_size == 256
    assert cfg.train_cfg.max_epochs == 100
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=10.0)
    assert cfg.param_scheduler == dict(type='CosineAnnealingLR', eta_min=0.0)
    torch_cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, cfg.train_cfg.max_epochs)
    for _ in range(100):
        optimizer.step()
        torch_cosine.step()
    assert optimizer.param_groups[0]['lr'] == pytest.approx(0.0, abs=1e-9)


def test_a_learned_classifier_is_tested_with_its_own_weights(image_root: Path, tmp_path: Path) -> None:
    """tools/test.py's way: `load_from` holds the backbone too, so the hook keeps out."""
    name = 'linear_r18_1xb256_100e_cifar10'
    runner = Runner.from_cfg(tiny_config(name, image_root, tmp_path / 'first'))
    runner.train()
    trained = runner.message_hub.get_scalar('val/accuracy/top1').current()
    cfg = tiny_config(name, image_root, tmp_path / 'second')
    cfg.default_hooks.pretrained_backbone.checkpoint = str(tmp_path / 'does_not_exist.pth')
    cfg.load_from = str(tmp_path / 'first' / 'epoch_2.pth')
    assert Runner.from_cfg(cfg).test()['accuracy/top1'] == trained
