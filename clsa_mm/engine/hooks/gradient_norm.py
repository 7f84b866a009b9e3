"""The size of the gradients that an optimizer's step is taken with."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor


class GradientNorm:
    """Notes the total norm of a step's gradients, without a gradient scaler's factor and before clipping.

    The norm is Euclidean, over all parameters of all optimizers; with gradient accumulation it is that of the
    accumulated gradient. A step that a scaler skips for its infinite gradients is not noted.

    Args:
        runner: Whose optimizers to listen to.
    """

    def __init__(self, runner: Runner) -> None:
        self.wanted = False
        self._norms: list[Tensor] = []
        self._handles: list = []
        self._clippers: list[tuple[OptimWrapper, Callable]] = []
        wrapper = runner.optim_wrapper
        for each in wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]:
            if getattr(each, 'clip_grad_kwargs', None):
                self._listen_to_clipping(each)
            else:
                self._handles.append(each.optimizer.register_step_pre_hook(self._before_step))

    def take(self) -> float | None:
        """The norm, if it was wanted and a step has been taken since; then it is wanted no more."""
        if not self._norms:
            return None
        norm = torch.linalg.vector_norm(torch.stack(self._norms)).item()
        self._norms = []
        self.wanted = not math.isfinite(norm)
        return None if self.wanted else norm

    def close(self) -> None:
        """Let go of the optimizers."""
        for handle in self._handles:
            handle.remove()
        for wrapper, clip in self._clippers:
            wrapper.clip_func = clip

    def _listen_to_clipping(self, wrapper: OptimWrapper) -> None:
        # When the step's own hooks run, the gradients are clipped already.
        clip = wrapper.clip_func

        def clip_after_a_look(parameters: list[Tensor], **settings: Any) -> Tensor | None:
            self._note([parameter.grad for parameter in parameters])
            return clip(parameters, **settings)

        wrapper.clip_func = clip_after_a_look
        self._clippers.append((wrapper, clip))

    def _before_step(self, optimizer: torch.optim.Optimizer, *args: Any) -> None:
        groups = optimizer.param_groups
        gradients = [p.grad for group in groups for p in group['params'] if p.grad is not None]
        # A fused optimizer takes the scaler's factor out itself.
        self._note(gradients, getattr(optimizer, 'grad_scale', None))

    def _note(self, gradients: list[Tensor], scale: Tensor | None = None) -> None:
        if self.wanted and gradients:
            norm = total_norm(gradients)
            self._norms.append(norm if scale is None else norm / scale)


@torch.no_grad()
def total_norm(gradients: Sequence[Tensor]) -> Tensor:
    """Euclidean norm of all values of all tensors, at least one, as a float32 scalar."""
    return torch.linalg.vector_norm(torch.stack([norm.float() for norm in torch._foreach_norm(gradients)]))
