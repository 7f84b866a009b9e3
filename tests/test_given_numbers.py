"""Settings that are no numbers, or not finite, are refused by name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from mmengine.config import Config
from small_runs import small_model
from torch import nn

from clsa_mm.checkpoints.convert import convert
from clsa_mm.checkpoints.read import read_checkpoint
from clsa_mm.datasets import ImageFolder, LabelledFolder
from clsa_mm.datasets.imagenet_subset import ImageNetSubset
from clsa_mm.datasets.isolated import each_isolated
from clsa_mm.datasets.seeded_sampler import SeededSampler
from clsa_mm.datasets.transforms import LoadImage, MakeView, StrongAugment
from clsa_mm.datasets.views import RECIPES, InfoMinRecipe, StrongPolicy, build_views
from clsa_mm.engine import (
    AtomicCheckpointHook,
    CorruptFilesHook,
    FiniteGuardHook,
    HealthHook,
    InterruptHook,
    KNNHook,
    LinearProbeHook,
    LogHistoryHook,
    MomentumQueueHook,
    RankDriftHook,
    WatchHook,
)
from clsa_mm.engine.heartbeats import Heartbeats
from clsa_mm.engine.time_limits import limit_waiting
from clsa_mm.evaluation import DrawnViews, lidar, rankme, train_class_svms, voc_average_precision
from clsa_mm.evaluation.accuracy import top_accuracies
from clsa_mm.evaluation.knn import weighted_knn
from clsa_mm.evaluation.linear_sweep import Setting, sweep
from clsa_mm.evaluation.score_statistics import query_statistics
from clsa_mm.given_numbers import check_numbers
from clsa_mm.models import (
    DDMHead,
    FeatureTransformHead,
    MaxMarginHead,
    MoCHiHead,
    StrongContrastiveHead,
    SupConHead,
)
from clsa_mm.models.bank import Bank
from clsa_mm.models.losses import (
    bank_attention,
    ddm_loss,
    info_nce_loss,
    max_margin_loss,
    own_attention,
    supcon_loss,
)
from clsa_mm.models.queues.key_queue import KeyQueue
from clsa_mm.models.selfsup.unmix import UnMix
from clsa_mm.models.split_batch_norm import SplitBN
from clsa_mm.pretraining.folder import look_at_folder
from clsa_mm.pretraining.networks import find_network
from clsa_mm.pretraining.progress import Progress
from clsa_mm.visualization import RunLog, draw_curves, save_figure
from clsa_mm.visualization.curves import seeds_curve
from clsa_mm.visualization.drawn_views import find_samples, make_rows
from clsa_mm.visualization.gallery import draw_operations, draw_views
from clsa_mm.visualization.scores import draw_score_histograms

NAN, INF = float('nan'), float('inf')


def knn(**settings: object) -> KNNHook:
    return KNNHook({}, {}, {}, **settings)


def probe(**settings: object) -> LinearProbeHook:
    return LinearProbeHook(**(dict(num_classes=3) | settings))


def checkpoint(**settings: object) -> AtomicCheckpointHook:
    return AtomicCheckpointHook(interval=1, **settings)


def split_norm(**settings: object) -> SplitBN:
    return SplitBN(4, **settings)


def clsa(**settings: object) -> object:
    return small_model(**settings)


def role(**settings: object) -> list:
    crop = dict(size=8, area=(0.2, 1.0))
    return build_views(dict(key=crop, weak=crop | settings))


def make_view(**settings: object) -> MakeView:
    crop = dict(size=8, area=(0.2, 1.0))
    return MakeView(dict(key=crop, weak=crop), 'key', **settings)


EYE, LABELS = torch.eye(3), torch.arange(3)


def attend(**settings: object) -> tuple:
    return bank_attention(EYE, EYE, **settings)


def attend_own(**settings: object) -> tuple:
    return own_attention(EYE, EYE[:, None], **settings)


def info_nce(**settings: object) -> torch.Tensor:
    return info_nce_loss(EYE, LABELS, **settings)


def ddm(**settings: object) -> torch.Tensor:
    return ddm_loss(EYE, EYE, **settings)


def supcon(**settings: object) -> tuple:
    return supcon_loss(EYE, LABELS, **settings)


def max_margin(**settings: object) -> torch.Tensor:
    return max_margin_loss(EYE, LABELS, **settings)


def knn_votes(**settings: object) -> torch.Tensor:
    return weighted_knn(EYE, LABELS, EYE, **(dict(k=3) | settings))


def trained(lr: object = 0.1, weight_decay: object = 0.0, **settings: object) -> torch.Tensor:
    features = np.eye(3, dtype=np.float32)
    return sweep(features, np.arange(3), features, [Setting(lr, weight_decay)], 3, **settings)


def isolated(**settings: object) -> list:
    return list(each_isolated(abs, [1], **(dict(workers=1, timeout=1.0) | settings)))


def unmix(**settings: object) -> UnMix:
    network = dict(backbone=nn.Identity(), neck=nn.Identity(), queue_len=8, feat_dim=4)
    return UnMix(**network, **settings)


def progress(**settings: object) -> Progress:
    return Progress(Path(), **(dict(steps=1, steps_per_epoch=1, images=1) | settings))


def histograms(**settings: object) -> object:
    return draw_score_histograms({}, **settings)


def saved(**settings: object) -> list:
    return save_figure(Figure(), 'never', **settings)


def rows(**settings: object) -> tuple:
    return make_rows({}, [], None, **(dict(seed=0, draws=1) | settings))


def samples(**settings: object) -> dict:
    return find_samples({}, [], **settings)


def operations(**settings: object) -> object:
    return draw_operations(np.zeros((8, 8, 3), np.uint8), None, **settings)


def heartbeats(**settings: object) -> Heartbeats:
    return Heartbeats(**(dict(rank=0, world_size=1, place=str, say=print) | settings))


def sampler(**settings: object) -> SeededSampler:
    return SeededSampler([1, 2], **settings)


def drawn(**settings: object) -> DrawnViews:
    return DrawnViews([1, 2], **(dict(images=2, draws=1) | settings))


def statistics(**settings: object) -> dict:
    return query_statistics(EYE, Bank(EYE, [EYE]), **settings)


def rank_me(**settings: object) -> float:
    return rankme(EYE, **settings)


def li_dar(**settings: object) -> float:
    return lidar(torch.rand(3, 2, 4), **settings)


def accuracies(k: object) -> dict:
    return top_accuracies(LABELS[:, None], LABELS, (1, k))


def svms(cost: object = 1.0, **settings: object) -> list:
    pytest.importorskip('sklearn')
    features = np.eye(6)
    return train_class_svms(features, np.arange(6)[:, None] % 2, features, [cost], **settings)


def look_at(**settings: object) -> object:
    return look_at_folder(workers=1, **settings)


def network(**settings: object) -> object:
    return find_network(size=32, smallest=32, small_stem=False, narrow=False, **settings)


def subset(**settings: object) -> object:
    return ImageNetSubset(**(dict(data_root='never', subset='never.txt') | settings))


INTERVALS = (InterruptHook, LogHistoryHook, MomentumQueueHook, RankDriftHook, WatchHook)
LOSSES = (attend, attend_own, info_nce, supcon, knn_votes)


@pytest.mark.parametrize(
    ('make', 'name', 'values', 'allowed'),
    [
        (DDMHead, 'temperature', (NAN, INF, '0.2', True), 'a finite number'),
        (DDMHead, 'ddm_temperature', (NAN, '0.2'), 'a finite number'),
        (DDMHead, 'teacher_temperature', (NAN, '0.2'), 'a finite number'),
        (DDMHead, 'beta', (NAN, INF, [1.0]), 'a finite number'),
        (DDMHead, 'contrastive_weight', (NAN, -INF), 'a finite number'),
        (KeyQueue, 'length', (2.5, '8', True, NAN), 'a whole number'),
        (KeyQueue, 'feat_dim', (2.5, '8'), 'a whole number'),
        (LoadImage, 'max_pixels', (2.5, '8', NAN), 'a whole number'),
        (LoadImage, 'bit_depth', (8.5, '8'), 'a whole number'),
        (ImageFolder, 'max_corrupt', (-1, 0.5, NAN), 'a whole number of at least 0'),
        (CorruptFilesHook, 'limit', (-1, 0.5, '3'), 'a whole number of at least 0'),
        (knn, 'k', (2.5, '20', NAN), 'a whole number'),
        (knn, 'interval', (0.5, '1'), 'a whole number'),
        (knn, 'batch_size', (0, 2.5), 'a whole number of at least 1'),
        (knn, 'num_workers', (-1, '2'), 'a whole number of at least 0'),
        (knn, 'temperature', (NAN, '0.07'), 'a finite number'),
        (probe, 'num_classes', (2.5, '3', NAN), 'a whole number'),
        (probe, 'lr', (-1, NAN, INF, '1'), 'a finite number of at least 0'),
        (probe, 'momentum', (-0.1, NAN), 'a finite number of at least 0'),
        *((hook, 'interval', (0.5, '1', NAN, True), 'a whole number') for hook in INTERVALS),
        (MomentumQueueHook, 'interval', (0, -1), 'a whole number of at least 1'),
        (MomentumQueueHook, 'end_momentum', ('1', True, NAN), 'a finite number'),
        (HealthHook, 'patience', (0.5, NAN), 'a whole number'),
        (HealthHook, 'chance_margin', (NAN, '0.02'), 'a finite number'),
        (HealthHook, 'collapse_std', (NAN, INF), 'a finite number'),
        (WatchHook, 'rank_interval', (0.5, NAN), 'a whole number'),
        (WatchHook, 'images', (2.5, '256'), 'a whole number'),
        (WatchHook, 'draws', (2.5, True), 'a whole number'),
        (WatchHook, 'batch_size', (0.5, NAN), 'a whole number'),
        (WatchHook, 'seed', (-1, 0.5), 'a whole number of at least 0'),
        (WatchHook, 'temperature', (NAN, '0.2'), 'a finite number'),
        (checkpoint, 'write_retries', (0.5, NAN, '3'), 'a whole number'),
        (checkpoint, 'retry_seconds', (NAN, INF, '60'), 'a finite number'),
        (InterruptHook, 'minutes', (NAN, INF, '30'), 'a finite number'),
        (LogHistoryHook, 'keep', (0.5, NAN), 'a whole number'),
        (FiniteGuardHook, 'max_skipped', (0.5, NAN, '10'), 'a whole number'),
        (FiniteGuardHook, 'window', (99.5, INF), 'a whole number'),
        (SupConHead, 'temperature', (NAN, INF, '0.1'), 'a finite number'),
        (SupConHead, 'base_temperature', (NAN, '0.1'), 'a finite number'),
        (MaxMarginHead, 'margin', (NAN, INF, True), 'a finite number'),
        (StrongContrastiveHead, 'temperature', (NAN, '0.2'), 'a finite number'),
        (StrongContrastiveHead, 'beta', (NAN, INF), 'a finite number'),
        (MoCHiHead, 'num_hard', (2.5, NAN, '8'), 'a whole number'),
        (MoCHiHead, 'num_mixed', (2.5, NAN), 'a whole number'),
        (MoCHiHead, 'num_query_mixed', (2.5, NAN), 'a whole number'),
        (MoCHiHead, 'start_epoch', (-1, 0.5), 'a whole number of at least 0'),
        (MoCHiHead, 'max_query_share', (NAN, '0.5'), 'a finite number'),
        (FeatureTransformHead, 'positive_alpha', (NAN, INF, '2'), 'a finite number'),
        (FeatureTransformHead, 'negative_alpha', (NAN, INF), 'a finite number'),
        (FeatureTransformHead, 'start_epoch', (-1, 0.5), 'a whole number of at least 0'),
        (split_norm, 'num_splits', (2.5, '2', True), 'a whole number'),
        (clsa, 'momentum', (NAN, '0.9', True), 'a finite number'),
        *((loss, 'temperature', (NAN, INF, '0.2'), 'a finite number') for loss in LOSSES),
        (ddm, 'student_temperature', (NAN, INF, '0.2'), 'a finite number'),
        (ddm, 'teacher_temperature', (NAN, INF, '0.2'), 'a finite number'),
        (max_margin, 'margin', (NAN, INF, '1'), 'a finite number'),
        (knn_votes, 'k', (2.5, '20', True), 'a whole number'),
        (trained, 'lr', (NAN, INF, '0.1'), 'a finite number'),
        (trained, 'weight_decay', (NAN, '0'), 'a finite number'),
        (trained, 'epochs', (2.5, '3'), 'a whole number'),
        (trained, 'batch_size', (2.5, True), 'a whole number'),
        (isolated, 'workers', (1.5, '2'), 'a whole number'),
        (isolated, 'timeout', (NAN, INF), 'a finite number'),
        (make_view, 'seed', (-1, 0.5, '0'), 'a whole number of at least 0'),
        (unmix, 'global_prob', (NAN, '0.5', True), 'a finite number'),
        (unmix, 'mix_alpha', (NAN, INF, '1'), 'a finite number'),
        (heartbeats, 'rank', (-1, 0.5, '0'), 'a whole number of at least 0'),
        (heartbeats, 'world_size', (0, 2.5, '1'), 'a whole number of at least 1'),
        *(
            (heartbeats, name, (-1, NAN, INF, '2'), 'a finite number of at least 0')
            for name in ('interval', 'patience', 'grace')
        ),
        *(
            (progress, name, (0, -1, NAN, '1'), 'a whole number of at least 1')
            for name in ('steps', 'steps_per_epoch', 'images')
        ),
        (histograms, 'bank_size', (0, -1, NAN, '8', 2.5), 'a whole number of at least 1'),
        (saved, 'dpi', (0, 1, NAN, '200', True), 'a whole number of at least 10'),
        (saved, 'colours', (1, NAN, '16', 2.5), 'a whole number of at least 2'),
        (rows, 'seed', (-1, NAN, '0'), 'a whole number of at least 0'),
        (rows, 'draws', (0, NAN, '1'), 'a whole number of at least 1'),
        (samples, 'num', (0, NAN, '1'), 'a whole number of at least 1'),
        (operations, 'steps', (1, NAN, '5', 2.5), 'a whole number of at least 2'),
        (sampler, 'seed', (-1, 0.5, '0', NAN, True), 'a whole number of at least 0'),
        (drawn, 'images', (0, -1, 2.5, '4', True), 'a whole number of at least 1'),
        (drawn, 'draws', (0, -1, 2.5), 'a whole number of at least 1'),
        (drawn, 'seed', (-1, 0.5, '0'), 'a whole number of at least 0'),
        (statistics, 'temperature', (NAN, INF, '0.2', True), 'a finite number'),
        (knn_votes, 'num_predictions', (0, -1, 2.5, '5'), 'a whole number of at least 1'),
        (accuracies, 'k', (0, -1, 2.5, '5'), 'a whole number of at least 1'),
        (rank_me, 'epsilon', (-1, NAN, INF, '0'), 'a finite number of at least 0'),
        (li_dar, 'epsilon', (-1, NAN, '0'), 'a finite number of at least 0'),
        (li_dar, 'delta', (-1, NAN, INF), 'a finite number of at least 0'),
        (trained, 'momentum', (-1, NAN, INF, '0.9'), 'a finite number of at least 0'),
        (trained, 'seed', (-1, 0.5, '0'), 'a whole number of at least 0'),
        (svms, 'cost', (NAN, INF, '1', True), 'a finite number'),
        (svms, 'jobs', (0, -1, 2.5, '2'), 'a whole number of at least 1'),
    ],
)
def test_constructors(make: Callable, name: str, values: tuple, allowed: str) -> None:
    for value in values:
        with pytest.raises(ValueError) as caught:
            make(**{name: value})
        assert f'{name}={value!r} must be {allowed}' in str(caught.value)


def test_what_passes() -> None:
    check_numbers('a', x=1, y=0.5, z=None)
    check_numbers('a', whole=True, low=3, x=3, y=2**70)


@pytest.mark.parametrize(
    ('make', 'name', 'values', 'allowed'),
    [
        *(
            (RECIPES.get('mocov2'), name, (-0.1, NAN, INF, '0.4', True), 'must be a number in \\[0, ')
            for name in (
                'brightness',
                'contrast',
                'saturation',
                'hue',
                'jitter_prob',
                'grey_prob',
                'flip_prob',
            )
        ),
        (RECIPES.get('mocov2'), 'blur_sigma', ((0, 1), (2, 1), (1, INF), (NAN, 1), 1.0), '0 < low <= high'),
        (RECIPES.get('simclr'), 'strength', (3, NAN, True), 'must be a number in \\[0, 2.5\\]'),
        (RECIPES.get('autoaugment'), 'flip_prob', (1.5, NAN, True), 'must be a number in \\[0, 1\\]'),
        (InfoMinRecipe, 'level_std', (INF, NAN, -1), 'must be a number in \\[0, 1000\\]'),
        (InfoMinRecipe, 'level', (11, NAN, True), 'must be a number in \\[0, 10\\]'),
        (StrongPolicy, 'num_ops', (-1, 1.5, '5', True), 'must be a whole number >= 0'),
        (StrongPolicy, 'prob', (1.5, NAN, True, '0.5'), 'must be a number in \\[0, 1\\]'),
        (StrongAugment, 'channel_order', ('grb', None), "must be 'bgr' or 'rgb'"),
        (role, 'size', (0, 8.5, '8', True), 'must be a whole number of pixels >= 1'),
        (role, 'area', ((0.0, 1.0), (0.5, 2.0), (NAN, 1.0), (True, True)), '0 < low <= high <= 1'),
        (role, 'ratio', ((0.0, 1.0), (2.0, 1.0), (1.0, INF)), '0 < low <= high'),
        (role, 'num_views', (-1, 1.5, True), 'must be a whole number >= 0'),
    ],
)
def test_views(make: Callable, name: str, values: tuple, allowed: str) -> None:
    """Settings of views are named as in a config."""
    for value in values:
        with pytest.raises(ValueError, match=allowed) as caught:
            make(**{name: value})
        assert name in str(caught.value) and repr(value) in str(caught.value)


FOUR = np.arange(4.0), np.arange(4) % 2


def average_precision(**settings: object) -> float:
    return voc_average_precision(**(dict(scores=FOUR[0], labels=FOUR[1]) | settings))


@pytest.mark.parametrize(
    ('make', 'name', 'values', 'allowed'),
    [
        *(
            (folder, name, values, allowed)
            for folder in (ImageFolder, LabelledFolder)
            for name, values, allowed in [
                (
                    'extensions',
                    ('.png', 3, (), [1], ['']),
                    "must be a list of endings such as ['.jpg', '.png']",
                ),
                ('subfolders', (3, [], [1, 2], [''], ['a', 'a'], dict(a=1)), 'must be different names'),
            ]
        ),
        (average_precision, 'rule', ('AREA', None, 3), 'Known: 11point, area.'),
        (trained, 'schedule', ('linear', None), 'Known: cosine, constant.'),
        (RECIPES.get('autoaugment'), 'policy', ('imagenett', None), 'Known: '),
    ],
)
def test_names(make: Callable, name: str, values: tuple, allowed: str) -> None:
    for value in values:
        with pytest.raises(ValueError) as caught:
            make(**{name: value})
        assert all(part in str(caught.value) for part in (name, repr(value), allowed))


def test_roles_heartbeats_and_labels() -> None:
    with pytest.raises(ValueError, match="role: unknown name 'kye'; did you mean 'key'"):
        DrawnViews([dict(inputs=dict(key=[EYE]))], 1, 1, role='kye')[0]
    with pytest.raises(ValueError, match='rank=1 must be below world_size=1'):
        heartbeats(rank=1)
    with pytest.raises(ValueError, match='interval=0 above 0'):
        heartbeats(interval=0)
    with pytest.raises(ValueError, match='temperature=0 must be above 0'):
        statistics(temperature=0)
    with pytest.raises(ValueError, match='Scores must be real numbers'):
        average_precision(scores=['a'] * 4)
    with pytest.raises(ValueError, match=r'Labels must be whole numbers.*float64'):
        sweep(np.eye(3), np.arange(3) + 0.5, np.eye(3), [Setting(0.1)], 3)
    with pytest.raises(ValueError, match='got \\(3, 1\\) and \\(2,\\)'):
        top_accuracies(LABELS[:, None], LABELS[:2])
    with pytest.raises(ValueError, match=r'topk=\(\) must be a list'):
        top_accuracies(LABELS[:, None], LABELS, ())


def test_nothing_to_draw() -> None:
    log = RunLog(Path('run'), dict(loss=[(1, 2.0)]), {}, [])
    for runs, panels in (({}, ['loss']), (dict(a=[log]), []), (dict(a=[log]), dict(title=[]))):
        with pytest.raises(ValueError, match='at least one run and one figure'):
            draw_curves(runs, panels)
    with pytest.raises(ValueError, match="'loss' is drawn of at least one run, got none"):
        seeds_curve([], 'loss')
    with pytest.raises(ValueError, match="over='hour' must be 'iteration' or 'epoch'"):
        seeds_curve([log], 'loss', 'hour')
    with pytest.raises(ValueError, match='no views to draw'):
        draw_views(['original'], [])


def test_names_and_paths() -> None:
    for call, name, values in (
        (read_checkpoint, 'path', (3, None, '')),
        (look_at, 'folder', (None, '', 3)),
        (network, 'name', (None, '', 18)),
        (subset, 'subset', (None, '')),
        (subset, 'data_root', (None, '')),
    ):
        for value in values:
            with pytest.raises(ValueError, match=f'{name}={value!r} must be a name or a path'):
                call(**{name: value})


@pytest.mark.parametrize('argument', ['target', 'source'])
def test_formats(argument: str) -> None:
    with pytest.raises(ValueError, match=f"{argument}='MM' must be one of .*torchvision"):
        convert({}, **(dict(target='mm') | {argument: 'MM'}))


def test_time_limits() -> None:
    for value in (NAN, -1, '300'):
        with pytest.raises(ValueError, match=f'val_dataloader: timeout={value!r} must be a finite number'):
            limit_waiting(Config(dict(val_dataloader=dict(num_workers=1, timeout=value))))


def test_an_empty_data_set_has_no_order() -> None:
    with pytest.raises(ValueError, match='the data set is empty'):
        SeededSampler([])
