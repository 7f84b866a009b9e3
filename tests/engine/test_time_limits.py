"""What waits, and how long."""

from pathlib import Path

import pytest
from mmengine.config import Config
from torch.utils.data import DataLoader

from clsa_mm.engine.settings import load_config
from clsa_mm.engine.time_limits import limit_waiting

CONFIG = Path(__file__).parents[2] / 'configs/clsa_r50_8xb32_200e.py'


def test_defaults_and_choices():
    cfg = Config(
        dict(
            train_dataloader=dict(num_workers=2),
            val_dataloader=dict(num_workers=0),
            test_dataloader=dict(num_workers=2, timeout=0),
        )
    )
    limit_waiting(cfg)
    assert cfg.train_dataloader.timeout == 300
    assert 'timeout' not in cfg.val_dataloader  # torch refuses one without workers
    assert cfg.test_dataloader.timeout == 0
    assert cfg.env_cfg.dist_cfg.timeout == 600
    cfg = Config(dict(env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=20))))
    limit_waiting(cfg)
    assert cfg.env_cfg.dist_cfg.timeout == 20


@pytest.mark.parametrize('workers', [0, 1])
def test_torch_takes_what_is_set(workers):
    cfg = Config(dict(train_dataloader=dict(num_workers=workers)))
    limit_waiting(cfg)
    assert list(DataLoader(range(4), **cfg.train_dataloader)) == [0, 1, 2, 3]


def test_the_options_are_settings():
    options = {'train_dataloader.timeout': 60, 'env_cfg.dist_cfg.timeout': 90}
    cfg = load_config(CONFIG, options)
    limit_waiting(cfg)
    assert (cfg.train_dataloader.timeout, cfg.env_cfg.dist_cfg.timeout) == (60, 90)
    cfg = load_config(CONFIG)
    limit_waiting(cfg)
    assert (cfg.train_dataloader.timeout, cfg.env_cfg.dist_cfg.timeout) == (300, 600)
