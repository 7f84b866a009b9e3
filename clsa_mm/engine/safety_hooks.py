"""The hooks that keep a run safe, for configs of other libraries, which do not have them."""

from mmengine.config import Config

# As in configs/_base_/default_runtime.py, where each can be changed or switched off.
SAFETY_HOOKS = dict(
    own_checkpoints='OwnCheckpointsHook',
    iteration_seed='IterationSeedHook',
    resume_position='ResumePositionHook',
    resume_learning_rate='ResumeLearningRateHook',
    finite_guard='FiniteGuardHook',
)


def add_safety_hooks(cfg: Config) -> None:
    """Give a training that does not inherit our runtime the hooks that guard it and its resumes.

    A config that has one of them, ours among them, has made its choice and is left alone.

    Args:
        cfg: A whole config; changed in place.
    """
    hooks = cfg.setdefault('default_hooks', {})
    types = [hook['type'] for hook in [*hooks.values(), *(cfg.get('custom_hooks') or ())] if hook]
    if not set(types) & set(SAFETY_HOOKS.values()):
        hooks.update({name: dict(type=kind) for name, kind in SAFETY_HOOKS.items()})
