"""A log that cannot be written ends no run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from clsa_mm.engine.failed_writes import remedy

_WRITES = ('add_scalar', 'add_scalars', 'add_image')


@HOOKS.register_module()
class LogGuardHook(Hook):
    """Lets a run go on where the visualizer's back ends cannot write, as on a full disk, and says so.

    Curves have a gap there. Lines of the text log that cannot be written go to the console, where Python's
    logging reports each. A checkpoint that cannot be written stops a run all the same.
    """

    # Before the first that logs.
    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self.lost = 0

    def before_run(self, runner: Runner) -> None:
        """Stand between the visualizer and its back ends."""
        self.lost = 0
        for backend in runner.visualizer._vis_backends.values():
            for name in _WRITES:
                setattr(backend, name, self._tolerant(runner, getattr(backend, name)))

    def after_run(self, runner: Runner) -> None:
        """Say how much is missing."""
        if self.lost:
            runner.logger.warning(f'{self.lost} entries of the curves could not be written and are missing.')

    def _tolerant(self, runner: Runner, write: Callable) -> Callable:
        def tolerant(*arguments: Any, **settings: Any) -> None:
            try:
                write(*arguments, **settings)
            except OSError as error:
                self.lost += 1
                if self.lost == 1:
                    folder = runner.log_dir
                    runner.logger.warning(
                        f'The curves of this run cannot be written: {error}. Training goes on without. '
                        f'{remedy(error, Path(folder))}'
                    )

        return tolerant
