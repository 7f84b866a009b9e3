"""Which configs get the hooks that guard a run."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.hooks import CheckpointHook

from clsa_mm.engine.safety_hooks import HOOKS, add_safety_hooks
from clsa_mm.engine.settings import load_config

CONFIGS = Path(__file__).parents[2] / 'configs'


def types_of(cfg: Config) -> set[str]:
    return {hook.type for hook in cfg.default_hooks.values()}


OURS = {hook.type for hook in HOOKS.values()}


def test_they_are_those_of_our_runtime():
    runtime = Config.fromfile(CONFIGS / '_base_/default_runtime.py')
    assert OURS <= types_of(runtime) and 'FiniteGuardHook' in OURS


@pytest.mark.parametrize(
    'name',
    [
        'mmselfsup/baselines/mocov2_r50_8xb32_200e.py',
        'benchmarks/detection/faster-rcnn_r18-fpn_1xb4-12e_bccd.py',
    ],
)
def test_configs_of_other_libraries_get_them(name):
    cfg = load_config(CONFIGS / name)
    before = types_of(cfg)
    assert not before & OURS
    add_safety_hooks(cfg)
    assert types_of(cfg) == before - {'CheckpointHook'} | OURS | {'AtomicCheckpointHook'}


def test_checkpoints_are_ours_wherever_mmengine_writes_them():
    default = Config(dict())
    add_safety_hooks(default)
    assert default.default_hooks.checkpoint == dict(type='AtomicCheckpointHook', interval=1)
    given = [dict(type='CheckpointHook', interval=5), dict(type=CheckpointHook), dict(type='EMAHook')]
    custom = Config(dict(default_hooks=dict(checkpoint=None), custom_hooks=given))
    add_safety_hooks(custom)
    assert custom.default_hooks.checkpoint is None
    assert custom.custom_hooks[0] == dict(type='AtomicCheckpointHook', interval=5)
    assert [hook.type for hook in custom.custom_hooks[1:]] == ['AtomicCheckpointHook', 'EMAHook']


def test_one_that_ours_switches_off_stays_off():
    cfg = load_config(CONFIGS / 'clsa_r50_8xb32_200e.py', {'default_hooks.finite_guard': None})
    before = types_of(cfg)
    add_safety_hooks(cfg)
    assert types_of(cfg) == before
    assert 'FiniteGuardHook' not in before
