"""Start a training from a pretrained backbone, and say so."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from clsa_mm.checkpoint import load_backbone_weights


@HOOKS.register_module()
class PretrainedBackboneHook(Hook):
    """Load ``model.backbone`` from a pretraining checkpoint before the first iteration.

    Unlike mmengine's ``init_cfg=dict(type='Pretrained', ...)``, which goes on silently with random
    weights when no key fits and runs code that a malicious file holds, this reports how many
    tensors matched, fails when none does and reads tensors only.

    Where the runner itself loaded a checkpoint (``resume`` or ``load_from``) the weights are that
    checkpoint's and this hook does nothing. It does nothing in testing either.

    Args:
        checkpoint: Path of any checkpoint that :func:`clsa_mm.checkpoint.backbone_state_dict`
            reads. None keeps the random initialisation, the floor to compare with, and says so.
    """

    # Before every hook that reads the weights at the start, such as kNN of the initial weights.
    priority = 'VERY_HIGH'

    def __init__(self, checkpoint: str | None = None) -> None:
        self.checkpoint = checkpoint
        self._loaded_by_runner = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note that the runner loaded a whole model."""
        self._loaded_by_runner = True

    def before_train(self, runner: Runner) -> None:
        """Load the weights: the runner has initialised the model and loaded or resumed by now."""
        if self._loaded_by_runner:
            ignored = f'; {self.checkpoint} is not used' if self.checkpoint else ''
            runner.logger.info(
                f'Backbone: weights of the checkpoint that the runner loaded or resumed{ignored}.'
            )
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not hasattr(model, 'backbone'):
            raise ValueError(
                f'PretrainedBackboneHook: {type(model).__name__} has no `backbone` to load weights'
                ' into; remove the hook from `custom_hooks` or use a model that has one.'
            )
        if self.checkpoint is None:
            runner.logger.warning(
                'Backbone: RANDOM-INITIALISED, no checkpoint given. Results are the floor that a '
                'pretrained backbone has to beat.'
            )
            return
        report = load_backbone_weights(model.backbone, self.checkpoint)
        log = runner.logger.info if report.complete else runner.logger.warning
        log(f'Backbone: {report}')
