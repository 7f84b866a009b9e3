"""What moves the key encoder and the queue."""

import math
from typing import Any, Protocol, runtime_checkable

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from clsa_mm.engine.hooks.finite_guard_hook import iteration_skipped
from clsa_mm.engine.hooks.optimizers import optimizers_of, skipped_by_scaler
from clsa_mm.engine.hooks.place import place_of
from clsa_mm.engine.unwrap import unwrap_model
from clsa_mm.given_numbers import check_numbers
from clsa_mm.models.queues.key_queue import KeyQueue


@runtime_checkable
class MomentumQueueModel(Protocol):
    """What :class:`MomentumQueueHook` needs of a model.

    A :class:`~clsa_mm.models.KeyQueue` under the name ``queue`` has its length checked and its fill reported.
    Where there is a method ``discard()``, it is called in place of ``enqueue()`` after an iteration that
    ``FiniteGuardHook`` skips.

    Attributes:
        momentum: Share of its old self that the key encoder keeps, in [0, 1].
    """

    momentum: float

    def momentum_update(self, momentum: float) -> None:
        """Move the key encoder, once per optimizer step."""

    def enqueue(self) -> None:
        """Put the keys of the last loss into the queue, once per iteration."""


@HOOKS.register_module()
class MomentumQueueHook(Hook):
    """Updates the key encoder and the queue of a model such as :class:`~clsa_mm.models.CLSA`.

    After each iteration the keys are enqueued; after each iteration in which the optimizer really took a
    step (with gradient accumulation the last of a group; with a gradient scaler not the skipped ones) the
    key encoder takes its momentum step. As both encoders start alike, this is the order of the official
    code, which updates at the start of the next forward. An iteration that ``FiniteGuardHook`` skips changes
    neither.

    Every ``interval`` iterations it logs ``momentum`` and, of a model with a queue, ``queue_fill``.

    Args:
        schedule: ``'constant'`` (the paper), or ``'cosine'`` from the model's momentum to
            ``end_momentum`` over the training, as in BYOL. Defaults to ``'constant'``.
        end_momentum: Share that the key encoder keeps at the end of a cosine schedule. Defaults to 1.0.
        interval: Iterations between two reports. Defaults to 10.
    """

    # After the runner's own bookkeeping and FiniteGuardHook, before logging and checkpoints.
    priority = 'ABOVE_NORMAL'

    def __init__(self, schedule: str = 'constant', end_momentum: float = 1.0, interval: int = 10) -> None:
        if schedule not in ('constant', 'cosine'):
            raise ValueError(f"schedule must be 'constant' or 'cosine', got {schedule!r}")
        check_numbers('MomentumQueueHook', end_momentum=end_momentum)
        check_numbers('MomentumQueueHook', whole=True, low=1, interval=interval)
        if not 0 <= end_momentum <= 1:
            raise ValueError(f'end_momentum must be in [0, 1], got {end_momentum}')
        self.schedule = schedule
        self.end_momentum = end_momentum
        self.interval = interval
        self._optimizer_stepped = False
        self._handles: list = []

    def before_train(self, runner: Runner) -> None:
        """Check the model and count the optimizer's steps."""
        model = unwrap_model(runner.model)
        if not isinstance(model, MomentumQueueModel):
            needs = dict(momentum='momentum', momentum_update='momentum_update()', enqueue='enqueue()')
            lacks = ', '.join(shown for name, shown in needs.items() if not hasattr(model, name))
            raise TypeError(
                f'MomentumQueueHook drives a model as CLSA, but {type(model).__name__} lacks {lacks}: add '
                f'what it lacks, or take {place_of(self, runner)}'
            )
        self._handles = [
            optimizer.register_step_post_hook(self._note_step) for optimizer in optimizers_of(runner)
        ]
        queue, images = _queue_of(model), len(runner.train_dataloader.dataset)
        if queue is not None and len(queue) >= images:
            runner.logger.warning(
                f'the queue of {len(queue)} keys is not smaller than the data set of {images} images: images '
                f'meet their own old keys as negatives. Set model.queue_len to less, for example '
                f'{max(1, images // 4)}.'
            )

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Enqueue and, after an optimizer step, move the key encoder."""
        model = unwrap_model(runner.model)
        if iteration_skipped(runner):
            getattr(model, 'discard', lambda: None)()
            self._optimizer_stepped = False
            return
        model.enqueue()
        momentum = self.momentum_at(model.momentum, runner.iter, runner.max_iters)
        if self._optimizer_stepped:
            model.momentum_update(momentum)
            self._optimizer_stepped = False
        last = self.end_of_epoch(runner.train_dataloader, batch_idx)
        if last or self.every_n_inner_iters(batch_idx, self.interval):
            runner.message_hub.update_scalar('train/momentum', momentum)
            if (queue := _queue_of(model)) is not None:
                runner.message_hub.update_scalar('train/queue_fill', queue.fill)

    def after_train(self, runner: Runner) -> None:
        """Let go of the optimizer."""
        for handle in self._handles:
            handle.remove()

    def momentum_at(self, start: float, iteration: int, max_iterations: int) -> float:
        """Momentum of an iteration, a function of its number alone, so that a resume changes nothing.

        Args:
            start: The model's momentum.
            iteration: Number of the iteration, from 0.
            max_iterations: Iterations of the whole training.
        """
        if self.schedule == 'constant':
            return start
        progress = (math.cos(math.pi * iteration / max_iterations) + 1) / 2
        return self.end_momentum - (self.end_momentum - start) * progress

    def _note_step(self, optimizer: torch.optim.Optimizer, *args: Any) -> None:
        self._optimizer_stepped = self._optimizer_stepped or not skipped_by_scaler(optimizer)


def _queue_of(model: torch.nn.Module) -> KeyQueue | None:
    queue = getattr(model, 'queue', None)
    return queue if isinstance(queue, KeyQueue) else None
