"""States at the start what a run really does."""

from collections.abc import Callable

from mmengine.hooks import Hook
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from clsa_mm.engine.constructors import constructors_of
from clsa_mm.engine.hooks.batch_size import batch_size
from clsa_mm.engine.hooks.optimizers import optimizers_of
from clsa_mm.engine.unwrap import unwrap_model


@HOOKS.register_module()
class TrainingSummaryHook(Hook):
    """Logs effective batch, learning rate, precision and views per step before the first iteration.

    The effective batch is images per process x processes x accumulated iterations. The learning rate is
    the one that the optimizer's schedule starts from, and the line says where it is from: the config,
    ``auto_scale_lr`` or a resumed checkpoint; in a resumed run also where the schedule stands. It warns of
    entries of ``paramwise_cfg.custom_keys`` that no parameter has in its name.

    Raises:
        ValueError: Before training, if there are too few images for a single batch.
    """

    priority = 'LOW'

    def __init__(self) -> None:
        self._configured: list[float] | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note the config's rates: the runner restores the checkpoint's after this call."""
        if isinstance(runner.optim_wrapper, OptimWrapper):  # else it is a test
            self._configured = _initial_rates(runner)

    def before_train(self, runner: Runner) -> None:
        """Log the summary on the main process."""
        if not len(runner.train_dataloader):
            raise ValueError(
                f'{len(runner.train_dataloader.dataset)} images on {runner.world_size} process(es) do not '
                f'fill a batch of {batch_size(runner)}, so there is nothing to train on: '
                'lower train_dataloader.batch_size or give more images'
            )
        for line in (_batch_line(runner), _learning_rate_line(runner, self._configured), _speed_line(runner)):
            runner.logger.info(line)
        for key in _idle_custom_keys(runner):
            runner.logger.warning(
                f'optim_wrapper.paramwise_cfg.custom_keys.{key} changes nothing: no parameter has {key!r} in '
                f'its name. There is {", ".join(dict(unwrap_model(runner.model).named_children()))}.'
            )


def _idle_custom_keys(runner: Runner) -> list[str]:
    wrapper = runner.cfg.get('optim_wrapper') or {}
    if constructors_of(wrapper) != [DefaultOptimWrapperConstructor]:
        return []  # another constructor may mean another thing by them
    keys = (wrapper.get('paramwise_cfg') or {}).get('custom_keys') or {}
    names = [name for name, _ in unwrap_model(runner.model).named_parameters(remove_duplicate=False)]
    names = [name if '.' in name else f'.{name}' for name in names]  # so does mmengine
    return [key for key in keys if not any(key in name for name in names)]


def _batch_line(runner: Runner) -> str:
    per_process = batch_size(runner)
    accumulated = runner.optim_wrapper._accumulative_counts
    return (
        f'Effective batch: {per_process * runner.world_size * accumulated} images per optimizer step = '
        f'{per_process} per process x {runner.world_size} process(es) x {accumulated} accumulated; '
        f'{len(runner.train_dataloader.dataset)} images, {len(runner.train_dataloader)} iterations per '
        'epoch and process'
    )


def _initial_rates(runner: Runner) -> list[float]:
    return _rates(runner, lambda group: group.get('initial_lr', group['lr']))


def _rates(runner: Runner, read: Callable[[dict], float]) -> list[float]:
    groups = (group for optimizer in optimizers_of(runner) for group in optimizer.param_groups)
    return sorted({read(group) for group in groups})


def _learning_rate_line(runner: Runner, configured: list[float] | None) -> str:
    rates = _initial_rates(runner)
    scaling = runner.cfg.get('auto_scale_lr') or {}
    if configured not in (None, rates):
        note = f"the resumed checkpoint's, not the {_listed(configured)} of the config"
    elif scaling.get('enable', False):
        note = f'scaled by auto_scale_lr from the {runner.cfg.optim_wrapper.optimizer.lr:g} of the config'
    else:
        note = 'as in the config, not scaled'
        if 'base_batch_size' in scaling:
            note += f' (meant for a batch of {scaling["base_batch_size"]}; --auto-scale-lr scales it)'
    if runner.iter:
        now = _listed(_rates(runner, lambda group: group['lr']))
        note += f'; resumed at iteration {runner.iter}, where the schedule gives {now}'
    return f'Learning rate: {_listed(rates)}, {note}'


def _listed(rates: list[float]) -> str:
    return ', '.join(f'{rate:g}' for rate in rates)


def _speed_line(runner: Runner) -> str:
    wrapper = runner.optim_wrapper
    precision = str(getattr(wrapper, 'cast_dtype', None) or 'float16').removeprefix('torch.')
    model = runner.cfg.model
    return (
        f'Precision: {f"AMP {precision}" if type(wrapper).__name__.startswith("Amp") else "float32"}; '
        f'channels-last {"on" if model.get("channels_last") else "off"}; '
        f'torch.compile {"on" if runner.cfg.get("compile") else "off"}'
        + _views(runner.cfg.get('train_dataloader', {}).get('dataset', {}))
    )


def _views(dataset: dict) -> str:
    numbers = {role: view.get('num_views', 1) for role, view in (dataset.get('views') or {}).items()}
    listed = ', '.join(f'{number} {role}' for role, number in numbers.items() if number)
    return f'; views per image: {listed}' if listed else ''
