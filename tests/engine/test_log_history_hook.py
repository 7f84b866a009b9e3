"""A history of figures that does not grow, and a log that does not change."""

import json

import pytest
from mmengine.hooks import Hook
from mmengine.runner import Runner
from small_runs import small_run

from clsa_mm.engine import LogHistoryHook

HOOKS = dict(momentum_queue=dict(type='MomentumQueueHook'), logger=dict(type='LoggerHook', interval=2))
# Means over two iterations and over an epoch.
PROCESSOR = dict(
    window_size=2,
    custom_cfg=[dict(data_src='loss', log_name='of_epoch', method_name='mean', window_size='epoch')],
)


class Lengths(Hook):
    """Notes the longest history after each iteration."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.found: list[int] = []

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        self.found.append(max(len(each.data[0]) for each in runner.message_hub.log_scalars.values()))


def run(work_dir, *hooks: dict) -> tuple[list[int], list[dict]]:
    lengths = Lengths()
    history = dict(history=hooks[0]) if hooks else {}
    runner = small_run(work_dir, HOOKS | history, epochs=4, log_processor=PROCESSOR)
    runner.register_hook(lengths)
    runner.train()
    (path,) = work_dir.rglob('scalars.json')
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return lengths.found, [{k: v for k, v in line.items() if 'time' not in k} for line in lines]


def test_it_stays_short_and_the_log_the_same(tmp_path):
    plain, expected = run(tmp_path / 'a')
    assert plain == list(range(1, 25))
    short, found = run(tmp_path / 'b', dict(type='LogHistoryHook', keep=3, interval=2))
    assert max(short) == 7 and short[-1] == 6  # an epoch's 6, and one more until the next look
    assert found == expected and 'of_epoch' in found[0]


@pytest.mark.parametrize('name', ['keep', 'interval'])
def test_wrong_numbers(name):
    with pytest.raises(ValueError, match=f'{name} must be at least 1, got 0'):
        LogHistoryHook(**{name: 0})
