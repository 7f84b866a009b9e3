"""Where a config has a hook."""

from mmengine.hooks import Hook
from mmengine.runner import Runner


def place_of(hook: Hook, runner: Runner) -> str:
    """What the config has to lose, to lose the hook: words to follow ``take``.

    Args:
        hook: One of the runner's hooks.
        runner: Has the config.
    """
    for name, config in (runner.cfg.get('default_hooks') or {}).items():
        if config and config.get('type') in (type(hook), type(hook).__name__):
            return f'{name} out of default_hooks'
    return 'the hook out of custom_hooks'
