"""The examples of docs/extending.md run as they stand."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from doc_commands import blocks
from mmengine.registry import MODELS
from mmengine.runner import Runner
from shrunken_configs import shrink

from clsa_mm.datasets.views.strong_ops import STRONG_OPS
from clsa_mm.engine.settings import load_config
from clsa_mm.models import Bank

FILES = {
    block.text.splitlines()[0].removeprefix('# '): block.text
    for block in blocks('python')
    if block.page == 'docs/extending.md'
}
CONFIGS = {
    'clsa-cutout_r50_8xb32_200e.py': {'loss_contrastive', 'loss_ddm'},
    'align-uniform_r50_8xb32_200e.py': {'loss_align', 'loss_uniform'},
    'barlowtwins-ddm_r50_16xb256_100e.py': {'loss_redundancy', 'loss_ddm'},
    'clsa-own-bank_r50_8xb32_400e.py': {'loss_contrastive', 'loss_ddm'},
}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the page, from which Python imports; nothing stays registered."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(MODELS, '_module_dict', dict(MODELS.module_dict))
    monkeypatch.setattr(STRONG_OPS, '_module_dict', dict(STRONG_OPS.module_dict))
    yield tmp_path
    for name in FILES:
        sys.modules.pop(Path(name).stem, None)


def test_every_example_is_tried():
    assert {name for name in FILES if '_base_' in FILES[name]} == set(CONFIGS)


@pytest.mark.parametrize('name', CONFIGS)
def test_example_trains(name, written, image_root):
    options = {
        'work_dir': str(written / 'work'),
        'env_cfg.dist_cfg.backend': 'gloo',
        'train_dataloader.dataset.data_root': str(image_root / 'train'),
        'train_dataloader.dataset.indices': 12,
    }
    if not name.startswith('barlowtwins'):
        options['model.queue_len'] = 8
    cfg = load_config(written / name, options)
    runner = Runner.from_cfg(shrink(cfg, pixels=32))
    runner.train()
    assert runner.iter == 3
    scalars = runner.message_hub.log_scalars
    losses = {key.removeprefix('train/') for key in scalars if 'loss_' in key}
    assert losses == CONFIGS[name]
    total = sum(scalars[f'train/{key}'].current() for key in losses)
    assert scalars['train/loss'].current() == pytest.approx(total, rel=1e-5)


def test_the_operation_covers_a_square_and_is_drawn(written):
    cfg = load_config(written / 'clsa-cutout_r50_8xb32_200e.py')
    ops = cfg.train_dataloader.dataset.views.strong.ops
    assert ops == dict(Cutout=(0.1, 0.4), Invert=None)
    image = np.zeros((20, 30, 3), np.uint8)
    covered = STRONG_OPS.get('Cutout')(image, 0.3, np.random.default_rng(0))
    assert (covered == 128).all(axis=2).sum() == 36  # 0.3 of 20 pixels, squared
    assert not image.any()


def test_the_loss_is_that_of_pairwise_distances(written):
    load_config(written / 'align-uniform_r50_8xb32_200e.py')
    weak, strong, keys, queue = (
        F.normalize(torch.randn(number, 6, dtype=torch.float64), dim=1) for number in (3, 3, 3, 9)
    )
    head = MODELS.build(dict(type='AlignUniformHead', t=3.0, uniform_weight=0.5))
    terms = head([weak], [strong], Bank(keys, [keys, queue]))
    align = sum(((z - k) ** 2).sum() for view in (weak, strong) for z, k in zip(view, keys, strict=True)) / 3
    potentials = [torch.exp(-3 * torch.cdist(view, torch.cat([keys, queue])) ** 2) for view in (weak, strong)]
    uniform = sum(potential.mean(dim=1).log().mean() for potential in potentials)
    torch.testing.assert_close(terms['loss_align'], align)
    torch.testing.assert_close(terms['loss_uniform'], 0.5 * uniform)


def test_the_ablation_is_what_it_says(written):
    base = load_config(written / 'clsa-cutout_r50_8xb32_200e.py')
    cfg = load_config(written / 'clsa-own-bank_r50_8xb32_400e.py')
    assert (cfg.model.bank, cfg.model.head.beta, cfg.train_cfg.max_epochs) == ('own', 0.5, 400)
    assert cfg.train_dataloader.dataset.views.strong.num_ops == 3
    assert cfg.optim_wrapper == base.optim_wrapper
