"""Where a resumed run goes on: at the start of an epoch, never within one."""

from mmengine.hooks import CheckpointHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop, Runner


@HOOKS.register_module()
class ResumePositionHook(Hook):
    """Keeps the number of the iteration in step with the epochs of a resumed run.

    mmengine's loop over epochs starts the epoch of the checkpoint from its first image and goes on to count
    iterations, so that after a checkpoint from within an epoch images repeat, the count passes
    ``max_iters`` and what follows it (the momentum's cosine, schedules by iteration) runs past its end.
    This refuses such a checkpoint. Where the epochs have another length than before, through another batch
    size, number of processes or images, it counts the iterations of the epochs done in the new length.

    Raises:
        ValueError: Before training, if the checkpoint is not of the end of an epoch.
    """

    # After the runner's own bookkeeping, before what reads the number of the iteration.
    priority = 'HIGH'

    def __init__(self) -> None:
        self._written_length: int | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note how long an epoch of the checkpoint's run was."""
        info = checkpoint.get('message_hub', {}).get('runtime_info', {})
        if info.get('max_epochs'):
            self._written_length = info['max_iters'] // info['max_epochs']

    def before_train(self, runner: Runner) -> None:
        """Check and mend the position."""
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            return
        length = len(runner.train_dataloader)
        written = self._written_length or length
        if runner.iter != runner.epoch * written:
            raise ValueError(
                f'The checkpoint stands at iteration {runner.iter}, which is not the end of epoch '
                f'{runner.epoch} of {written} iterations each: it was written within an epoch '
                '(CheckpointHook with by_epoch=False). A run can go on from the end of an epoch only: resume '
                'from such a checkpoint (epoch_N.pth; by_epoch=True writes them), or start a new run from '
                'these weights with --cfg-options load_from=CHECKPOINT.'
            )
        if written != length and runner.iter:
            runner.train_loop._iter = runner.epoch * length
            runner.optim_wrapper.initialize_count_status(runner.model, runner.iter, runner.max_iters)
            runner.logger.warning(
                f'An epoch has {length} iterations now and had {written} in the run that is resumed: the '
                f'{runner.epoch} epochs done count as {runner.iter} iterations.'
            )
        if any(isinstance(hook, CheckpointHook) and not hook.by_epoch for hook in runner.hooks):
            runner.logger.warning(
                'CheckpointHook has by_epoch=False: no run can be resumed from a checkpoint within an epoch.'
            )
