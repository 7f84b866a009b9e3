"""Resumed within an epoch equals uninterrupted, bit for bit."""

from pathlib import Path

import pytest
import torch
from bitwise import difference, run_state
from mmengine.dataset import DefaultSampler
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from small_training import small_runner
from torch.utils.data import BatchSampler, Sampler

SAVE_EACH = dict(type='CheckpointHook', by_epoch=False, interval=1, max_keep_ckpts=-1)
SCHEDULE = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=8),
    dict(type='CosineAnnealingLR', T_max=3, by_epoch=True, begin=0, end=3),
]


class Seen(Hook):
    """Notes what each iteration was given, and by which number."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, int, bytes]] = []

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        inputs = data_batch['inputs']
        self.batches.append((runner.epoch, batch_idx, inputs.numpy().tobytes()))


def run(folder: Path, source: Path | None = None, loop: dict | None = None, **options: object) -> Seen:
    """18 iterations, three epochs, with a checkpoint of each; from their start or from a checkpoint."""
    seen = Seen()
    options.setdefault('default_hooks__checkpoint', SAVE_EACH)
    runner = small_runner(folder, 3, SCHEDULE, [seen], **options)
    if loop:
        runner._train_loop = loop
    if source is not None:
        runner._load_from = str(source)
    torch.seed()  # a process has other random states than the next
    runner.train()
    return seen


class Batches(BatchSampler):
    """A batch sampler of a config's own, which torch's loader shows without its sampler."""

    def __init__(self, sampler: Sampler, batch_size: int) -> None:
        super().__init__(sampler, batch_size, drop_last=True)


BY_ITERATIONS = dict(by_epoch=False, max_iters=18)


@pytest.mark.parametrize(
    ('loop', 'options'),
    [
        (None, dict(optim_wrapper__accumulative_counts=4)),
        (None, dict(train_dataloader__num_workers=2, train_dataloader__persistent_workers=True)),
        (BY_ITERATIONS, dict(optim_wrapper__accumulative_counts=5)),
        (BY_ITERATIONS, dict(train_dataloader__sampler__type='InfiniteSampler')),
        (None, dict(train_dataloader__batch_sampler=dict(type=Batches))),
        (
            BY_ITERATIONS,
            dict(
                train_dataloader__sampler__type='InfiniteSampler',
                train_dataloader__batch_sampler=dict(type=Batches),
            ),
        ),
    ],
    ids=[
        'epochs',
        'epochs by workers',
        'iterations',
        'iterations without end',
        'epochs of other batches',
        'iterations of other batches',
    ],
)
def test_from_any_iteration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: dict | None, options: dict
) -> None:
    """Within an epoch, at its last batch, and at the last but one of all; within a step of the optimizer."""
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda seconds: None)
    straight = run(tmp_path / 'straight', None, loop, **options)
    assert len({batch for _, _, batch in straight.batches}) == 18
    final = run_state(tmp_path / 'straight' / 'iter_18.pth')
    assert len(final['scalars']['train/loss'].data[0]) == 18
    # Bits of another iteration are others: the comparison can fail.
    assert difference(final['state_dict'], run_state(tmp_path / 'straight' / 'iter_10.pth')['state_dict'])
    for done in (6, 8, 17):
        source = tmp_path / 'straight' / f'iter_{done}.pth'
        resumed = run(tmp_path / f'resumed_{done}', source, loop, **options)
        assert resumed.batches == straight.batches[done:]
        assert difference(final, run_state(tmp_path / f'resumed_{done}' / 'iter_18.pth')) is None


def test_the_gradients_of_whole_steps_are_not_saved(tmp_path: Path) -> None:
    run(tmp_path, optim_wrapper__accumulative_counts=4)
    saved = {i: 'accumulated_gradients' in run_state(tmp_path / f'iter_{i}.pth') for i in range(1, 19)}
    assert saved == {i: i % 4 != 0 and i < 18 for i in range(1, 19)}


def test_pretraining(tiny_pretraining, tmp_path: Path) -> None:
    """The whole state of CLSA: queue, key encoder, a network with randomness, views, a momentum's cosine."""
    options = {
        'model.backbone.drop_path_rate': 0.3,
        'optim_wrapper.accumulative_counts': 3,
        'default_hooks.momentum_queue.schedule': 'cosine',
        'default_hooks.checkpoint.by_epoch': False,
        'default_hooks.checkpoint.max_keep_ckpts': -1,
    }
    straight = tiny_pretraining(**options, work_dir=str(tmp_path / 'straight'))
    Runner.from_cfg(straight).train()
    source = tmp_path / 'straight' / 'iter_8.pth'
    torch.manual_seed(12345)
    resumed = tiny_pretraining(
        **options, work_dir=str(tmp_path / 'resumed'), resume=True, load_from=str(source)
    )
    Runner.from_cfg(resumed).train()
    expected, found = (run_state(tmp_path / name / 'iter_12.pth') for name in ('straight', 'resumed'))
    assert expected['state_dict']['queue.num_enqueued'] == 12 * 8
    assert difference(expected, found) is None


class Unordered(DefaultSampler):
    """Its order depends on more than seed and epoch."""

    set_epoch = property()


def test_an_order_that_cannot_be_repeated_is_refused(tmp_path: Path) -> None:
    sampler = dict(train_dataloader__sampler=dict(type=Unordered, _delete_=True))
    run(tmp_path / 'a', **sampler)
    message = r'at iteration 8, .*not the end of epoch 1 of 6.*Unordered cannot repeat.*type=SeededSampler'
    with pytest.raises(ValueError, match=message):
        run(tmp_path / 'b', tmp_path / 'a' / 'iter_8.pth', **sampler)


def test_another_batch_is_refused_within_an_epoch(tmp_path: Path) -> None:
    run(tmp_path / 'a')
    forced = dict(type='ResumeCheckHook', force=True)
    other = dict(train_dataloader__batch_size=16, default_hooks__resume_check=forced)
    with pytest.raises(ValueError, match=r'batches of that epoch were of 8 images in all, not of 16: set'):
        run(tmp_path / 'b', tmp_path / 'a' / 'iter_8.pth', **other)
    run(tmp_path / 'b', tmp_path / 'a' / 'iter_6.pth', **other)  # between two epochs it is taken
    assert (tmp_path / 'b' / 'iter_9.pth').exists()


def test_a_position_of_another_run_is_refused(tmp_path: Path) -> None:
    """An epoch-based resume of a run over iterations: all of them count as epoch 0."""
    run(tmp_path / 'a', None, BY_ITERATIONS)
    with pytest.raises(ValueError, match=r'at iteration 17, .*nor within epoch 1: resume from the end'):
        run(tmp_path / 'b', tmp_path / 'a' / 'iter_17.pth')


@pytest.mark.parametrize(
    ('batch', 'images'), [(8, 'The same images make each batch'), (16, 'Other images make each batch')]
)
def test_another_number_of_processes_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int, images: str
) -> None:
    """What it changes; a checkpoint of four processes goes on in one."""
    run(tmp_path / 'a')
    source = tmp_path / 'a' / 'iter_6.pth'
    checkpoint = torch.load(source, weights_only=False)
    assert checkpoint['meta']['world_size'] == 1 and checkpoint['meta']['global_batch'] == 8
    checkpoint['meta'].update(world_size=4, global_batch=batch)
    torch.save(checkpoint, source)
    lines = []
    monkeypatch.setattr(MMLogger, 'warning', lambda self, line, *args, **kwargs: lines.append(str(line)))
    run(tmp_path / 'b', source)
    (told,) = [line for line in lines if 'processes' in line]
    assert f'had 4 processes and a batch of {batch} images in all; now there are 1 and 8. {images}' in told
    for change in ('the order of the images within a batch', 'BatchNorm', 'draws at random', 'order of sums'):
        assert change in told


def test_gradients_of_other_processes_are_averaged(tmp_path: Path) -> None:
    """As a step over all of them would, for a run that goes on with another number."""
    options = dict(optim_wrapper__accumulative_counts=4)
    run(tmp_path / 'a', **options)
    source = tmp_path / 'a' / 'iter_9.pth'
    checkpoint = torch.load(source, weights_only=False)
    (saved,) = checkpoint['accumulated_gradients']
    parts = [{name: weight * gradient for name, gradient in saved.items()} for weight in (0.5, 1.5)]
    checkpoint['accumulated_gradients'] = parts
    torch.save(checkpoint, source)
    run(tmp_path / 'b', source, **options)
    for part in ('state_dict', 'optimizer'):
        ends = [run_state(tmp_path / name / 'iter_18.pth')[part] for name in 'ab']
        assert difference(*ends) is None
