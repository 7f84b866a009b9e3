"""Test metrics where training metrics go."""

from numbers import Real

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class LogTestMetricsHook(Hook):
    """Send the metrics of a test to the logging back ends, as ``test/<metric>`` of step 0.

    mmengine's LoggerHook writes them to a file alone.
    """

    def after_test_epoch(self, runner: Runner, metrics: dict[str, object] | None = None) -> None:
        """Log what is a number."""
        found = (metrics or {}).items()
        numbers = {f'test/{name}': value for name, value in found if isinstance(value, Real)}
        if numbers:
            runner.visualizer.add_scalars(numbers, step=0)
