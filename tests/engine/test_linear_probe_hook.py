"""The classifier against NumPy's softmax regression, and the training against that without it."""

import json
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.structures import DataSample
from small_runs import RandomViews, small_model, small_run

from clsa_mm.checkpoints.read import read_checkpoint
from clsa_mm.engine import LinearProbeHook

CLASSES = 3


class LabelledViews(RandomViews):
    """Three classes of images, each brighter in a channel of its own."""

    def __getitem__(self, index: int) -> dict:
        sample = super().__getitem__(index)
        label = index % CLASSES
        for views in sample['inputs'].values():
            views[0][label] += 2
        return dict(sample, data_samples=DataSample().set_gt_label(label))


def hooks(**settings) -> dict:
    probe = dict(type='LinearProbeHook', **dict(dict(num_classes=CLASSES, interval=1), **settings))
    seed = dict(type='IterationSeedHook')
    return dict(iteration_seed=seed, momentum_queue=dict(type='MomentumQueueHook'), probe=probe)


def labelled_run(work_dir: Path, settings: dict, **options) -> Runner:
    """As ``small_run``, shuffled, with labels and checkpoints."""
    loader = dict(
        batch_size=8,
        dataset=LabelledViews(),
        sampler=dict(type='DefaultSampler', shuffle=True, seed=0),
        collate_fn=dict(type='default_collate'),
    )
    options = dict(dict(train_dataloader=loader), **options)
    return small_run(work_dir, dict(settings, checkpoint=dict(type='CheckpointHook', interval=1)), **options)


class Record(Hook):
    """Notes the backbone's pooled outputs, all of them, and the labels."""

    def __init__(self) -> None:
        self.features: list[list[np.ndarray]] = []
        self.labels: list[list[int]] = []

    def before_train(self, runner: Runner) -> None:
        runner.model.backbone.register_forward_hook(
            lambda m, a, out: self.features[-1].append(out[0].detach().mean(dim=(2, 3)).double().numpy())
        )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        self.features.append([])
        self.labels.append([int(sample.gt_label) for sample in data_batch['data_samples']])


def logged(work_dir: Path, name: str) -> list[float]:
    (path,) = work_dir.rglob('scalars.json')
    rows = map(json.loads, path.read_text().splitlines())
    return [row[name] for row in rows if name in row]


def test_softmax_regression_with_momentum(tmp_path):
    """Gradient, velocity and weights by hand in float64, on the first view's features of unit length."""
    runner = labelled_run(tmp_path, hooks(lr=0.7, momentum=0.8, weight_decay=0.01))
    record = Record()
    runner.register_hook(record)
    runner.train()
    weight, bias = np.zeros((CLASSES, 8)), np.zeros(CLASSES)
    velocity = [np.zeros_like(weight), np.zeros_like(bias)]
    accuracies, losses = [], []
    for views, labels in zip(record.features, record.labels, strict=True):
        assert len(views) == 2  # weak, then strong
        features = views[0] / np.linalg.norm(views[0], axis=1, keepdims=True)
        logits = features @ weight.T + bias
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        losses.append(-np.log(shares[range(8), labels]).mean())
        accuracies.append(100 * np.mean(logits.argmax(axis=1) == labels))
        error = (shares - np.eye(CLASSES)[labels]) / 8
        velocity[0] = 0.8 * velocity[0] + error.T @ features + 0.01 * weight
        velocity[1] = 0.8 * velocity[1] + error.sum(axis=0) + 0.01 * bias
        weight, bias = weight - 0.7 * velocity[0], bias - 0.7 * velocity[1]
    state = read_checkpoint(tmp_path / 'epoch_2.pth')['linear_probe']['classifier']
    np.testing.assert_allclose(state['weight'].numpy(), weight, atol=1e-5)
    np.testing.assert_allclose(state['bias'].numpy(), bias, atol=1e-5)
    assert logged(tmp_path, 'probe/loss') == pytest.approx(losses, abs=1e-5)
    assert logged(tmp_path, 'probe/top1')[1:] == pytest.approx(accuracies[1:])  # the first are all ties


def test_reports_are_means_since_the_last(tmp_path):
    """4 iterations, and the 2 that are left of the epoch."""
    for name, interval in (('each', 1), ('some', 4)):
        labelled_run(tmp_path / name, hooks(interval=interval), epochs=1).train()
    each, some = (logged(tmp_path / name, 'probe/top1') for name in ('each', 'some'))
    assert some == pytest.approx([np.mean(each[:4]), np.mean(each[4:])])


def test_it_learns_what_the_features_show(tmp_path):
    labelled_run(tmp_path, hooks(interval=6), epochs=8).train()
    first, *_, last = logged(tmp_path, 'probe/top1')
    assert last > 90 > first


def test_the_training_is_the_one_without_it(tmp_path):
    states = []
    for name, settings in (('with', hooks()), ('without', {**hooks(), 'probe': dict(type='HealthHook')})):
        labelled_run(tmp_path / name, settings).train()
        states.append(read_checkpoint(tmp_path / name / 'epoch_2.pth')['state_dict'])
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())
    assert states[0].keys() == states[1].keys()


def test_a_resumed_classifier_equals_an_uninterrupted_one(tmp_path):
    labelled_run(tmp_path / 'straight', hooks(), epochs=4).train()
    labelled_run(tmp_path / 'broken', hooks(), epochs=2).train()
    torch.manual_seed(99)
    labelled_run(tmp_path / 'broken', hooks(), epochs=4, resume=True).train()
    expected, resumed = (
        read_checkpoint(tmp_path / name / 'epoch_4.pth')['linear_probe'] for name in ('straight', 'broken')
    )
    for name, value in expected['classifier'].items():
        assert torch.equal(value, resumed['classifier'][name])
    pairs = zip(expected['optimizer']['state'].values(), resumed['optimizer']['state'].values(), strict=True)
    assert all(torch.equal(a['momentum_buffer'], b['momentum_buffer']) for a, b in pairs)
    half = read_checkpoint(tmp_path / 'straight' / 'epoch_2.pth')['linear_probe']['classifier']
    assert not torch.equal(half['weight'], expected['classifier']['weight'])


def test_a_new_run_from_a_checkpoint_starts_a_new_classifier(tmp_path):
    labelled_run(tmp_path / 'old', hooks(), epochs=1).train()
    checkpoint = str(tmp_path / 'old' / 'epoch_1.pth')
    labelled_run(tmp_path / 'new', hooks(lr=1e-9), epochs=1, load_from=checkpoint).train()
    state = read_checkpoint(tmp_path / 'new' / 'epoch_1.pth')['linear_probe']['classifier']
    assert 0 < state['weight'].abs().max() < 1e-7


def test_a_resume_with_other_settings(tmp_path):
    labelled_run(tmp_path, hooks(), epochs=1).train()
    with pytest.raises(ValueError, match='num_classes=4, but the classifier of the checkpoint has 3'):
        labelled_run(tmp_path, hooks(num_classes=4), epochs=2, resume=True).train()
    labelled_run(tmp_path, hooks(lr=0.0, momentum=0.0), epochs=2, resume=True).train()
    states = [read_checkpoint(tmp_path / f'epoch_{e}.pth')['linear_probe']['classifier'] for e in (1, 2)]
    assert torch.equal(states[0]['weight'], states[1]['weight'])


def probe_worker(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=2
    )
    runner = labelled_run(Path(folder) / str(rank), hooks(interval=3), epochs=1)
    record = Record()
    runner.register_hook(record)
    runner.train()
    (hook,) = [hook for hook in runner.hooks if isinstance(hook, LinearProbeHook)]
    logged = float(runner.message_hub.get_scalar('probe/loss').current())
    features = [views[0] for views in record.features]
    saved = dict(state=hook.classifier.state_dict(), logged=logged, labels=record.labels)
    torch.save(dict(saved, features=torch.tensor(np.stack(features))), Path(folder) / f'{rank}.pth')
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_two_ranks_train_one_classifier(tmp_path):
    """As one process would on both ranks' batches together."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    mp.start_processes(probe_worker, (port, str(tmp_path)), nprocs=2, start_method='fork')
    ranks = [torch.load(tmp_path / f'{rank}.pth') for rank in (0, 1)]
    features = torch.cat([rank['features'] for rank in ranks], dim=1)
    features = torch.nn.functional.normalize(features, dim=2)
    labels = torch.cat([torch.tensor(rank['labels']) for rank in ranks], dim=1)
    linear = torch.nn.Linear(8, CLASSES).double()
    for parameter in linear.parameters():
        torch.nn.init.zeros_(parameter)
    optimizer = torch.optim.SGD(linear.parameters(), lr=1.0, momentum=0.9)
    losses = []
    for batch, target in zip(features, labels, strict=True):
        losses.append(torch.nn.functional.cross_entropy(linear(batch), target))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    for rank in ranks:
        torch.testing.assert_close(rank['state']['weight'].double(), linear.weight.data, atol=1e-5, rtol=0)
        assert rank['logged'] == pytest.approx(float(sum(losses)) / len(losses), abs=1e-5)


def test_errors_name_cause_and_remedy(tmp_path):
    with pytest.raises(ValueError, match='num_classes must be at least 2 and interval at least 1, got 1 and'):
        LinearProbeHook(num_classes=1)
    with pytest.raises(
        ValueError, match=r'needs one gt_label in each data sample.*dataset.labels=True, or take'
    ):
        small_run(tmp_path / 'a', hooks()).train()
    with pytest.raises(ValueError, match='labels run from 0 to 2, but num_classes is 2'):
        labelled_run(tmp_path / 'b', hooks(num_classes=2)).train()
    model = small_model()
    model.encode_query = lambda images: type(model).encode_query(model, torch.cat([images, images]))[:8]
    with pytest.raises(ValueError, match='a batch of 16 images in its first forward, and the data 8 labels'):
        labelled_run(tmp_path / 'c', hooks(), model=model).train()
    model = small_model()
    forward = model.backbone.forward  # called past the module
    model.encode_query = lambda images: model.neck(forward(images))[0]
    with pytest.raises(RuntimeError, match='CLSA did not call its backbone.*take probe out of default_hooks'):
        labelled_run(tmp_path / 'd', hooks(), model=model).train()
