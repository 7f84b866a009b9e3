"""Every config is built in full size, and run for some iterations in small."""

import ast
import math
from fnmatch import fnmatch
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from shrunken_configs import all_configs

from clsa_mm.datasets.views import build_views
from clsa_mm.engine.settings import READ, load_config, settings

ROOT = Path(__file__).parents[1] / 'configs'
PRETRAINING = [name for name in all_configs() if not name.startswith(('benchmarks/', 'mmselfsup/'))]
LINEAR = [
    f'benchmarks/classification/linear_{name}.py'
    for name in (
        'r50_8xb32_100e_imagenet',
        'r50_8xb32_100e_imagenet100',
        'r18_1xb256_100e_cifar10',
        'r18_1xb64_15e_embedded',
        'vit-small_8xb32_100e_imagenet',
        'convnext-tiny_8xb32_100e_imagenet',
    )
]
# Loss terms, those of the first pattern that fits; mmpretrain's algorithms call their one term `loss`.
LOSSES = {
    '*clsa-contrastive_*': {'loss_contrastive', 'loss_strong'},
    '*clsa*': {'loss_contrastive', 'loss_ddm'},
    '*ressl*': {'loss_ddm'},
    '*unmix_*': {'loss_contrastive', 'loss_mixed', 'loss_mixed_reverse'},
    '*simclr-ddm_*': {'loss_contrastive', 'loss_ddm'},
    '*swav-ddm_*': {'loss_swap', 'loss_ddm'},
    '*-ddm_*': {'loss_latent', 'loss_ddm'},
    'simclr/*': {'loss'},
    'frameworks/*': {'loss'},
    'cifar10/simclr_*': {'loss'},
    'feature_transformation/simsiam*': {'loss'},
    'supcon/xent_*': {'loss'},
    '*': {'loss_contrastive'},
}
_built = set()


@pytest.mark.parametrize('name', PRETRAINING + LINEAR)
def test_builds_in_full_size(name):
    cfg = Config.fromfile(ROOT / name)
    if str(cfg.model) not in _built:  # many ablations have one model
        init_default_scope(cfg.default_scope)
        model = MODELS.build(cfg.model)
        assert type(model).__name__ == cfg.model.type
        _built.add(str(cfg.model))
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
    if hasattr(model, 'queue'):
        assert model.queue.total == 48 * (1 + model.symmetric)
    scalars = runner.message_hub.log_scalars
    losses = {key.removeprefix('train/') for key in scalars if 'loss_' in key} or {'loss'}
    assert losses == next(terms for pattern, terms in LOSSES.items() if fnmatch(name, pattern))
    total = scalars['train/loss'].current()
    assert math.isfinite(total)
    assert total == pytest.approx(sum(scalars[f'train/{key}'].current() for key in losses), rel=1e-5)


def test_the_paper_and_the_official_command():
    """``cmd/run_single.sh`` of the official code and section 4 of the paper, number by number."""
    cfg = Config.fromfile(ROOT / 'clsa_r50_8xb32_200e.py')
    assert cfg.model.bank == 'batch'
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
    assert cfg.param_scheduler == dict(type='CosineAnnealingLR')  # no warm-up, to 0 at the end
    key, weak, strong = (cfg.train_dataloader.dataset.views[role] for role in ('key', 'weak', 'strong'))
    assert key == weak == dict(num_views=1, size=224, area=(0.2, 1.0), recipe=dict(type='mocov2'))
    assert (strong.num_views, strong.size, strong.area) == (1, 96, (0.086, 0.429))
    assert (strong.num_ops, strong.prob, strong.policy, strong.recipe) == (5, 0.5, 'paper', weak.recipe)
    for epochs in (100, 150, 800):
        other = Config.fromfile(ROOT / f'clsa_r50_8xb32_{epochs}e.py')
        assert other.train_cfg.max_epochs == epochs
        assert {**other, 'train_cfg': 0} == {**cfg, 'train_cfg': 0}


@pytest.mark.parametrize('folder', ['.', 'cifar10'])
def test_baseline_is_the_same_training_without_ddm(folder):
    clsa, moco = (
        Config.fromfile(next((ROOT / folder).glob(f'{name}_*_200e*.py'))) for name in ('clsa', 'mocov2')
    )
    assert moco.train_dataloader.dataset.views.strong.num_views == 0
    assert moco.model.bank == 'own'
    moco.train_dataloader.dataset.views.strong.num_views = 1
    moco.model.bank = 'batch'
    assert moco.to_dict() == clsa.to_dict()


def test_the_paper_s_and_the_official_clsa_multi():
    """Section 4.2 of the paper and ``cmd/run_multi.sh``: role, size, least and largest area of each view."""
    crops = [
        (224, 0.2, 1.0),
        (192, 0.172, 0.86),
        (160, 0.143, 0.715),
        (128, 0.114, 0.571),
        (96, 0.086, 0.429),
    ]
    key, whole = ('key', 224, 0.2, 1.0), ('weak', 224, 0.2, 1.0)
    weak, strong = ([(role, *crop) for crop in crops] for role in ('weak', 'strong'))
    expected = {'clsa-multi': [key, whole, *strong], 'clsa-multi-official': [key, *weak, *strong]}
    for name, views in expected.items():
        for epochs in (200, 800):
            cfg = Config.fromfile(ROOT / f'{name}_r50_8xb32_{epochs}e.py')
            built = build_views(cfg.train_dataloader.dataset.views)
            assert [(view.role, view.size, *view.area) for view in built] == views
            assert [view.strong.num_ops for view in built] == [5 * (view[0] == 'strong') for view in views]
            assert cfg.model == Config.fromfile(ROOT / f'clsa_r50_8xb32_{epochs}e.py').model


def test_groups_of_strong_operations():
    """Section 3.3 of the paper: geometric and other operations, which Table 1 lists."""
    groups = dict(
        geometric='ShearX ShearY TranslateX TranslateY Rotate',
        photometric='AutoContrast Invert Equalize Solarize Posterize Contrast Color Brightness Sharpness',
    )
    for name, group in groups.items():
        cfg = Config.fromfile(ROOT / f'ablations/clsa-{name}_r50_8xb32_200e.py')
        strong = build_views(cfg.train_dataloader.dataset.views)[-1].strong
        assert list(strong.pool) == group.split()


WITH_DDM = [name for name in PRETRAINING if '-ddm_' in name]


@pytest.mark.parametrize('name', WITH_DDM)
def test_ddm_is_all_that_a_framework_has_more(name):
    baseline = name.replace('-ddm_', '_')
    baseline = baseline if baseline in PRETRAINING else baseline.replace('frameworks/', 'simclr/')
    plain, cfg = (Config.fromfile(ROOT / each).to_dict() for each in (baseline, name))
    assert cfg['model'].pop('ddm')['beta'] == 1
    assert cfg['model'].pop('type') == plain['model'].pop('type') + 'WithDDM'
    for model in (plain['model'], cfg['model']):
        model['data_preprocessor'].pop('as_list')
    numbers = [
        each['train_dataloader']['dataset']['views']['strong'].pop('num_views') for each in (plain, cfg)
    ]
    assert numbers == [0, 1]
    assert cfg == plain


@pytest.mark.parametrize(
    ('name', 'recipe'),
    [
        ('simclr', dict(type='simclr')),
        ('simclr-no-blur', dict(type='simclr', blur_prob=0.0)),
        ('simclr-half-colour', dict(type='simclr', blur_prob=0.0, strength=1 / 2)),
        ('simclr-quarter-colour', dict(type='simclr', blur_prob=0.0, strength=1 / 4)),
        ('simclr-eighth-colour', dict(type='simclr', blur_prob=0.0, strength=1 / 8)),
        ('simclr-autoaugment', dict(type='autoaugment')),
    ],
)
def test_the_columns_of_simclrs_table_1(name, recipe):
    cfg = Config.fromfile(ROOT / f'simclr/{name}_r50_16xb256_100e.py')
    views = cfg.train_dataloader.dataset.views
    assert views.key == views.weak == dict(num_views=1, size=224, area=(0.08, 1.0), recipe=recipe)
    views.key.recipe = views.weak.recipe = dict(type='simclr')
    assert cfg.to_dict() == Config.fromfile(ROOT / 'simclr/simclr_r50_16xb256_100e.py').to_dict()


BASES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / '_base_').rglob('*.py'))


@pytest.mark.parametrize('name', all_configs() + BASES)
def test_no_variables_are_left_behind(name):
    lines = ast.parse((ROOT / name).read_text()).body
    assigned = {target.id for line in lines if isinstance(line, ast.Assign) for target in line.targets}
    assert assigned <= READ | {'_base_'}


@pytest.mark.parametrize('name', all_configs())
def test_one_data_root_and_known_arguments(name):
    """``load_config`` refuses arguments that no constructor has; one key moves all of a data set's parts."""
    before = Config.fromfile(ROOT / name)
    nested = 'datasets.0.' if 'datasets' in before.train_dataloader.dataset else ''
    cfg = load_config(ROOT / name, {f'train_dataloader.dataset.{nested}data_root': '/elsewhere'})
    roots = [value for key, value in settings(cfg) if key.endswith('.data_root')]
    assert roots and set(roots) == {'/elsewhere'}
    files = [value for key, value in settings(cfg) if key.endswith('evaluator.ann_file')]
    assert all(file.startswith('/elsewhere/annotations/') for file in files)
    assert len(files) == (2 if 'coco' in name else 0)


@pytest.mark.parametrize('epochs', [2, 3])
def test_the_schedule_follows_the_length(epochs, tiny_pretraining):
    """Half a cosine from 0.06, whatever train_cfg.max_epochs is: the rate of the last epoch."""
    runner = Runner.from_cfg(tiny_pretraining(**{'train_cfg.max_epochs': epochs}))
    runner.train()
    last = 0.06 * (1 + math.cos(math.pi * (epochs - 1) / epochs)) / 2
    assert runner.optim_wrapper.get_lr()['lr'] == [pytest.approx(last)]
