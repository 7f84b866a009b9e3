"""Start a training from a pretrained backbone, and say so."""

from collections.abc import Sequence
from dataclasses import replace

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from clsa_mm.checkpoints.backbone import LoadReport, backbone_state_dict, fill_backbone, read_checkpoint
from clsa_mm.engine.hooks.place import place_of
from clsa_mm.engine.unwrap import unwrap_model


@HOOKS.register_module()
class PretrainedBackboneHook(Hook):
    """Load a pretraining checkpoint's backbone into the model before the first iteration.

    Unlike mmengine's ``init_cfg=dict(type='Pretrained', ...)``, which goes on silently with random
    weights when no key fits and runs code that a malicious file holds, this reports how many
    tensors matched in each module, fails when none does and reads tensors only.

    Where the runner itself loaded a checkpoint (``resume`` or ``load_from``) the weights are that
    checkpoint's and this hook does nothing. It does nothing in testing either.

    Args:
        checkpoint: Path of any checkpoint that :func:`clsa_mm.checkpoints.backbone.backbone_state_dict`
            reads. None keeps the random initialisation, the floor to compare with, and says so.
        modules: The modules of the model that share the backbone's stages, as dotted names. A C4 detector
            has the last stage in ``'roi_head.shared_head'``. Submodules that a module lists in its
            attribute ``new_modules`` are in no checkpoint and are not missed.
    """

    # Before every hook that reads the weights at the start, such as kNN of the initial weights.
    priority = 'VERY_HIGH'

    def __init__(self, checkpoint: str | None = None, modules: Sequence[str] = ('backbone',)) -> None:
        self.checkpoint = checkpoint
        self.modules = tuple(modules)
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
        model = unwrap_model(runner.model)
        modules = {name: self._submodule(runner, model, name) for name in self.modules}
        if self.checkpoint is None:
            runner.logger.warning(
                'Backbone: RANDOM-INITIALISED, no checkpoint given. Results are the floor that a '
                'pretrained backbone has to beat.'
            )
            return
        state = backbone_state_dict(read_checkpoint(self.checkpoint))
        reports = {name: fill_backbone(module, state, self.checkpoint) for name, module in modules.items()}
        unused = set.intersection(*(set(report.unused) for report in reports.values()))
        for name, report in reports.items():
            new = getattr(modules[name], 'new_modules', ())
            self._log(runner, name, replace(report, unused=sorted(unused)), new)

    def _log(self, runner: Runner, name: str, report: LoadReport, new: Sequence[str]) -> None:
        added = [key for key in report.missing if key.split('.')[0] in new]
        report = replace(report, missing=[key for key in report.missing if key not in added])
        title = 'Backbone' if name == 'backbone' else f'Backbone, {name}'
        note = f'; {len(added)} new, in no checkpoint: {", ".join(added)}' if added else ''
        log = runner.logger.info if report.complete else runner.logger.warning
        log(f'{title}: {report}{note}')

    def _submodule(self, runner: Runner, model: nn.Module, name: str) -> nn.Module:
        try:
            return model.get_submodule(name)
        except AttributeError as error:
            raise ValueError(
                f'PretrainedBackboneHook: {type(model).__name__} has no `{name}` to load weights into: use a '
                f'model that has it, leave it out of `modules`, or take {place_of(self, runner)}.'
            ) from error
