"""Hooks that a config switches off."""

from mmengine.config import Config

# The hooks that mmengine itself puts there: it removes them where the config says None, and fails at others.
OWN_TO_MMENGINE = {'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint'}


def remove_switched_off_hooks(cfg: Config) -> None:
    """Make ``default_hooks.<name>=None`` remove any hook, not those of mmengine alone.

    Args:
        cfg: A whole config; changed in place.
    """
    hooks = cfg.get('default_hooks') or {}
    for name in [name for name, hook in hooks.items() if hook is None and name not in OWN_TO_MMENGINE]:
        del hooks[name]
