"""Keeps the history of logged figures short."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from clsa_mm.given_numbers import check_numbers


@HOOKS.register_module()
class LogHistoryHook(Hook):
    """Drops old values of the figures that mmengine's message hub keeps of every iteration.

    It keeps a million of each, copies all of them whenever one is added, and writes them into every
    checkpoint: in a long run the memory of the process, the time of an iteration and the files grow. What the
    log shows are means over the last iterations, at most over those of an epoch.

    Args:
        keep: Values of each figure, or as many as an epoch has iterations if that is more.
            Defaults to 10,000.
        interval: Iterations between two looks. Defaults to 1000.

    Raises:
        ValueError: If ``keep`` or ``interval`` are less than 1.
    """

    # After all that logs.
    priority = 'LOWEST'

    def __init__(self, keep: int = 10_000, interval: int = 1000) -> None:
        check_numbers('LogHistoryHook', whole=True, keep=keep, interval=interval)
        for name, number in dict(keep=keep, interval=interval).items():
            if number < 1:
                raise ValueError(f'LogHistoryHook: {name} must be at least 1, got {number}')
        self.keep = keep
        self.interval = interval

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Drop them if it is time."""
        if not self.every_n_train_iters(runner, self.interval):
            return
        keep = max(self.keep, len(runner.train_dataloader))
        for buffer in runner.message_hub.log_scalars.values():
            values, counts = buffer.data
            if len(values) > keep:  # copies, for a part would hold the whole
                buffer._log_history, buffer._count_history = values[-keep:].copy(), counts[-keep:].copy()
