"""The hooks that keep a run safe, for configs of other libraries, which do not have them."""

from mmengine.config import Config

from clsa_mm.engine.config_bases import config_folder

HOOKS = Config.fromfile(config_folder() / '_base_/safety_hooks.py').default_hooks


def add_safety_hooks(cfg: Config) -> None:
    """Give a training that does not inherit our runtime the hooks that guard it and its resumes.

    A config that has one of them, ours among them, has made its choice and is left alone.

    Args:
        cfg: A whole config; changed in place.
    """
    hooks = cfg.setdefault('default_hooks', {})
    types = {hook['type'] for hook in [*hooks.values(), *(cfg.get('custom_hooks') or ())] if hook}
    if types.isdisjoint(hook['type'] for hook in HOOKS.values()):
        hooks.update(HOOKS.to_dict())
