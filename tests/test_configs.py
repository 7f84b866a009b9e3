"""Every config is built in full size, and run for some iterations in small."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner

ROOT = Path(__file__).parents[1] / 'configs'
PRETRAINING = sorted(
    str(path.relative_to(ROOT))
    for folder in ('.', 'cifar10', 'embedded')
    for path in (ROOT / folder).glob('*.py')
)
LINEAR = [
    f'benchmarks/classification/linear_{name}.py'
    for name in ('r50_8xb32_100e_imagenet', 'r18_1xb256_100e_cifar10', 'r18_1xb64_15e_embedded')
]


@pytest.mark.parametrize('name', PRETRAINING + LINEAR)
def test_builds_in_full_size(name):
    cfg = Config.fromfile(ROOT / name)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    assert type(model).__name__ == cfg.model.type
    # What a child config repeats for lack of references follows what it changes.
    assert cfg.param_scheduler[-1].end == cfg.param_scheduler[-1].T_max == cfg.train_cfg.max_epochs
    gpus, batch = Path(name).stem.split('_')[2].split('xb')
    assert cfg.train_dataloader.batch_size == int(batch)
    assert cfg.auto_scale_lr.base_batch_size == int(gpus) * int(batch)
    assert f'_{cfg.train_cfg.max_epochs}e' in name


@pytest.mark.parametrize('name', PRETRAINING)
def test_pretraining_runs(name, tiny_pretraining):
    runner = Runner.from_cfg(tiny_pretraining(name, **{'train_cfg.max_epochs': 1}))
    runner.train()
    model = runner.model
    assert runner.iter == 6
    assert model.queue.total == 48
    losses = {key for key in runner.message_hub.log_scalars if 'loss_' in key}
    expected = {'train/loss_contrastive'}
    if 'clsa' in name:
        expected.add('train/loss_ddm')
    assert losses == expected


def test_the_paper_and_the_official_command():
    """``cmd/run_single.sh`` of the official code and section 4 of the paper, number by number."""
    cfg = Config.fromfile(ROOT / 'clsa_r50_8xb32_200e.py')
    assert cfg.model.view_roles == ('key', 'weak', 'strong')
    assert (cfg.model.queue_len, cfg.model.feat_dim, cfg.model.momentum) == (65536, 128, 0.999)
    assert (cfg.model.head.temperature, cfg.model.head.ddm_temperature) == (0.2, 0.2)
    assert cfg.model.head.beta == 1
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.momentum, optimizer.weight_decay) == (
        'SGD',
        0.03,
        0.9,
        1e-4,
    )
    assert [s.type for s in cfg.param_scheduler] == ['CosineAnnealingLR']  # no warm-up
    assert cfg.param_scheduler[0].get('eta_min', 0) == 0
    weak, strong = cfg.train_pipeline[1].transforms
    assert cfg.train_pipeline[1].num_views == [2, 1]
    assert (weak[0].scale, weak[0].crop_ratio_range) == (224, (0.2, 1.0))
    assert (strong[0].scale, strong[0].crop_ratio_range) == (96, (0.086, 0.429))
    assert (strong[-1].num_ops, strong[-1].prob) == (5, 0.5)
    assert weak[1:] == strong[1:-1]
    for epochs in (100, 150, 800):
        other = Config.fromfile(ROOT / f'clsa_r50_8xb32_{epochs}e.py')
        assert other.train_cfg.max_epochs == other.param_scheduler[0].T_max == epochs
        assert other.model == cfg.model


@pytest.mark.parametrize('folder', ['.', 'cifar10'])
def test_baseline_is_the_same_training_without_ddm(folder):
    clsa, moco = (
        Config.fromfile(next((ROOT / folder).glob(f'{name}_*_200e*.py'))) for name in ('clsa', 'mocov2')
    )
    assert moco.train_pipeline[1].transforms == [clsa.train_pipeline[1].transforms[0]]
    assert moco.model.view_roles == ('key', 'weak')
    for key in ('optim_wrapper', 'param_scheduler', 'train_cfg', 'randomness'):
        assert clsa[key] == moco[key]
    for key in ('backbone', 'neck', 'queue_len', 'momentum', 'data_preprocessor'):
        assert clsa.model[key] == moco.model[key]
