"""Keeps values that are not finite out of weights, queue and checkpoints."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from clsa_mm.engine.hooks.optimizers import optimizers_of
from clsa_mm.engine.unwrap import unwrap_model
from clsa_mm.given_numbers import check_numbers

_IN_CHECKPOINT = 'skipped_iterations'
# A tensor and what the error calls it.
Named = tuple[str, Tensor]


@HOOKS.register_module()
class FiniteGuardHook(Hook):
    """Skips an iteration whose losses or gradients are NaN or infinite, on all ranks, up to a limit.

    Losses and gradients are looked at before the optimizer takes a step, and after an iteration without one,
    before any other hook acts on it. If a rank finds one that is not finite, no rank takes the step: all drop
    their gradients, also those accumulated so far, and optimizers leave parameters without one alone. The
    running statistics of batch norm are set back, and
    :class:`~clsa_mm.engine.hooks.momentum_queue_hook.MomentumQueueHook` neither enqueues nor moves the key
    encoder: the model is as it was after the iteration before. A gradient scaler goes on skipping the steps
    whose gradients overflow, and these are not counted.

    A target network that a model moves in its forward pass (BYOL of mmpretrain) has moved, towards weights
    that are finite. A queue that a model fills there (MoCo of mmpretrain) may have taken values that are not:
    then the run stops at once. No checkpoint is written with such values. It holds the numbers of the
    iterations that were skipped, so that a resumed run stops where an uninterrupted one does.

    Args:
        max_skipped: Iterations to skip among ``window`` ones before the run stops; 0 stops it at the first.
            Defaults to 10.
        window: Number of latest iterations that are looked back upon. Defaults to 1000.

    Raises:
        ValueError: If ``max_skipped`` is negative, or ``window`` not larger.
        FloatingPointError: In training; it names the losses or parameters, and of several processes the rank.
    """

    # Before MomentumQueueHook, which enqueues.
    priority = 'HIGH'

    def __init__(self, max_skipped: int = 10, window: int = 1000) -> None:
        check_numbers('FiniteGuardHook', whole=True, max_skipped=max_skipped, window=window)
        if max_skipped < 0:
            raise ValueError(f'FiniteGuardHook: max_skipped must be at least 0, got {max_skipped}')
        if window <= max_skipped:
            raise ValueError(
                f'FiniteGuardHook: window must be more iterations than max_skipped={max_skipped}, got '
                f'{window}'
            )
        self.max_skipped = max_skipped
        self.window = window
        self.skipped = False
        self._skips: deque[int] = deque()
        self._total = 0
        self._saved: dict | None = None
        self._handles: list = []
        self._names: dict[Tensor, str] = {}
        self._losses: list[Named] = []
        self._checked = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep what was skipped in a run that is resumed."""
        self._saved = checkpoint.get(_IN_CHECKPOINT)

    def before_train(self, runner: Runner) -> None:
        """Listen to the model's losses and the optimizer's steps."""
        if runner.iter and self._saved is not None:
            self._skips, self._total = deque(self._saved['latest']), self._saved['total']
        model = unwrap_model(runner.model)
        self._model = model
        self._optimizers = optimizers_of(runner)
        self._scaled = hasattr(runner.optim_wrapper, 'loss_scaler')
        self._names = {parameter: name for name, parameter in model.named_parameters()}
        self._statistics = _running_statistics(model)
        self._kept = [value.clone() for value in self._statistics]
        self._never_finite = _not_finite(model.state_dict())
        self._handles = [
            runner.model.register_forward_hook(self._note_losses),
            *(optimizer.register_step_pre_hook(self._before_step) for optimizer in self._optimizers),
        ]

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Keep the running statistics, which the forward pass changes."""
        self._iteration, self._checked, self.skipped, self._losses = runner.iter, False, False, []
        for kept, now in zip(self._kept, self._statistics, strict=True):
            kept.copy_(now)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Look at an iteration without an optimizer step; count and report a skipped one."""
        if not self._checked or not self._losses:  # or a model whose losses are seen only now
            # Gradients that a scaler has enlarged may overflow; it looks at them before its step.
            gradients = [] if self._scaled else self._gradients(self._optimizers)
            self._check(self._losses or _losses_in(outputs), gradients)
        if not self.skipped:
            return
        for kept, now in zip(self._kept, self._statistics, strict=True):
            now.copy_(kept)
        self._skips.append(runner.iter)
        self._total += 1
        while self._skips[0] <= runner.iter - self.window:
            self._skips.popleft()
        taken = sorted(_not_finite(self._model.state_dict()) - self._never_finite)
        if taken or len(self._skips) > self.max_skipped:
            raise FloatingPointError(self._stopped(taken))
        runner.logger.warning(
            f'{self._found} is not finite in iteration {runner.iter}, which is skipped: weights, queue and '
            f'key encoder stay as they were. This is {len(self._skips)} of {self.max_skipped} that may be '
            f'skipped in {self.window} iterations (default_hooks.finite_guard.max_skipped).'
        )

    def after_train(self, runner: Runner) -> None:
        """Let go of model and optimizer."""
        for handle in self._handles:
            handle.remove()
        self._losses = []
        if self._total:
            runner.logger.warning(f'{self._total} iterations were skipped for values that are not finite.')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note what was skipped, and refuse to save what is not finite; called in the first process alone."""
        checkpoint[_IN_CHECKPOINT] = dict(latest=list(self._skips), total=self._total)
        if bad := sorted(_not_finite(checkpoint['state_dict']) - getattr(self, '_never_finite', set())):
            raise FloatingPointError(
                f'{_listed(bad)} is not finite after iteration {runner.iter}: no checkpoint is written. '
                'Lower the learning rate or warm up, and continue from the last checkpoint with --resume.'
            )

    def _note_losses(self, model: nn.Module, inputs: Any, outputs: Any) -> None:
        self._losses = _losses_in(outputs)

    @torch.compiler.disable
    def _before_step(self, optimizer: torch.optim.Optimizer, *args: Any) -> None:
        if not self.skipped:
            # With this mark a gradient scaler has looked at them, and the optimizer will skip the step.
            scaled = getattr(optimizer, 'found_inf', None) is not None
            self._check(self._losses, [] if scaled else self._gradients([optimizer]))
        self._drop_gradients()

    def _gradients(self, optimizers: list[torch.optim.Optimizer]) -> list[Named]:
        return [
            (f'the gradient of {self._names.get(parameter, "a parameter")}', parameter.grad)
            for parameter in _parameters(optimizers)
            if parameter.grad is not None
        ]

    def _drop_gradients(self) -> None:
        if self.skipped:
            for parameter in _parameters(self._optimizers):
                parameter.grad = None

    def _check(self, losses: list[Named], gradients: list[Named]) -> None:
        """Decide with the other ranks whether to skip; every rank calls this equally often."""
        self._checked = True
        bad = ~_finite([tensor for _, tensor in (*losses, *gradients)])
        all_reduce(bad := bad.float(), 'max')
        self.skipped = bool(bad)
        if self.skipped:  # on all ranks alike
            self._found = _who_and_what(losses, gradients)
            self._drop_gradients()

    def _stopped(self, taken: list[str]) -> str:
        number = len(self._skips)
        if taken:
            why = f'{_listed(taken)} took it over in the forward pass. The checkpoints are free of it'
        else:
            why = 'stopped before weights, queue or checkpoint take it over'
            if self.max_skipped:
                why += f', as {number} of the last {self.window} iterations had to be skipped'
        return (
            f'{self._found} is not finite in iteration {self._iteration}: {why}. Lower the learning rate or '
            'warm up, try --amp bf16 instead of fp16, and check the images for empty ones; continue from the '
            'last checkpoint with --resume.'
        )


def iteration_skipped(runner: Runner) -> bool:
    """Whether :class:`FiniteGuardHook` skips the iteration that hooks are being told of."""
    return any(isinstance(hook, FiniteGuardHook) and hook.skipped for hook in runner.hooks)


def _who_and_what(losses: list[Named], gradients: list[Named]) -> str:
    """Losses of the ranks that have bad ones, or else gradients, which are the same on all of them."""
    kinds = tuple(_bad_names(tensors) for tensors in (losses, gradients))
    found = all_gather_object(kinds)
    ranks = [rank for rank, (bad_losses, _) in enumerate(found) if bad_losses]
    if not ranks:
        return _listed(next(bad for _, bad in found if bad))
    names = _listed(list(dict.fromkeys(name for rank in ranks for name in found[rank][0])))
    if get_world_size() == 1:
        return names
    return f'{names} of rank{"s" if len(ranks) > 1 else ""} {", ".join(map(str, ranks))}'


def _bad_names(tensors: list[Named]) -> list[str]:
    bad = list(dict.fromkeys(name for name, tensor in tensors if not all_finite([tensor])))
    return [name for name in bad if name != 'loss'] or bad  # rather the terms than their sum


def _listed(names: list[str]) -> str:
    return ', '.join(names[:3]) + (f' and {len(names) - 3} more' if len(names) > 3 else '')


def _losses_in(outputs: Any) -> list[Named]:
    """The tensors that a model's loss returns under names with "loss", as mmengine adds them up."""
    losses = []
    for name, value in outputs.items() if isinstance(outputs, dict) else ():
        if 'loss' in name:
            values = value if isinstance(value, (list, tuple)) else [value]
            losses += [(name, tensor.detach()) for tensor in values if isinstance(tensor, Tensor)]
    return losses


def _parameters(optimizers: list[torch.optim.Optimizer]) -> list[Tensor]:
    return [
        parameter
        for optimizer in optimizers
        for group in optimizer.param_groups
        for parameter in group['params']
    ]


def _running_statistics(model: nn.Module) -> list[Tensor]:
    """Buffers of the norm layers that a forward pass in training changes."""
    layers = [layer for layer in model.modules() if getattr(layer, 'track_running_stats', False)]
    buffers = (buffer for layer in layers for buffer in layer.buffers(recurse=False))
    return list({id(buffer): buffer for buffer in buffers}.values())


def _not_finite(state: Mapping[str, Any]) -> set[str]:
    """Names of the tensors of a state that have a value which is not finite."""
    floats = {name: value for name, value in state.items() if _is_float(value)}
    return set() if all_finite([*floats.values()]) else {n for n, v in floats.items() if not all_finite([v])}


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def all_finite(tensors: list[Tensor]) -> bool:
    """Whether all values of all tensors are finite, with one wait for the device."""
    return bool(_finite(tensors))


@torch.no_grad()
def _finite(tensors: list[Tensor]) -> Tensor:
    """Whether all values are finite, as a boolean of shape () on the tensors' device.

    The largest magnitude of a tensor is NaN or infinite exactly if one of its values is.
    """
    tensors = [tensor.coalesce().values() if tensor.is_sparse else tensor for tensor in tensors]
    tensors = [tensor.detach() for tensor in tensors if tensor.numel()]
    if not tensors:
        return torch.tensor(True)
    maxima = torch._foreach_norm(tensors, float('inf'))
    return torch.isfinite(torch.stack([maximum.float() for maximum in maxima])).all()
