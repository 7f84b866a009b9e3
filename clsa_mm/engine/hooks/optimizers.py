"""The runner's optimizers, and whether a step of theirs was taken."""

import torch
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner


def optimizers_of(runner: Runner) -> list[torch.optim.Optimizer]:
    """All optimizers of a run: one, or those of an ``OptimWrapperDict``."""
    wrapper = runner.optim_wrapper
    wrappers = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
    return [each.optimizer for each in wrappers]


def skipped_by_scaler(optimizer: torch.optim.Optimizer) -> bool:
    """Whether the step that is being taken does nothing, asked in a hook of the optimizer's step.

    A gradient scaler does not call an ordinary optimizer after an overflow. A fused one it does call: there
    the optimizer itself leaves the weights alone, by the scaler's note in ``found_inf``.
    """
    found = getattr(optimizer, 'found_inf', None)
    return found is not None and bool(found.item())
