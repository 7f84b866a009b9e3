"""States at the start what a run really does."""

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class TrainingSummaryHook(Hook):
    """Logs effective batch, learning rate, precision and views per step before the first iteration.

    The effective batch is images per process x processes x accumulated iterations. The learning rate is
    the optimizer's own, and the line says what scaled it, if anything did.

    Raises:
        ValueError: Before training, if there are too few images for a single batch.
    """

    priority = 'LOW'

    def before_train(self, runner: Runner) -> None:
        """Log the summary on the main process."""
        if not len(runner.train_dataloader):
            raise ValueError(
                f'{len(runner.train_dataloader.dataset)} images on {runner.world_size} process(es) do not '
                f'fill a batch of {_batch_size(runner)}, so there is nothing to train on: '
                'lower train_dataloader.batch_size or give more images'
            )
        for line in (_batch_line(runner), _learning_rate_line(runner), _speed_line(runner)):
            runner.logger.info(line)


def _batch_size(runner: Runner) -> int:
    loader = runner.train_dataloader
    # With a batch sampler of its own, as detection's, torch's loader says None.
    return loader.batch_size or loader.batch_sampler.batch_size


def _batch_line(runner: Runner) -> str:
    per_process = _batch_size(runner)
    accumulated = runner.optim_wrapper._accumulative_counts
    return (
        f'Effective batch: {per_process * runner.world_size * accumulated} images per optimizer step = '
        f'{per_process} per process x {runner.world_size} process(es) x {accumulated} accumulated; '
        f'{len(runner.train_dataloader.dataset)} images, {len(runner.train_dataloader)} iterations per '
        'epoch and process'
    )


def _learning_rate_line(runner: Runner) -> str:
    groups = runner.optim_wrapper.optimizer.param_groups
    rates = sorted({group.get('initial_lr', group['lr']) for group in groups})
    scaling = runner.cfg.get('auto_scale_lr') or {}
    if scaling.get('enable', False):
        note = f'scaled by auto_scale_lr from the {runner.cfg.optim_wrapper.optimizer.lr:g} of the config'
    else:
        note = 'as in the config, not scaled'
        if 'base_batch_size' in scaling:
            note += f' (meant for a batch of {scaling["base_batch_size"]}; --auto-scale-lr scales it)'
    return f'Learning rate: {", ".join(f"{rate:g}" for rate in rates)}, {note}'


def _speed_line(runner: Runner) -> str:
    wrapper = runner.optim_wrapper
    precision = str(getattr(wrapper, 'cast_dtype', None) or 'float16').removeprefix('torch.')
    model = runner.cfg.model
    return (
        f'Precision: {f"AMP {precision}" if type(wrapper).__name__.startswith("Amp") else "float32"}; '
        f'channels-last {"on" if model.get("channels_last") else "off"}; '
        f'torch.compile {"on" if runner.cfg.get("compile") else "off"}'
        + (f'; views per image: {", ".join(model.view_roles)}' if 'view_roles' in model else '')
    )
