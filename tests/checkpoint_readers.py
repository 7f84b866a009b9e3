"""Everything that reads a checkpoint, as commands on small data."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config

ROOT = Path(__file__).parents[1]
LINEAR = ROOT / 'configs/benchmarks/classification/linear_r18_1xb256_100e_cifar10.py'


def write_configs(
    tiny_pretraining: Callable[..., Config], image_root: Path, folder: Path
) -> tuple[Path, Path]:
    """Write a small pretraining config with a KNNHook, and a small one of linear evaluation."""
    crop = dict(type='CenterCrop', crop_size=32)
    data = dict(type='CustomDataset', pipeline=[dict(type='LoadImage'), crop, dict(type='PackInputs')])
    cfg = tiny_pretraining(**{'train_cfg.max_epochs': 1})
    cfg.default_hooks.knn = dict(
        type='KNNHook', dataset=data, train=dict(data_prefix=str(image_root / 'train')),
        test=dict(data_prefix=str(image_root / 'test')), num_workers=0, k=3,
    )  # fmt: skip
    cfg.dump(folder / 'pretrain.py')
    linear = Config.fromfile(LINEAR)
    narrow = dict(base_channels=8, stem_channels=8)
    linear.merge_from_dict(dict(model=dict(backbone=narrow, head=dict(in_channels=64))))
    linear.merge_from_dict(dict(work_dir=str(folder / 'linear'), train_cfg=dict(max_epochs=1)))
    small = dict(num_workers=0, persistent_workers=False, dataset=dict(data_root=str(image_root)))
    linear.merge_from_dict({f'{split}_dataloader': small for split in ('train', 'val', 'test')})
    linear.dump(folder / 'linear.py')
    return folder / 'pretrain.py', folder / 'linear.py'


def run(monkeypatch: pytest.MonkeyPatch, tool: str, *arguments: object) -> None:
    """Run a tool in this process."""
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
    runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')


def commands(checkpoint: object, pretrain: object, linear: object) -> dict[str, list]:
    """The commands that read a checkpoint, with these files."""
    init = [f'model.backbone.init_cfg.{entry}' for entry in ('type=Pretrained', f'checkpoint={checkpoint}')]
    return {
        'resume': ['train.py', pretrain, '--resume', checkpoint],
        'load_from': ['train.py', pretrain, '--cfg-options', f'load_from={checkpoint}'],
        'init_cfg': ['train.py', pretrain, '--cfg-options', *init],
        'backbone': ['train.py', linear, '--backbone', checkpoint],
        'test': ['test.py', linear, checkpoint],
        'knn': ['knn.py', pretrain, checkpoint],
        'knn of a config': ['knn.py', pretrain, '--random-init', '--cfg-options', *init],
        'features': ['extract_features.py', linear, checkpoint, '--out', 'features'],
        'svm': ['voc07_svm.py', linear, checkpoint],
        'convert': ['model_converters/convert.py', checkpoint, 'out.pth', '--to', 'mm'],
        'publish': ['model_converters/publish_model.py', checkpoint, 'out', '--config', pretrain],
    }
