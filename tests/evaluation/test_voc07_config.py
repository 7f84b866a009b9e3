"""The VOC07 linear evaluation: its arithmetic, and a run in small on embedded pictures."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import Runner
from mmpretrain.structures import DataSample
from sklearn.metrics import average_precision_score
from small_voc import devkit, labels_by_xml, make_voc

from clsa_mm.evaluation import per_image_average_precision

CONFIG = Path(__file__).parents[2] / 'configs/benchmarks/classification/linear_r50_1xb256_100e_voc07.py'


@pytest.fixture(scope='module')
def voc_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_voc(tmp_path_factory.mktemp('voc'), num_train=20, num_val=20, num_test=40)


def tiny_config(voc_root: Path, work_dir: Path) -> Config:
    """The config itself with a narrow backbone, and little data in fewer workers."""
    cfg = Config.fromfile(CONFIG)
    cfg.work_dir, cfg.experiment_name = str(work_dir), f'{work_dir.parent.name}_voc07'
    cfg.env_cfg.dist_cfg.backend = 'gloo'
    cfg.model.backbone.update(base_channels=8, stem_channels=8)
    cfg.model.head.in_channels = 256
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(batch_size=16, num_workers=0, persistent_workers=False, pin_memory=False)
        loader.dataset.data_root = str(voc_root)
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    return cfg


def test_arithmetic_is_the_papers_and_the_official_codes() -> None:
    cfg = Config.fromfile(CONFIG)
    assert cfg.optim_wrapper.optimizer == dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=0.0)
    assert cfg.param_scheduler == []  # no schedule
    assert cfg.train_cfg.max_epochs == 100
    assert cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 256
    assert (cfg.train_dataloader.dataset.split, cfg.test_dataloader.dataset.split) == ('trainval', 'test')
    assert cfg.model.backbone == dict(type='ResNet', depth=50, frozen_stages=4)
    init_default_scope('mmpretrain')
    head = MODELS.build(cfg.model.head)
    head.init_weights()
    assert head.fc.weight.std().item() == pytest.approx(0.01, rel=0.05) and not head.fc.bias.any()


@pytest.mark.parametrize('images', [256, 147])  # the last batch of 5,011 images has 147
def test_loss_is_the_official_sum_over_images(images: int) -> None:
    """``BCEWithLogitsLoss(reduction='sum')`` of ``VOC_CLF/train.py``; an image may show no class."""
    init_default_scope('mmpretrain')
    head = MODELS.build(Config.fromfile(CONFIG).model.head)
    rng = np.random.default_rng(0)
    target = torch.from_numpy(rng.integers(0, 2, (images, 20))).float()
    target[3] = 0
    samples = [DataSample().set_gt_label(row.nonzero().flatten()) for row in target]
    features = torch.randn(images, 2048)
    loss = head.loss((features,), samples)['loss']
    expected = F.binary_cross_entropy_with_logits(head.fc(features), target, reduction='sum')
    torch.testing.assert_close(loss, expected)


def test_trains_the_classifier_alone_and_scores_it(voc_root: Path, tmp_path: Path) -> None:
    runner = Runner.from_cfg(tiny_config(voc_root, tmp_path / 'work'))
    initial = copy.deepcopy(runner.model.state_dict())
    runner.train()
    assert runner.iter == 3  # 40 images of trainval
    after = runner.model.state_dict()
    changed = {key for key in after if not torch.equal(after[key], initial[key])}
    assert {'head.fc.weight', 'head.fc.bias'} <= changed
    trainable = {name for name, value in runner.model.named_parameters() if value.requires_grad}
    assert trainable == {'head.fc.weight', 'head.fc.bias'}
    assert not any(key.endswith(('running_mean', 'running_var')) for key in changed)

    metrics = runner.test()
    scores, shown = predictions(runner)
    assert metrics['voc07/per_image_ap'] == pytest.approx(100 * per_image_average_precision(scores, shown))
    classes = [key for key in metrics if key.startswith('voc07/AP_11point/')]
    assert len(classes) == (shown == 1).any(0).sum() >= 15
    assert metrics['voc07/mAP_11point'] == pytest.approx(np.mean([metrics[key] for key in classes]))
    assert 'voc07/mAP_area' in metrics
    logged = runner.message_hub.get_scalar('val/voc07/mAP_11point').current()
    assert logged == pytest.approx(metrics['voc07/mAP_11point'], abs=1e-3)
    assert not any('AP_11point/' in key for key in runner.message_hub.log_scalars if key.startswith('val'))


def predictions(runner: Runner) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels, image by image and not through the evaluator."""
    model, dataset = runner.model.eval(), runner.test_dataloader.dataset
    scores = []
    for i in range(len(dataset)):
        data = dataset[i]
        with torch.no_grad():
            batch = dict(inputs=data['inputs'][None], data_samples=[data['data_samples']])
            scores.append(model.test_step(batch)[0].pred_score.numpy())
    classes = list(dataset.metainfo['classes'])
    return np.stack(scores), labels_by_xml(Path(dataset.data_root), 'test', classes)


def test_difficult_labels_are_left_out(voc_root: Path, tmp_path: Path) -> None:
    """The devkit's rule on the labels in the XML files; the per-image figure is scikit-learn's."""
    init_default_scope('mmpretrain')
    cfg = tiny_config(voc_root, tmp_path)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    evaluator = Evaluator(cfg.test_evaluator)
    evaluator.dataset_meta = dataset.metainfo
    labels = labels_by_xml(voc_root, 'test', list(dataset.metainfo['classes']))
    assert (labels == -1).sum() > 10
    scores = np.random.default_rng(0).random(labels.shape).astype(np.float32)
    for i, row in enumerate(scores):
        evaluator.process([dataset[i]['data_samples'].set_pred_score(torch.from_numpy(row))])
    metrics = evaluator.evaluate(len(dataset))
    for rule in ('11point', 'area'):
        expected = {
            f'voc07/AP_{rule}/{name}': 100 * devkit(scores[:, column], labels[:, column], rule)
            for column, name in enumerate(dataset.metainfo['classes'])
            if (labels[:, column] == 1).any()
        }
        assert {k: v for k, v in metrics.items() if f'AP_{rule}/' in k} == pytest.approx(expected)
        assert metrics[f'voc07/mAP_{rule}'] == pytest.approx(np.mean(list(expected.values())))
    of_image = [
        average_precision_score(shown, row) if shown.any() else 0
        for shown, row in zip(labels == 1, scores, strict=True)
    ]
    assert metrics['voc07/per_image_ap'] == pytest.approx(100 * np.mean(of_image))


def test_pipeline_without_difficult_labels_is_refused(voc_root: Path, tmp_path: Path) -> None:
    cfg = tiny_config(voc_root, tmp_path)
    cfg.test_dataloader.dataset.pipeline[-1] = dict(type='PackInputs')
    with pytest.raises(ValueError, match='gt_label_difficult'):
        Runner.from_cfg(cfg).test()
