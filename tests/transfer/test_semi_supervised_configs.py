from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from published_data import picture, text

CONFIGS = Path(__file__).parents[2] / 'configs' / 'benchmarks' / 'classification' / 'semi_supervised'
NAMES = sorted(path.stem for path in CONFIGS.glob('*.py'))


@pytest.mark.parametrize('name', NAMES)
def test_runs(name: str, tmp_path: Path) -> None:
    """Some steps with the lists' format, a narrow network and two classes."""
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    data = tmp_path / 'imagenet'
    names = [f'{wnid}_{number}.JPEG' for wnid in ('n01440764', 'n15075141') for number in (1, 2)]
    for name_ in names:
        for split in ('train', 'val'):
            picture(data / split / name_.split('_')[0] / name_)
    text(data / cfg.train_dataloader.dataset.subset, names)
    cfg.work_dir, cfg.experiment_name = str(tmp_path / 'work'), f'{tmp_path.name}_{name}'
    cfg.env_cfg.dist_cfg.backend = 'gloo'
    cfg.model.backbone.update(base_channels=8, stem_channels=8)
    cfg.model.head.in_channels = 256
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(batch_size=4, num_workers=0, persistent_workers=False, pin_memory=False)
        loader.dataset.update(data_root=str(data), metainfo=dict(classes=('first', 'last')))
        for transform in loader.dataset.pipeline:
            transform.update({key: 32 for key in ('scale', 'crop_size') if key in transform})
    cfg.test_dataloader = cfg.val_dataloader
    cfg.train_cfg.max_epochs = 2
    runner = Runner.from_cfg(cfg)
    before = {key: value.clone() for key, value in runner.model.named_parameters()}
    runner.train()
    assert runner.iter == 2 and len(before) == 161
    changed = {key for key, value in runner.model.named_parameters() if not torch.equal(value, before[key])}
    assert 'backbone.conv1.weight' in changed and 'head.fc.weight' in changed
    assert 0 <= runner.message_hub.get_scalar('val/accuracy/top1').current() <= 100


@pytest.mark.parametrize(('percent', 'trunk', 'head'), [(1, 0.02, 5.0), (10, 0.01, 0.2)])
def test_schedule_is_swavs(percent: int, trunk: float, head: float) -> None:
    """SwAV's README and the defaults of its eval_semisup.py, against torch's own scheduler."""
    cfg = Config.fromfile(CONFIGS / f'finetune_r50_8xb32_20e_imagenet_{percent}pct.py')
    assert cfg.train_dataloader.dataset.subset == f'meta/{percent}percent.txt'
    assert (cfg.train_dataloader.batch_size, cfg.train_cfg.max_epochs) == (32, 20)
    assert cfg.val_dataloader.dataset.type == 'ImageNet' and cfg.val_dataloader.dataset.split == 'val'
    init_default_scope('mmpretrain')
    cfg.model.backbone.norm_cfg.type = 'BN'
    model = MODELS.build(cfg.model)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    names = {id(value): key for key, value in model.named_parameters()}
    for group in optimizer.param_groups:
        for parameter in group['params']:
            expected = head if names[id(parameter)].startswith('head') else trunk
            assert group['lr'] == pytest.approx(expected)
        assert (group['momentum'], group['weight_decay'], group['nesterov']) == (0.9, 0, False)
    scheduler = cfg.param_scheduler
    assert scheduler == dict(type='MultiStepLR', milestones=[12, 16], gamma=0.2)
