"""What a resume does with other settings than the checkpoint's."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.hooks import Hook
from mmengine.runner import Runner
from small_training import small_runner

COSINE = [dict(type='CosineAnnealingLR', T_max=4, by_epoch=True, begin=0, end=4)]
LR = 'optim_wrapper__optimizer__lr'
Train = Callable[..., tuple['Rates', str]]


class Rates(Hook):
    """Notes what the optimizer has in each iteration."""

    def __init__(self) -> None:
        self.lr: list[float] = []
        self.group: dict = {}

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        self.group = dict(runner.optim_wrapper.param_groups[0])
        self.lr.append(self.group['lr'])


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Train up to some epoch of a schedule of four, resuming what there is; return what was logged, too."""

    def run(epochs: int, schedule: list[dict] = COSINE, name: str = 'run', **options: object):
        rates, lines = Rates(), []
        runner = small_runner(tmp_path / name, epochs, schedule, [rates], **options)
        for level in ('info', 'warning'):
            monkeypatch.setattr(runner.logger, level, lambda line, *a, **k: lines.append(str(line)))
        runner.train()
        return rates, '\n'.join(lines)

    return run


def cosine(initial: float, epoch: int, total: int = 4) -> float:
    """The closed form of the schedule."""
    return initial * (1 + math.cos(math.pi * epoch / total)) / 2


def test_a_learning_rate_given_on_a_resume(train: Train) -> None:
    train(2)
    rates, text = train(4, **{LR: 0.03})
    assert rates.lr == pytest.approx([cosine(0.03, 2)] * 6 + [cosine(0.03, 3)] * 6, rel=1e-9)
    assert 'Resumed with lr=0.03 instead of 0.06.' in text
    assert 'Learning rate: 0.03, as in the config, not scaled' in text
    assert 'resumed at iteration 12, where the schedule gives 0.015' in text


def test_the_same_settings_leave_everything_as_restored(train: Train) -> None:
    train(2)
    rates, text = train(4)
    assert text.count('instead of') == 1 and 'Resumed with train_cfg.max_epochs=4 instead of 2' in text
    assert rates.lr == pytest.approx([cosine(0.06, 2)] * 6 + [cosine(0.06, 3)] * 6, rel=1e-9)


def test_a_rate_scaled_on_the_resume_alone(train: Train) -> None:
    train(2)
    rates, text = train(3, auto_scale_lr=dict(enable=True, base_batch_size=16))
    assert rates.lr == pytest.approx([cosine(0.03, 2)] * 6, rel=1e-9)
    assert 'Learning rate: 0.03, scaled by auto_scale_lr from the 0.06 of the config' in text


def test_schedules_by_iterations_and_by_epochs(train: Train) -> None:
    """A warm-up of 8 iterations and a cosine with a floor: as a run with these settings from its start."""
    warm_up = dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=8)
    schedule = [warm_up, dict(COSINE[0], eta_min=0.001)]
    straight, _ = train(4, schedule, 'straight', **{LR: 0.02})
    train(1, schedule, 'broken')
    resumed, _ = train(4, schedule, 'broken', **{LR: 0.02})
    assert resumed.lr == straight.lr[6:]


def test_a_longer_schedule_and_another_weight_decay(train: Train) -> None:
    train(2)
    longer = [dict(COSINE[0], T_max=8, end=8)]
    rates, text = train(3, longer, optim_wrapper__optimizer__weight_decay=0.25)
    assert rates.lr == pytest.approx([cosine(0.06, 2, total=8)] * 6, rel=1e-9)
    assert rates.group['weight_decay'] == 0.25
    for change in ('weight_decay=0.25 instead of 0.0005', 'T_max=8 instead of 4', 'end=8 instead of 4'):
        assert change in text


def test_a_schedule_that_the_checkpoint_lacks(train: Train) -> None:
    train(2)
    rates, text = train(3, [*COSINE, dict(type='StepLR', step_size=1, gamma=0.1, by_epoch=True)])
    assert rates.lr == pytest.approx([cosine(0.06, 2) * 0.1**2] * 6, rel=1e-9)
    assert '2 schedules instead of 1' in text


def test_without_the_hook_the_summary_tells(train: Train) -> None:
    train(2)
    rates, text = train(3, default_hooks__resume_learning_rate=None, **{LR: 0.03})
    assert rates.lr == pytest.approx([cosine(0.06, 2)] * 6, rel=1e-9)
    assert "Learning rate: 0.06, the resumed checkpoint's, not the 0.03 of the config" in text


def test_a_schedule_that_follows_results_is_refused(train: Train) -> None:
    plateau = [dict(type='ReduceOnPlateauLR', monitor='loss', by_epoch=True, end=9)]
    train(1, plateau)
    with pytest.raises(ValueError, match=r'lr=0.03 instead of 0.06, but a schedule.*load_from=CHECKPOINT'):
        train(2, plateau, **{LR: 0.03})


def test_epochs_of_another_length_count_in_it(train: Train) -> None:
    """12 iterations of 8 images done, then 3 of 16 an epoch: the run stays within its max_iters."""
    warm_up = [dict(type='LinearLR', start_factor=0.1, by_epoch=True, end=4, convert_to_iter_based=True)]
    train(2, warm_up)
    rates, text = train(3, warm_up, train_dataloader__batch_size=16, default_hooks__resume_check__force=True)
    assert 'An epoch has 3 iterations now and had 6 in the run that is resumed' in text
    assert 'resumed at iteration 6' in text
    # From 0.1 to 1 over the 11 steps between 12 iterations, of which 6, 7 and 8 are left to this epoch.
    assert rates.lr == pytest.approx([0.06 * (0.1 + 0.9 * i / 11) for i in (6, 7, 8)], rel=1e-9)


@pytest.mark.parametrize(
    ('optimizer', 'own', 'other'),
    [
        (dict(type='AdamW', lr=0.06), 'dampening, momentum, nesterov', 'amsgrad, betas'),
        (dict(type='RMSprop', lr=0.06), 'dampening, .*nesterov', 'alpha, '),
    ],
)
def test_another_optimizer_is_refused(train: Train, optimizer: dict, own: str, other: str) -> None:
    """Named by the settings that the one has and the other has not."""
    train(1)
    options = dict(optim_wrapper=dict(_delete_=True, type='OptimWrapper', optimizer=optimizer))
    message = (
        rf'optimizer.type is {optimizer["type"]}, .*another optimizer: its settings are {own}.* not {other}'
        r".*Resume with the checkpoint's optimizer.*load_from=CHECKPOINT, without --resume"
    )
    with pytest.raises(ValueError, match=message):
        train(2, **options)


def test_other_groups_of_parameters_are_refused(train: Train) -> None:
    train(1)
    paramwise = dict(bias_lr_mult=2.0)  # mmengine makes a group of each parameter
    message = r'in 1 groups \(2 in all\), and SGD here in 2 \(2 in all\): optim_wrapper.paramwise_cfg'
    with pytest.raises(ValueError, match=message):
        train(2, optim_wrapper__paramwise_cfg=paramwise)


def test_weights_go_on_under_another_optimizer(train: Train, tmp_path: Path) -> None:
    """The remedy: load_from without a resume."""
    train(1)
    optimizer = dict(type='AdamW', lr=0.01)
    runner = small_runner(
        tmp_path / 'new', 1, optim_wrapper=dict(_delete_=True, type='OptimWrapper', optimizer=optimizer)
    )
    runner._load_from, runner._resume = str(tmp_path / 'run' / 'epoch_1.pth'), False
    runner.train()
    assert (tmp_path / 'new' / 'epoch_1.pth').exists()
