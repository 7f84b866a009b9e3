"""The hooks that keep a run safe, for configs of other libraries, which do not have them."""

from mmengine.config import Config
from mmengine.hooks import CheckpointHook

from clsa_mm.engine.config_bases import config_folder

HOOKS = Config.fromfile(config_folder() / '_base_/safety_hooks.py').default_hooks
_MMENGINES = ('CheckpointHook', 'mmengine.CheckpointHook', CheckpointHook)


def add_safety_hooks(cfg: Config) -> None:
    """Give a training the hooks that guard it and its resumes.

    Checkpoints are written by our CheckpointHook wherever mmengine's own stands, by name or by default. A
    config that has one of the others, ours among them, has made its choice and gets no more of them.

    Args:
        cfg: A whole config; changed in place.
    """
    cfg.setdefault('default_hooks', {})
    hooks = cfg.default_hooks  # what setdefault returns is no part of the config
    hooks.setdefault('checkpoint', dict(type='CheckpointHook', interval=1))  # mmengine's default
    given = [hook for hook in [*hooks.values(), *(cfg.get('custom_hooks') or ())] if hook]
    for hook in given:
        if hook['type'] in _MMENGINES:
            hook['type'] = 'AtomicCheckpointHook'
    if {hook['type'] for hook in given}.isdisjoint(hook['type'] for hook in HOOKS.values()):
        hooks.update(HOOKS.to_dict())
