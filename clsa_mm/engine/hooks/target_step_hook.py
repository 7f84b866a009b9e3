"""One step of a target network per step of the optimizer."""

from mmengine.hooks import Hook
from mmengine.model import ExponentialMovingAverage
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from clsa_mm.engine.hooks.place import place_of
from clsa_mm.engine.unwrap import unwrap_model


@HOOKS.register_module()
class TargetStepHook(Hook):
    """Keeps a target network that a model of mmpretrain moves itself to the optimizer's steps.

    BYOL and MoCo v3 of mmpretrain move theirs in every forward. With gradient accumulation that would be
    several times for one step of the optimizer, towards weights that have not changed: a momentum of 0.99
    would act as 0.99 to the power of the accumulated iterations. The hook sets the average's ``interval`` to
    their number; its schedule goes on counting iterations. A step that a gradient scaler skips counts as one.

    Raises:
        TypeError: Before training, if the model has no such network.
    """

    def before_train(self, runner: Runner) -> None:
        """Set the interval."""
        model = unwrap_model(runner.model)
        averages = [module for module in model.modules() if isinstance(module, ExponentialMovingAverage)]
        if not averages:
            raise TypeError(
                f'{type(model).__name__} has no target network that follows it: take {place_of(self, runner)}'
            )
        for average in averages:
            average.interval = runner.optim_wrapper._accumulative_counts
