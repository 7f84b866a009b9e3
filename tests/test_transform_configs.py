"""Numbers of the configs for MoCo v1 and feature transformation, and what they differ in."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

ROOT = Path(__file__).parents[1] / 'configs'


def load(name: str) -> Config:
    return Config.fromfile(next(ROOT.rglob(f'{name}.py')))


def test_mocov1_is_the_official_defaults():
    """``main_moco.py`` without ``--mlp``, ``--aug-plus`` and ``--cos``."""
    cfg = load('mocov1_r50_8xb32_200e')
    assert (cfg.model.type, cfg.model.bank, cfg.model.queue_len, cfg.model.momentum) == (
        'CLSA',
        'own',
        65536,
        0.999,
    )
    assert cfg.model.head.temperature == 0.07
    assert cfg.optim_wrapper.optimizer.lr == 0.03 and cfg.train_cfg.max_epochs == 200
    assert cfg.param_scheduler == dict(type='MultiStepLR', milestones=[120, 160], gamma=0.1)
    for role in ('key', 'weak'):
        view = cfg.train_dataloader.dataset.views[role]
        assert view == dict(num_views=1, size=224, area=(0.2, 1.0), recipe=dict(type='mocov1'))
    init_default_scope('mmpretrain')
    neck = MODELS.build(cfg.model.neck)
    features = torch.randn(2, 2048, 7, 7)
    expected = features.mean(dim=(2, 3)) @ neck.fc.weight.T + neck.fc.bias
    torch.testing.assert_close(neck((features,))[0], expected, rtol=1e-4, atol=1e-5)
    assert len(list(neck.parameters())) == 2


@pytest.mark.parametrize('base', ['mocov1', 'mocov2', 'clsa'])
@pytest.mark.parametrize(
    ('variant', 'positive', 'negative', 'level'),
    [
        ('pos', 'extrapolate', None, 'batch'),
        ('neg', None, 'replace', 'batch'),
        ('both', 'extrapolate', 'replace', 'batch'),
        ('bothdim', 'extrapolate', 'replace', 'dimension'),
    ],
)
def test_a_row_of_table_7_differs_from_its_baseline_in_the_head(base, variant, positive, negative, level):
    """On 100 classes with the official commands' momentum; the alphas of the official commands."""
    baseline, cfg = (load(f'{name}_r50_8xb32_200e_imagenet100') for name in (base, f'{base}-{variant}'))
    assert cfg.train_dataloader.dataset.subfolders == 'imagenet100' and cfg.model.momentum == 0.99
    init_default_scope('mmpretrain')
    head = MODELS.build(cfg.model.head)
    assert (head.positive, head.negative, head.level) == (positive, negative, level)
    assert (head.positive_alpha, head.negative_alpha, head.start_epoch) == (2.0, 1.6, 0)
    assert head.temperature == baseline.model.head.temperature == (0.07 if base == 'mocov1' else 0.2)
    cfg.model.head = baseline.model.head
    assert cfg.to_dict() == baseline.to_dict()


FRAMEWORKS = {  # names of Table 7's other columns, and what they are elsewhere
    'simclr': 'simclr/simclr_r50_8xb32_100e.py',
    'infomin': 'relatives/infomin_r50_8xb32_200e.py',
    'simsiam': 'frameworks/simsiam_r50_8xb32_100e.py',
}


@pytest.mark.parametrize(
    ('base', 'variant', 'expected'),
    [
        ('simclr', 'pos', ('extrapolate', None, 'batch')),
        ('simclr', 'neg', (None, 'replace', 'batch')),
        ('simclr', 'both', ('extrapolate', 'replace', 'batch')),
        ('simclr', 'bothdim', ('extrapolate', 'replace', 'dimension')),
        ('infomin', 'both', ('extrapolate', 'replace', 'batch')),
        ('simsiam', 'pos', ('extrapolate', None, 'batch')),
    ],
)
def test_the_other_columns_of_table_7_differ_in_the_head(base, variant, expected):
    baseline, cfg = (load(f'{name}_r50_8xb32_200e_imagenet100') for name in (base, f'{base}-{variant}'))
    init_default_scope('mmpretrain')
    plain, head = (MODELS.build(each.model.head) for each in (baseline, cfg))
    assert isinstance(head, type(plain))
    assert (head.positive, head.negative, head.level) == expected
    assert (head.positive_alpha, head.negative_alpha, head.start_epoch) == (2.0, 1.6, 0)
    assert getattr(head, 'temperature', None) == getattr(plain, 'temperature', None)
    cfg.model.head = baseline.model.head
    assert cfg.to_dict() == baseline.to_dict()


@pytest.mark.parametrize('base', FRAMEWORKS)
def test_the_other_baselines_are_those_of_imagenet(base):
    """But for the data, 200 epochs, InfoMin's momentum, and SimCLR in the model that has a batch's labels."""
    cfg, elsewhere = load(f'{base}_r50_8xb32_200e_imagenet100'), Config.fromfile(ROOT / FRAMEWORKS[base])
    assert cfg.train_dataloader.dataset.pop('subfolders') == 'imagenet100'
    assert cfg.train_cfg.max_epochs == 200
    elsewhere.train_cfg.max_epochs = 200
    if base == 'infomin':
        assert cfg.model.momentum == 0.99 and cfg.model.head.temperature == 0.15
        elsewhere.model.momentum = 0.99
    if base == 'simclr':
        assert (cfg.model.type, cfg.model.supervised) == ('SupCon', False)
        assert cfg.model.head == dict(type='SupConHead', temperature=elsewhere.model.head.temperature)
        for part in ('backbone', 'neck'):
            assert cfg.model[part] == elsewhere.model[part]
        cfg.model = elsewhere.model
    assert cfg.to_dict() == elsewhere.to_dict()


def test_controls_of_tables_3_and_5():
    names = ('posinter', 'negqueue', 'queue2k')
    interpolated, both, longer = (load(f'mocov1-{name}_r50_8xb32_200e_imagenet100').model for name in names)
    assert (interpolated.head.positive, interpolated.head.negative) == ('interpolate', None)
    assert (both.head.positive, both.head.negative) == (None, 'append')
    assert (longer.queue_len, longer.head.type) == (2 * 65536, 'DDMHead')


def test_linear_evaluation_is_the_official_one():
    """Defaults of ``test_options.py``, and 100 epochs as in the README's command for ImageNet."""
    cfg = load('linear_r50_8xb32_100e_imagenet100')
    assert cfg.optim_wrapper.optimizer == dict(type='SGD', lr=30.0, momentum=0.9, weight_decay=0.0)
    assert cfg.param_scheduler == dict(type='MultiStepLR', milestones=[60, 80], gamma=0.1)
    assert cfg.train_dataloader.dataset.pipeline[1].crop_ratio_range == (0.2, 1.0)
    assert cfg.model.head.num_classes == 100
    assert cfg.train_dataloader.dataset.data_prefix == 'train'
    assert cfg.val_dataloader.dataset.data_prefix == cfg.test_dataloader.dataset.data_prefix == 'val'
