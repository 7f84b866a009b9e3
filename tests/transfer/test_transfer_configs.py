"""Each config of the suite, on its data set in the published layout, with a narrow network."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import Runner
from mmpretrain.datasets import CIFAR10, CIFAR100
from published_data import WRITERS, cars_devkit

from clsa_mm.datasets import LAYOUTS
from clsa_mm.engine.settings import load_config

CONFIGS = Path(__file__).parents[2] / 'configs' / 'benchmarks' / 'classification' / 'transfer'
NAMES = [f'{protocol}_r50_{name}' for protocol in ('linear', 'finetune') for name in WRITERS]
# Labels of the first training and of the first test image, and the numbers of both.
EXPECTED = dict(
    cifar10=(0, 0, 10, 2),
    cifar100=(0, 0, 4, 4),
    food101=(0, 0, 4, 4),
    sun397=(0, 0, 2, 2),
    cars=(0, 0, 2, 2),
    aircraft=(0, 0, 3, 3),
    voc07=([14], [14], 2, 2),
    dtd=(0, 0, 4, 2),
    pets=(0, 0, 2, 2),
    caltech101=(5, 5, 2, 2),
    flowers102=(0, 0, 4, 2),
    cub200=(0, 0, 2, 2),
    inat18=(0, 0, 2, 2),
)


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All data sets, below one folder."""
    root = tmp_path_factory.mktemp('published')
    for name, write in WRITERS.items():
        write(root / name)
    return root


@pytest.fixture(autouse=True)
def _any_cifar(monkeypatch: pytest.MonkeyPatch) -> None:
    """mmpretrain compares checksums, which small batches cannot have."""
    for cls in (CIFAR10, CIFAR100):
        for name in ('train_list', 'test_list'):
            monkeypatch.setattr(cls, name, [[file, None] for file, _ in getattr(cls, name)])


def tiny_config(name: str, data: Path, work_dir: Path) -> Config:
    """The config itself with a narrow network, small crops and few steps."""
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = f'{work_dir.parent.name}_{name}'
    cfg.env_cfg.dist_cfg.backend = 'gloo'
    cfg.model.backbone.update(base_channels=8, stem_channels=8)
    cfg.model.head.in_channels = 256
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(batch_size=2, num_workers=0, persistent_workers=False, pin_memory=False)
        loader.dataset.data_root = str(data / name.split('_')[-1])
        for transform in loader.dataset.pipeline:
            transform.update(
                {key: 32 for key in ('scale', 'crop_size') if isinstance(transform.get(key), int)}
            )
    cfg.test_dataloader = cfg.val_dataloader
    cfg.train_cfg.update(dict(max_epochs=2) if 'max_epochs' in cfg.train_cfg else dict(max_iters=4))
    cfg.train_cfg.val_interval = 100
    return cfg


@pytest.mark.parametrize('name', NAMES)
def test_runs(name: str, data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(name, data, tmp_path / 'work')
    runner = Runner.from_cfg(cfg)
    backbone = {key: value.clone() for key, value in runner.model.backbone.state_dict().items()}
    head = runner.model.head.fc.weight.clone()
    runner.train()
    after = runner.model.backbone.state_dict()
    weights = [key for key in backbone if key.endswith('conv1.weight')]
    if name.startswith('linear'):
        learning = {key for key, value in runner.model.named_parameters() if value.requires_grad}
        assert learning == {'head.fc.weight', 'head.fc.bias'}
        statistics = [key for key in backbone if 'running' in key]
        assert all(torch.equal(after[key], backbone[key]) for key in statistics)
    else:
        assert all(value.requires_grad for value in runner.model.parameters())
        assert weights and not any(torch.equal(after[key], backbone[key]) for key in weights)
    assert not torch.equal(runner.model.head.fc.weight, head)
    # The metric of the table is measured after the last step.
    assert 0 <= runner.message_hub.get_scalar(f'val/{cfg.metric}').current() <= 100


@pytest.mark.parametrize('name', WRITERS)
def test_reads_the_published_layout(name: str, data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(f'finetune_r50_{name}', data, tmp_path)
    init_default_scope('mmpretrain')
    train, test = (DATASETS.build(loader.dataset) for loader in (cfg.train_dataloader, cfg.val_dataloader))
    assert (
        train.get_data_info(0)['gt_label'],
        test.get_data_info(0)['gt_label'],
        len(train),
        len(test),
    ) == EXPECTED[name]
    highest = train.get_data_info(len(train) - 1)['gt_label']
    classes = cfg.model.head.num_classes
    if name not in ('sun397', 'aircraft', 'voc07'):  # the last class has a picture
        assert highest == classes - 1
    if name not in ('flowers102', 'inat18'):  # mmpretrain knows no names
        assert len(train.metainfo['classes']) == classes


@pytest.mark.parametrize('name', NAMES)
def test_full_size(name: str) -> None:
    """The network of the pretraining, its normalisation, one test set for `val` and `test`."""
    cfg = load_config(CONFIGS / f'{name}.py')
    pretraining = Config.fromfile(CONFIGS.parents[2] / 'clsa_r50_8xb32_200e.py')
    backbone = {key: cfg.model.backbone[key] for key in ('type', 'depth')}
    assert backbone == {key: pretraining.model.backbone[key] for key in backbone}
    for key in ('mean', 'std'):
        assert cfg.model.data_preprocessor[key] == pretraining.model.data_preprocessor[key]
    assert cfg.model.data_preprocessor.to_rgb == ('cifar' not in name)
    assert cfg.test_dataloader == cfg.val_dataloader
    assert cfg.train_dataloader.dataset.data_root == cfg.val_dataloader.dataset.data_root
    assert cfg.train_dataloader.dataset.split != cfg.val_dataloader.dataset.split
    assert cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 256
    assert cfg.model.backbone.get('frozen_stages', -1) == (4 if name.startswith('linear') else -1)


def test_suite_is_complete() -> None:
    """One config for each data set and protocol, and a layout for each."""
    assert sorted(path.stem for path in CONFIGS.glob('*.py')) == sorted(NAMES)
    used = {Config.fromfile(CONFIGS / f'{name}.py').train_dataloader.dataset.dataset for name in NAMES}
    assert used == LAYOUTS.keys()


def test_metrics_are_those_of_the_sources() -> None:
    """Kornblith et al. (arXiv 1805.08974), table 1, and SimCLR, appendix B.8."""
    metrics = {name.split('_')[-1]: Config.fromfile(CONFIGS / f'{name}.py').metric for name in NAMES}
    mean_per_class = {name for name, metric in metrics.items() if metric == 'mean_per_class/recall'}
    assert mean_per_class == {'aircraft', 'pets', 'caltech101', 'flowers102'}
    assert {name for name, metric in metrics.items() if metric == 'voc07/mAP_11point'} == {'voc07'}
    assert {metrics[name] for name in metrics.keys() - mean_per_class - {'voc07'}} == {'accuracy/top1'}


def test_mean_per_class_is_the_mean_of_the_classes_accuracies() -> None:
    """Against scikit-learn, with a common and a rare class."""
    from mmengine.registry import METRICS
    from mmpretrain.structures import DataSample
    from sklearn.metrics import balanced_accuracy_score

    cfg = Config.fromfile(CONFIGS / 'linear_r50_pets.py')
    generator = torch.Generator().manual_seed(0)
    labels = [0] * 30 + [1] * 5 + [2] * 2
    scores = torch.rand((len(labels), 3), generator=generator).softmax(1)
    init_default_scope('mmpretrain')
    metric = METRICS.build(cfg.val_evaluator[1])
    for label, score in zip(labels, scores, strict=True):
        metric.process(None, [DataSample().set_gt_label(label).set_pred_score(score).to_dict()])
    result = metric.evaluate(len(labels))
    expected = 100 * balanced_accuracy_score(labels, scores.argmax(1))
    assert result == {cfg.metric: pytest.approx(expected, rel=1e-5)}


def test_the_later_form_of_stanford_cars(tmp_path: Path) -> None:
    cars_devkit(tmp_path)
    cfg = Config.fromfile(CONFIGS / 'linear_r50_cars.py')
    init_default_scope('mmpretrain')
    for loader, folder in ((cfg.train_dataloader, 'cars_train'), (cfg.val_dataloader, 'cars_test')):
        dataset = DATASETS.build({**loader.dataset, 'data_root': str(tmp_path)})
        assert [dataset.get_data_info(n)['gt_label'] for n in range(2)] == [0, 195]
        assert dataset.get_data_info(0)['img_path'] == str(tmp_path / folder / '00001.jpg')


def test_cifar_keeps_its_colours(data: Path, tmp_path: Path) -> None:
    """The other sets are loaded as BGR and turned; CIFAR's rows are RGB already."""
    cfg = tiny_config('linear_r50_cifar10', data, tmp_path)
    init_default_scope('mmpretrain')
    dataset = DATASETS.build({**cfg.train_dataloader.dataset, 'pipeline': [dict(type='PackInputs')]})
    preprocessor = MODELS.build(cfg.model.data_preprocessor)
    inputs = preprocessor(dict(inputs=[dataset[0]['inputs']], data_samples=None))['inputs'][0]
    red = dataset.get_data_info(0)['img'][..., 0].astype('float32')
    assert torch.allclose(inputs[0], torch.from_numpy((red - 123.675) / 58.395), atol=1e-4)


def test_fine_tuning_grid_point_is_simclrs() -> None:
    """20000 steps of 256 images, Nesterov momentum, cosine; values on their grids."""
    cfg = Config.fromfile(CONFIGS / 'finetune_r50_food101.py')
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.momentum, optimizer.nesterov) == ('SGD', 0.9, True)
    assert any(optimizer.lr == pytest.approx(lr) for lr in torch.logspace(-4, -1, 7).tolist())
    decay = optimizer.weight_decay * optimizer.lr
    assert any(decay == pytest.approx(value) for value in torch.logspace(-6, -3, 7).tolist())
    assert cfg.train_cfg.max_iters == 20000
    assert cfg.param_scheduler == dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False)


def test_inaturalist_schedule_is_mocos() -> None:
    cfg = Config.fromfile(CONFIGS / 'finetune_r50_inat18.py')
    steps = 100 * round(437513 / 256)
    assert cfg.train_cfg.max_iters == steps
    assert cfg.param_scheduler.milestones == [round(0.7 * steps), round(0.9 * steps)]
    assert cfg.optim_wrapper.optimizer.lr == 0.025


@pytest.mark.parametrize('name', WRITERS)
def test_the_documentation_says_the_same(name: str) -> None:
    """Classes, metric, folder and files of the row in docs/transfer.md."""
    lines = (CONFIGS.parents[3] / 'docs' / 'transfer.md').read_text().splitlines()
    (row,) = (line for line in lines if line.startswith(f'| `{name}` |'))
    _, _, _, classes, _, metric, folder, files, _ = (cell.strip() for cell in row.split('|'))
    cfg = Config.fromfile(CONFIGS / f'linear_r50_{name}.py')
    assert int(classes) == cfg.model.head.num_classes
    words = {'top-1': 'top1', 'mean per class': 'mean_per_class', '11-point mAP': '11point'}
    assert words[metric] in cfg.metric
    dataset = cfg.train_dataloader.dataset
    assert folder == f'`{dataset.data_root}`'
    for file in LAYOUTS[dataset.dataset].files:
        place = f'{file.split("/")[0]}/' if 'cifar' in name else re.sub('<.*', '', file)
        assert f'`{place}`' in files
