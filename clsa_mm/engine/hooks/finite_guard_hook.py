"""Stops a run before a value that is not finite gets into weights, queue or checkpoint."""

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from clsa_mm.engine.hooks.optimizers import optimizers_of

# A tensor and what the error calls it.
Named = tuple[str, Tensor]


@HOOKS.register_module()
class FiniteGuardHook(Hook):
    """Raises if a loss or a gradient is NaN or infinite, whatever the model.

    Losses and gradients are looked at before the optimizer takes a step, and losses also after an iteration
    without one, before any other hook acts on it. So weights, key encoder, queue and checkpoints stay as they
    were after the iteration before. A gradient scaler goes on skipping the steps whose gradients overflow.

    Raises:
        FloatingPointError: In training; it names the losses or parameters.
    """

    # Before MomentumQueueHook, which enqueues.
    priority = 'HIGH'

    def __init__(self) -> None:
        self._handles: list = []
        self._names: dict[Tensor, str] = {}
        self._losses: list[Named] = []
        self._iteration = 0
        self._checked = False

    def before_train(self, runner: Runner) -> None:
        """Listen to the model's losses and the optimizer's steps."""
        self._names = {parameter: name for name, parameter in runner.model.named_parameters()}
        self._handles = [
            runner.model.register_forward_hook(self._note_losses),
            *(optimizer.register_step_pre_hook(self._before_step) for optimizer in optimizers_of(runner)),
        ]

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Note the iteration, for the error."""
        self._iteration, self._checked, self._losses = runner.iter, False, []

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Look at the losses of an iteration without an optimizer step."""
        if not self._checked:
            self._require_finite(_losses_in(outputs), [])

    def after_train(self, runner: Runner) -> None:
        """Let go of model and optimizer."""
        for handle in self._handles:
            handle.remove()
        self._losses = []

    def _note_losses(self, model: nn.Module, inputs: Any, outputs: Any) -> None:
        self._losses = _losses_in(outputs)

    def _before_step(self, optimizer: torch.optim.Optimizer, *args: Any) -> None:
        if getattr(optimizer, 'found_inf', None) is not None:
            return  # A gradient scaler has looked already, and the optimizer will skip the step.
        gradients = [
            (f'the gradient of {self._names.get(parameter, "a parameter")}', parameter.grad)
            for group in optimizer.param_groups
            for parameter in group['params']
            if parameter.grad is not None
        ]
        self._require_finite(self._losses, gradients)
        self._checked = True

    def _require_finite(self, losses: list[Named], gradients: list[Named]) -> None:
        if all_finite([tensor for _, tensor in (*losses, *gradients)]):
            return
        bad = [name for name, loss in losses if not all_finite([loss])]
        bad = bad or [name for name, gradient in gradients if not all_finite([gradient])]
        # Rather the terms than their sum.
        bad = list(dict.fromkeys(name for name in bad if name != 'loss')) or bad
        names = ', '.join(bad[:3]) + (f' and {len(bad) - 3} more' if len(bad) > 3 else '')
        raise FloatingPointError(
            f'{names} is not finite in iteration {self._iteration}: stopped before weights, queue or '
            'checkpoint take it over. Lower the learning rate or warm up, try --amp bf16 instead of fp16, '
            'and check the images for empty ones; continue from the last checkpoint with --resume.'
        )


def _losses_in(outputs: Any) -> list[Named]:
    """The tensors that a model's loss returns under names with "loss", as mmengine adds them up."""
    losses = []
    for name, value in outputs.items() if isinstance(outputs, dict) else ():
        if 'loss' in name:
            values = value if isinstance(value, (list, tuple)) else [value]
            losses += [(name, tensor.detach()) for tensor in values if isinstance(tensor, Tensor)]
    return losses


def all_finite(tensors: list[Tensor]) -> bool:
    """Whether all values of all tensors are finite, with one wait for the device.

    The largest magnitude of a tensor is NaN or infinite exactly if one of its values is.
    """
    tensors = [tensor.coalesce().values() if tensor.is_sparse else tensor for tensor in tensors]
    tensors = [tensor.detach() for tensor in tensors if tensor.numel()]
    if not tensors:
        return True
    maxima = torch._foreach_norm(tensors, float('inf'))
    return bool(torch.isfinite(torch.stack([maximum.float() for maximum in maxima])).all())
