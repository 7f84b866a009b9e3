"""Gradients of a step that a checkpoint falls into."""

from typing import Any

import torch
from mmengine.dist import all_gather
from mmengine.hooks import CheckpointHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from clsa_mm.engine.hooks.optimizers import wrappers_of
from clsa_mm.engine.unwrap import unwrap_model

_IN_CHECKPOINT = 'accumulated_gradients'


@HOOKS.register_module()
class AccumulatedGradientsHook(Hook):
    """Keeps half-accumulated gradients in a checkpoint, so that a resumed run goes on within a step.

    With ``optim_wrapper.accumulative_counts`` above 1 an iteration that does not end a step leaves gradients
    behind. A checkpoint written then holds them under ``accumulated_gradients``: one dictionary of names and
    tensors for each process, since a process adds up its own until the step. One written between two steps
    holds nothing. A run that is resumed with another number of processes gives each the mean of all, which
    is what the step takes in the end.

    :meth:`collect` must be called on all processes before a checkpoint is written; for the checkpoints of
    ``CheckpointHook`` this hook does it.
    """

    # Before CheckpointHook, after everything that touches gradients.
    priority = 'LOW'

    def __init__(self) -> None:
        self._saved: list[dict[str, Tensor]] = []
        self._collected: tuple[int, list[dict[str, Tensor]]] | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep what the checkpoint has."""
        self._saved = checkpoint.get(_IN_CHECKPOINT) or []

    def before_train(self, runner: Runner) -> None:
        """Put the gradients back."""
        saved, self._saved = self._saved, []
        if not saved or not runner.iter:
            return
        world = runner.world_size
        own = saved[runner.rank] if len(saved) == world else _mean(saved)
        for name, parameter in unwrap_model(runner.model).named_parameters():
            if name in own:
                parameter.grad = own[name].to(parameter)
        runner.logger.info(
            f'{len(own)} parameters go on from the gradients of the iterations since the last optimizer '
            "step, which are in the checkpoint; mmengine's warning that they are lost does not hold."
        )

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Collect if a checkpoint of this iteration follows."""
        self._collected = None
        if any(_saves_iteration(hook, runner) for hook in runner.hooks if isinstance(hook, CheckpointHook)):
            self.collect(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Collect if a checkpoint of this epoch follows."""
        if any(isinstance(hook, CheckpointHook) and hook.by_epoch for hook in runner.hooks):
            self.collect(runner, runner.iter)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the gradients; the runner calls this in the first process alone."""
        done, gradients = self._collected or (None, [])
        if 'optimizer' in checkpoint and done == checkpoint['meta']['iter']:
            checkpoint[_IN_CHECKPOINT] = gradients

    def collect(self, runner: Runner, iteration: int | None = None) -> None:
        """Bring the gradients of all processes to the first one, if a step has begun and not ended.

        Args:
            runner: Whose model.
            iteration: Iterations done; the current one counts, if not given.
        """
        self._collected = None
        if not _within_step(runner):
            return
        gradients: list[dict[str, Tensor]] = [{} for _ in range(runner.world_size)]
        for name, parameter in unwrap_model(runner.model).named_parameters():
            if parameter.grad is not None:  # the same ones everywhere, as for the optimizer's step
                for own, gradient in zip(gradients, all_gather(parameter.grad), strict=True):
                    own[name] = gradient.cpu()
        self._collected = (runner.iter + 1 if iteration is None else iteration, gradients)


def _saves_iteration(hook: CheckpointHook, runner: Runner) -> bool:
    return not hook.by_epoch and (
        hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
        or (hook.save_last and hook.is_last_train_iter(runner))
    )


def _within_step(runner: Runner) -> bool:
    return any(each._accumulative_counts > 1 and not each.should_update() for each in wrappers_of(runner))


def _mean(saved: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([each[name] for each in saved]).mean(dim=0) for name in saved[0]}
