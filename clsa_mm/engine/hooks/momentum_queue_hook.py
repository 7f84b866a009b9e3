"""What moves the key encoder and the queue, and watches that training makes sense."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from clsa_mm.models.selfsup.clsa import CLSA


@HOOKS.register_module()
class MomentumQueueHook(Hook):
    """Updates the key encoder and the queue of :class:`CLSA` and reports how training goes.

    After each iteration the keys are enqueued; after each iteration in which the optimizer really took a
    step (with gradient accumulation the last of a group; with a gradient scaler not the skipped ones) the
    key encoder takes its momentum step. As both encoders start alike, this is the order of the official
    code, which updates at the start of the next forward.

    Every ``interval`` iterations it logs ``queue_fill``, ``chance_level`` (ln M, the contrastive loss of
    a model that knows nothing), ``momentum``, ``positive_similarity``, ``negative_similarity`` and
    ``feature_std`` (0 when collapsed, ``1 / sqrt(C)`` when spread evenly).

    Args:
        schedule: ``'constant'`` (the paper), or ``'cosine'`` from the model's momentum to
            ``end_momentum`` over the training, as in BYOL. Defaults to ``'constant'``.
        end_momentum: Share that the key encoder keeps at the end of a cosine schedule. Defaults to 1.0.
        interval: Iterations between two reports. Defaults to 10.
        chance_patience: Epochs after the queue has been filled for which the loss may stay at chance
            before a warning. Defaults to 5.
        chance_margin: The loss is at chance if it is above ``(1 - chance_margin) * ln M``. Defaults to
            0.02.
    """

    # After the runner's own bookkeeping, before logging and checkpoints.
    priority = 'ABOVE_NORMAL'

    def __init__(
        self,
        schedule: str = 'constant',
        end_momentum: float = 1.0,
        interval: int = 10,
        chance_patience: int = 5,
        chance_margin: float = 0.02,
    ) -> None:
        if schedule not in ('constant', 'cosine'):
            raise ValueError(f"schedule must be 'constant' or 'cosine', got {schedule!r}")
        if not 0 <= end_momentum <= 1:
            raise ValueError(f'end_momentum must be in [0, 1], got {end_momentum}')
        self.schedule = schedule
        self.end_momentum = end_momentum
        self.interval = interval
        self.chance_patience = chance_patience
        self.chance_margin = chance_margin
        self._optimizer_stepped = False
        self._loss_sum: torch.Tensor | float = 0.0
        self._loss_count = 0
        self._epochs_at_chance = 0

    def before_train(self, runner: Runner) -> None:
        """Check the model and count the optimizer's steps."""
        model = _unwrap(runner)
        if not isinstance(model, CLSA):
            raise TypeError(
                f'MomentumQueueHook drives a CLSA model, got {type(model).__name__}: remove the hook '
                "from custom_hooks or use model=dict(type='CLSA', ...)"
            )
        self._handle = runner.optim_wrapper.optimizer.register_step_post_hook(self._note_step)
        dataset_size = len(runner.train_dataloader.dataset)
        if len(model.queue) >= dataset_size:
            runner.logger.warning(
                f'the queue of {len(model.queue)} keys is not smaller than the data set of '
                f'{dataset_size} images: images meet their own old keys as negatives. Set '
                f'model.queue_len to less, for example {max(1, dataset_size // 4)}.'
            )

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Stop at a non-finite loss; else enqueue and, after an optimizer step, move the key encoder."""
        losses = {name: value for name, value in (outputs or {}).items() if 'loss' in name}
        _require_finite(losses, runner.iter)
        model = _unwrap(runner)
        model.enqueue()
        momentum = self.momentum_at(model.momentum, runner.iter, runner.max_iters)
        if self._optimizer_stepped:
            model.momentum_update(momentum)
            self._optimizer_stepped = False
        self._loss_sum += losses.get('loss_contrastive', torch.zeros(())).detach()
        self._loss_count += 1
        last = self.end_of_epoch(runner.train_dataloader, batch_idx)
        if last or self.every_n_inner_iters(batch_idx, self.interval):
            for name, value in self._report(model, momentum).items():
                runner.message_hub.update_scalar(f'train/{name}', value)

    def after_train_epoch(self, runner: Runner) -> None:
        """Warn once if the loss stays at chance although the queue is full."""
        model = _unwrap(runner)
        mean = float(self._loss_sum) / max(1, self._loss_count)
        self._loss_sum, self._loss_count = 0.0, 0
        if model.queue.fill < 1:
            return
        chance = model.statistics['chance_level'] * model.view_roles.count('weak')
        at_chance = mean > (1 - self.chance_margin) * chance
        self._epochs_at_chance = self._epochs_at_chance + 1 if at_chance else 0
        if self._epochs_at_chance == self.chance_patience:
            runner.logger.warning(
                f'loss_contrastive has stayed at chance for {self.chance_patience} epochs with a full '
                f'queue ({mean:.3f} of {chance:.3f}): nothing is learnt. Lower model.momentum (0.99 for '
                'short runs and small data sets), check the learning rate, and look at the views with '
                'tools/analysis_tools/browse_views.py.'
            )

    def after_train(self, runner: Runner) -> None:
        """Let go of the optimizer."""
        self._handle.remove()

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

    def _note_step(self, *args: Any) -> None:
        self._optimizer_stepped = True

    @staticmethod
    def _report(model: CLSA, momentum: float) -> dict[str, float]:
        return dict(
            queue_fill=model.queue.fill,
            momentum=momentum,
            **{name: float(value) for name, value in model.statistics.items()},
        )


def _unwrap(runner: Runner) -> torch.nn.Module:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _require_finite(losses: dict[str, torch.Tensor], iteration: int) -> None:
    bad = [name for name, value in losses.items() if not torch.isfinite(torch.as_tensor(value)).all()]
    if bad:
        terms: Sequence[str] = [name for name in bad if name != 'loss'] or bad
        raise FloatingPointError(
            f'{", ".join(terms)} is not finite in iteration {iteration}: stopped before the queue and a '
            'checkpoint take it over. Lower the learning rate or warm up, try --amp bf16 instead of fp16, '
            'and check the images for empty ones; resume from the last checkpoint with --resume.'
        )
