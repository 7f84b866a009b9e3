"""What a resumed run has no longer in common with its checkpoint."""

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from clsa_mm.checkpoints.read import CheckpointError
from clsa_mm.engine.run_record import differences, record_of

_IN_META = 'clsa_mm'


@HOOKS.register_module()
class ResumeCheckHook(Hook):
    """Names what differs between a resumed run and that of its checkpoint, and refuses what must not.

    Versions of code and torch, number of processes, images of an iteration, number of images and hash of
    their list are in every checkpoint, beside the config, which mmengine keeps there. A run goes on with
    other versions, another number of processes with the same batch over all of them, and settings that watch,
    write or wait, or that
    :class:`~clsa_mm.engine.hooks.resume_learning_rate_hook.ResumeLearningRateHook` lets take effect. It does
    not with another model, views, seed, batch or list of images: the rest of the run would be another run.

    Args:
        force: Go on with any difference. Defaults to False.

    Raises:
        ValueError: On a resume, if anything else differs; it names each.
    """

    # Before any other hook looks at the checkpoint.
    priority = 'HIGHEST'

    def __init__(self, force: bool = False) -> None:
        self.force = force

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare, before anything of the checkpoint is restored."""
        if not runner._resume or runner._train_loop is None:
            return
        meta = checkpoint.get('meta', {})
        saved = meta.get(_IN_META)
        if not isinstance(saved, dict):
            runner.logger.warning(
                'The checkpoint does not say with which versions and data it was trained; only its config is '
                'compared.'
            )
            saved = {}
        text = meta.get('cfg')
        try:
            safe, unsafe = differences(
                saved, record_of(runner), text if isinstance(text, str) else '', runner.cfg.pretty_text
            )
        except CheckpointError as error:
            safe, unsafe = [], [str(error)]
        for line in safe + unsafe * self.force:
            runner.logger.warning(f'Resumed with {line}')
        if unsafe and not self.force:
            lines = '\n  '.join(unsafe)
            raise ValueError(
                f'The run differs from the one that wrote the checkpoint in\n  {lines}\nso that it would not '
                'be that run which goes on. Resume with what it had; or add --force (of tools/train.py) to '
                'go on all the same; or start a new run from its weights, with --cfg-options '
                'load_from=CHECKPOINT, another --work-dir and without --resume.'
            )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Write the record; the runner calls this in the first process alone."""
        checkpoint['meta'][_IN_META] = record_of(runner)
