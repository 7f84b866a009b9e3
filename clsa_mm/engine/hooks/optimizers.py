"""The runner's optimizers, and whether a step of theirs was taken."""

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner


def wrappers_of(runner: Runner) -> list[OptimWrapper]:
    """All optimizer wrappers of a run: one, or those of an ``OptimWrapperDict``."""
    wrapper = runner.optim_wrapper
    return list(wrapper.values()) if isinstance(wrapper, OptimWrapperDict) else [wrapper]


def optimizers_of(runner: Runner) -> list[torch.optim.Optimizer]:
    """Their optimizers."""
    return [wrapper.optimizer for wrapper in wrappers_of(runner)]


def skipped_by_scaler(optimizer: torch.optim.Optimizer) -> bool:
    """Whether the step that is being taken does nothing, asked in a hook of the optimizer's step.

    A gradient scaler does not call an ordinary optimizer after an overflow. A fused one it does call: there
    the optimizer itself leaves the weights alone, by the scaler's note in ``found_inf``.
    """
    found = getattr(optimizer, 'found_inf', None)
    return found is not None and bool(found.item())
