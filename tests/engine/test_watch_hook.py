"""What the hook logs, in real runs, and that a run with it is the run without it."""

import json
import math
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from small_runs import ScaledOptimWrapper, small_model, small_run

from clsa_mm.checkpoints.read import read_checkpoint
from clsa_mm.engine import WatchHook
from clsa_mm.evaluation import lidar, rankme, score_statistics
from clsa_mm.models import CLSA


def hooks(**settings) -> dict:
    return dict(momentum_queue=dict(type='MomentumQueueHook'), watch=dict(type='WatchHook', **settings))


def rows(work_dir: Path) -> dict[int, dict[str, float]]:
    """What LocalVisBackend wrote of the hook, by step."""
    (path,) = work_dir.rglob('scalars.json')
    found: dict[int, dict[str, float]] = {}
    for row in map(json.loads, path.read_text().splitlines()):
        if watched := {name: value for name, value in row.items() if name.startswith('watch/')}:
            found.setdefault(row['step'], {}).update(watched)
    return found


class RecordHead(Hook):
    """Notes what the head is given in each iteration."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def before_train(self, runner: Runner) -> None:
        runner.model.head.register_forward_pre_hook(lambda head, args: self.calls.append(args))


def test_scores_go_to_the_back_ends(tmp_path):
    """Means over two weak views and the strong one; the reference for the numbers is the function's test."""
    runner = small_run(tmp_path, hooks(interval=4, rank_interval=None))
    recorder = RecordHead()
    runner.register_hook(recorder)
    runner.train()
    logged = rows(tmp_path)
    assert [*logged] == [4, 8, 12]
    weak, strong, bank = recorder.calls[7]
    expected = {
        f'watch/{role}_{name}': value.item()
        for role, queries in (('weak', weak[0]), ('strong', strong[0]))
        for name, value in score_statistics(queries, bank, runner.model.head.temperature).items()
    }
    # The queue has moved on since; the batch's own keys and the cosines with them have not.
    assert logged[8].keys() == {*expected, 'watch/gradient_norm'}
    for role in ('weak', 'strong'):
        name = f'watch/{role}_positive_score'
        assert logged[8][name] == pytest.approx(expected[name], rel=1e-5)
        assert runner.message_hub.get_scalar(name).current() == logged[12][name]


def test_views_and_calls_of_the_head_are_averaged(tmp_path):
    """A symmetric model calls the head twice."""
    model = small_model(symmetric=True)
    runner = small_run(tmp_path, hooks(interval=1, rank_interval=None), model=model, epochs=1)
    recorder = RecordHead()
    runner.register_hook(recorder)
    runner.train()
    calls = recorder.calls[:2]
    positives = [bank.positive_similarity(weak[0]).mean().item() for weak, _, bank in calls]
    assert rows(tmp_path)[1]['watch/weak_positive_score'] == pytest.approx(np.mean(positives), rel=1e-6)


def test_another_temperature(tmp_path):
    """At an enormous one every key has 1/M."""
    watch = hooks(interval=6, temperature=1e6, rank_interval=None)
    small_run(tmp_path, watch, epochs=1).train()
    assert rows(tmp_path)[6]['watch/strong_positive_probability'] == pytest.approx(1 / 32, rel=1e-5)


@pytest.mark.parametrize(
    ('name', 'part', 'temperature', 'positives'),
    [
        ('relatives/ressl_r18_1xb256_200e_cifar10.py', 'head', 0.1, False),
        ('cifar10/simclr-ddm_r18_1xb256_200e_cifar10.py', 'ddm', 0.2, True),
        ('frameworks/swav-ddm_r50_8xb32_200e.py', 'ddm', 0.1, False),
    ],
)
def test_ddm_alone_is_watched_at_its_temperature(
    tiny_pretraining: Callable, tmp_path: Path, name: str, part: str, temperature: float, positives: bool
):
    options = {'default_hooks.watch.interval': 6, 'default_hooks.watch.rank_interval': None}
    runner = Runner.from_cfg(tiny_pretraining(name, **{'train_cfg.max_epochs': 1} | options))
    calls = []
    head = getattr(runner.model, part)
    head.register_forward_pre_hook(
        lambda _, given: calls.append(score_statistics(given[1][0], given[2], temperature))
    )
    runner.train()
    logged = rows(tmp_path / 'work')[6]
    names = {each.removeprefix('watch/strong_') for each in logged if 'strong' in each}
    assert names == calls[-1].keys() and ('positive_probability' in names) == positives
    for each, value in calls[-1].items():
        assert logged[f'watch/strong_{each}'] == pytest.approx(value.item(), rel=1e-5)


class RecordSteps(Hook):
    """Notes, for each optimizer step, the iteration and how far the weights moved."""

    def __init__(self, lr: float) -> None:
        self.lr = lr
        self.norms: dict[int, float] = {}

    def before_train(self, runner: Runner) -> None:
        self.parameters = [p for p in runner.model.parameters() if p.requires_grad]
        self.before = [p.detach().clone() for p in self.parameters]

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        moved = [(p.detach() - b) / self.lr for p, b in zip(self.parameters, self.before, strict=True)]
        if any(m.any() for m in moved):
            self.norms[runner.iter + 1] = math.sqrt(sum(float(m.double().square().sum()) for m in moved))
        self.before = [p.detach().clone() for p in self.parameters]


def norms_of(work_dir: Path) -> dict[int, float]:
    found = {step: row.get('watch/gradient_norm') for step, row in rows(work_dir).items()}
    return {step: norm for step, norm in found.items() if norm is not None}


@pytest.mark.parametrize(('accumulate', 'steps'), [(1, [3, 6, 9, 12]), (4, [4, 8, 12])])
def test_gradient_norm(tmp_path, accumulate, steps):
    """SGD without momentum moves the weights by the gradient times the learning rate.

    With accumulation the runner steps at 4, 8 and 12: the first step after 3, after 6 and after 9 or 12.
    """
    recorder = RecordSteps(lr=0.5)
    wrapper = dict(optimizer=dict(type='SGD', lr=0.5), accumulative_counts=accumulate)
    runner = small_run(tmp_path, hooks(interval=3, rank_interval=None), optim_wrapper=wrapper)
    runner.register_hook(recorder)
    runner.train()
    logged = norms_of(tmp_path)
    assert [*logged] == steps
    assert logged == {step: pytest.approx(recorder.norms[step], rel=1e-3) for step in steps}


@pytest.mark.parametrize('kind', ['norm', 'value'])
def test_gradient_norm_before_clipping(tmp_path, kind):
    """What mmengine logs of the norm it clips; and the clipped weights are those without the hook."""
    clip = dict(type='norm', max_norm=1e-3) if kind == 'norm' else dict(type='value', clip_value=1e-4)
    models = {}
    for name, watch in (('with', hooks(interval=1, rank_interval=None)), ('without', hooks(interval=100))):
        wrapper = dict(optimizer=dict(type='SGD', lr=0.5), clip_grad=dict(clip))
        runner = small_run(tmp_path / name, watch, optim_wrapper=wrapper, epochs=1)
        runner.train()
        models[name] = runner.model.state_dict()
        if name == 'with' and kind == 'norm':
            clipped = runner.message_hub.get_scalar('train/grad_norm').data[0]
            assert [*norms_of(tmp_path / name).values()] == pytest.approx([*clipped], rel=1e-6)
        assert runner.optim_wrapper.clip_func.__module__.startswith('torch.')  # put back
    assert min(norms_of(tmp_path / 'with').values()) > 1e-2
    assert all(torch.equal(models['with'][key], value) for key, value in models['without'].items())


@pytest.mark.parametrize('fused', [False, True])
def test_gradient_norm_without_the_scalers_factor(tmp_path, fused):
    """Gradients are scaled by 4 (and then by 2); the third step is skipped."""
    runner = small_run(tmp_path, hooks(interval=1, rank_interval=None), epochs=1)
    parameters = [p for p in runner.model.parameters() if p.requires_grad]
    runner.optim_wrapper = ScaledOptimWrapper(torch.optim.SGD(parameters, lr=0.5, fused=fused))
    recorder = RecordSteps(lr=0.5)
    runner.register_hook(recorder)
    runner.train()
    assert [*recorder.norms] == [1, 2, 4, 5, 6]
    assert norms_of(tmp_path) == {
        step: pytest.approx(norm, rel=1e-3) for step, norm in recorder.norms.items()
    }


def test_ranks_by_hand(tmp_path):
    """From the images themselves, in one batch in eval mode; the noise of an image is always the same."""
    settings = hooks(interval=100, rank_interval=1, images=7, draws=2, batch_size=5)
    runner = small_run(tmp_path, settings)
    runner.train()
    logged = rows(tmp_path)
    assert [*logged] == [6, 12]
    model: CLSA = runner.model.eval()
    chosen = torch.randperm(48, generator=torch.Generator().manual_seed(0))[:7].sort().values.tolist()
    images = torch.stack([runner.train_dataloader.dataset[i]['inputs']['key'][0] for i in chosen])
    with torch.no_grad():
        maps = model.backbone(images)
        projected = model.neck(maps)[0]
    for part, features in (('backbone', maps[0].mean(dim=(2, 3))), ('projection', projected)):
        both = features[:, None].repeat(1, 2, 1)
        assert logged[12][f'watch/rankme_{part}'] == pytest.approx(rankme(both.flatten(0, 1)), rel=1e-4)
        assert logged[12][f'watch/lidar_{part}'] == pytest.approx(lidar(both), rel=1e-4)


@pytest.mark.parametrize(
    ('epochs', 'interval', 'steps'), [(5, 2, [12, 24, 30]), (2, 10, [12]), (2, None, [])]
)
def test_interval_of_ranks(tmp_path, epochs, interval, steps):
    """The last epoch is always measured."""
    settings = hooks(interval=100, rank_interval=interval, images=2, draws=2)
    small_run(tmp_path, settings, epochs=epochs).train()
    assert [*rows(tmp_path)] == steps


def test_watching_changes_nothing(tiny_pretraining: Callable, tmp_path: Path):
    """The real network with dropped paths, momentum and accumulation, with the config's own views."""
    checkpoints = []
    for name in ('with', 'without'):
        options = {
            'model.backbone.drop_path_rate': 0.3,
            'optim_wrapper.accumulative_counts': 2,
            'work_dir': str(tmp_path / name),
        }
        watch = dict(type='WatchHook', interval=1, rank_interval=1, images=6, draws=2, batch_size=4)
        cfg = tiny_pretraining(**options)
        cfg.default_hooks.watch = watch if name == 'with' else dict(type='HealthHook')
        Runner.from_cfg(cfg).train()
        checkpoints.append(read_checkpoint(tmp_path / name / 'epoch_2.pth'))
    watched = rows(tmp_path / 'with')
    assert [*watched] == [*range(1, 13)] and 'watch/lidar_projection' in watched[6]
    for part in ('state_dict', 'optimizer'):
        pairs = zip(*map(_tensors, (checkpoints[0][part], checkpoints[1][part])), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def _tensors(node: object) -> list[torch.Tensor]:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [node] if isinstance(node, torch.Tensor) else [t for child in children for t in _tensors(child)]


def test_views_of_a_config_differ_by_draw_and_are_repeated(tiny_pretraining: Callable, tmp_path: Path):
    """Two measurements of weights that do not move are equal, and LiDAR sees the views' spread."""
    cfg = tiny_pretraining(**{'optim_wrapper.optimizer.lr': 0.0})
    cfg.default_hooks.watch = dict(type='WatchHook', rank_interval=1, images=8, draws=3)
    runner = Runner.from_cfg(cfg)
    for layer in runner.model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 0.0  # its statistics stay as well
    runner.train()
    first, second = rows(tmp_path / 'work').values()
    assert first == second
    assert 1 < first['watch/rankme_projection'] < 24


def rank_worker(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=2
    )
    watch = hooks(interval=3, rank_interval=1, images=5, draws=2)
    runner = small_run(Path(folder) / str(rank), watch, epochs=1)
    recorder = RecordHead()
    runner.register_hook(recorder)
    for buffer in runner.model.backbone.buffers():  # as if each rank had trained on images of its own
        buffer += rank
    runner.train()
    weak, _, bank = recorder.calls[-1]
    own = bank.positive_similarity(weak[0]).mean().item()
    logged = float(runner.message_hub.get_scalar('watch/weak_positive_score').current())
    torch.save(dict(logged=logged, own=own), Path(folder) / f'{rank}.pth')
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_two_ranks_log_their_mean(tmp_path):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    mp.start_processes(rank_worker, (port, str(tmp_path)), nprocs=2, start_method='fork')
    ranks = [torch.load(tmp_path / f'{rank}.pth') for rank in (0, 1)]
    assert ranks[0]['own'] != ranks[1]['own']
    mean = (ranks[0]['own'] + ranks[1]['own']) / 2
    assert [rank['logged'] for rank in ranks] == [pytest.approx(mean, rel=1e-6)] * 2


class Bare(torch.nn.Module):
    """A model with nothing to look at."""

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict:
        return dict(loss=torch.tensor(1.0))


def test_a_model_without_bank_and_backbone_is_told_of_once(tmp_path, monkeypatch):
    model = Bare()
    model.weight = torch.nn.Parameter(torch.zeros(()))
    runner = small_run(tmp_path, dict(watch=dict(type='WatchHook', interval=1)), model=model)
    messages = []
    monkeypatch.setattr(runner.logger, 'info', lambda message, *a, **k: messages.append(str(message)))
    runner.train()
    (said,) = [m for m in messages if 'WatchHook' in m]
    assert 'of Bare: scores (its head is not called with queries and a bank), effective ranks (it' in said


class Plain(torch.nn.Module):
    """A model with a backbone and gradients, and no head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = small_model().backbone
        self.data_preprocessor = small_model().data_preprocessor

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict:
        loss = self.backbone(data['inputs']['key'][0])[0].square().mean()
        optim_wrapper.update_params(loss)
        return dict(loss=loss)


def test_the_rest_is_logged_of_a_model_without_bank(tmp_path):
    settings = dict(watch=dict(type='WatchHook', interval=6, rank_interval=1, images=4, draws=2))
    small_run(tmp_path, settings, model=Plain(), epochs=1).train()
    names = {'watch/gradient_norm', 'watch/rankme_backbone', 'watch/lidar_backbone'}
    assert rows(tmp_path)[6].keys() == names


def test_training_goes_on_where_features_are_not_finite(tmp_path):
    class Break(Hook):
        def after_train_epoch(self, runner: Runner) -> None:
            runner.model.neck.fc.bias.data.fill_(float('nan'))

    runner = small_run(tmp_path, hooks(rank_interval=1, images=2, draws=2), epochs=1)
    runner.register_hook(Break())
    runner.train()
    (log,) = tmp_path.rglob('*.log')
    assert 'Effective ranks could not be measured: The features hold NaN or infinity' in log.read_text()


@pytest.mark.parametrize(
    ('name', 'least'), [('interval', 1), ('rank_interval', 1), ('images', 2), ('draws', 2), ('batch_size', 1)]
)
def test_settings_out_of_range(name, least):
    with pytest.raises(ValueError, match=f'WatchHook: {name} must be at least {least}, got {least - 1}'):
        WatchHook(**{name: least - 1})
    with pytest.raises(ValueError, match='temperature must be positive, got -1'):
        WatchHook(temperature=-1)
