"""Settings of the optimizer that are given with a resume."""

import copy
import warnings
from itertools import chain

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict, _ParamScheduler
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from clsa_mm.engine.hooks.optimizers import optimizers_of

# Of a scheduler: what changes while it runs. Everything else is a setting.
_RUNNING = {'base_values', 'last_step', 'verbose', '_global_step', '_last_value'}


@HOOKS.register_module()
class ResumeLearningRateHook(Hook):
    """Lets a learning rate that is given on a resume take effect.

    So does every other setting of optimizer and schedules. The runner restores both from the checkpoint with
    all their settings, so that those of the config would be ignored. Where the two differ, this takes the
    config's and repeats the schedules' steps up to where the run stands: the rest of the run has the rates
    of a run that had these settings from its start. Momentum buffers and the like stay as restored. Where
    nothing differs, nothing is touched.

    Raises:
        ValueError: Before training, if the checkpoint is of another kind of optimizer, or of other groups of
            parameters; or if settings differ and a schedule depends on validation results
            (ReduceOnPlateau), whose steps cannot be repeated.
    """

    def __init__(self) -> None:
        self._given: tuple[list[dict], list[dict]] = ([], [])
        self._saved_schedules = 0

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note the config's settings: the runner has built from them and restores after this call."""
        if isinstance(runner.optim_wrapper, OptimWrapper):  # else it is a test
            if runner._resume:
                _refuse_other_optimizer(runner, checkpoint.get('optimizer') or {})
            self._given = _state(runner)
            self._saved_schedules = len(_flat(checkpoint.get('param_schedulers') or []))

    def before_train(self, runner: Runner) -> None:
        """Compare with what was restored."""
        if not runner.iter:
            return
        changes = _changes(self._given, _state(runner))
        schedulers = _flat(runner.param_schedulers or [])
        if len(schedulers) != self._saved_schedules:
            changes.append(f'{len(schedulers)} schedules instead of {self._saved_schedules}')
        if not changes:
            return
        if any(getattr(scheduler, 'need_val_args', False) for scheduler in schedulers):
            raise ValueError(
                f'Resumed with {", ".join(changes)}, but a schedule here depends on validation results, so '
                "its state under other settings is unknown: resume with the checkpoint's settings, or start "
                'a new run from its weights with --cfg-options load_from=CHECKPOINT.'
            )
        groups, states = self._given
        for group, given in zip(_groups(runner), groups, strict=True):
            group.update(given)
        for scheduler, state in zip(schedulers, states, strict=True):
            scheduler.load_state_dict(state)
        _repeat_steps(schedulers, runner.epoch, runner.iter, len(runner.train_dataloader))
        runner.logger.warning(
            f'Resumed with {", ".join(changes)}. The schedules stand where these settings would have brought '
            'them.'
        )


def _refuse_other_optimizer(runner: Runner, saved: dict) -> None:
    """Raise where the saved state is of no such optimizer; torch's errors name no setting, or come late."""
    several = isinstance(runner.optim_wrapper, OptimWrapperDict)
    states = [saved.get(name, {}) for name in runner.optim_wrapper.keys()] if several else [saved]
    for optimizer, state in zip(optimizers_of(runner), states, strict=True):
        if not (old := state.get('param_groups')):
            continue
        remedy = (
            "Resume with the checkpoint's optimizer and model, or start a new run from its weights with "
            '--cfg-options load_from=CHECKPOINT, without --resume.'
        )
        new, kind = optimizer.param_groups, type(optimizer).__name__
        lacking = sorted(optimizer.defaults.keys() - old[0].keys())
        unknown = sorted(name for name in old[0].keys() - new[0].keys() if not name.startswith('initial_'))
        if lacking and unknown:  # one of them alone may be another version of torch
            raise ValueError(
                f'optim_wrapper.optimizer.type is {kind}, the resumed checkpoint is of another optimizer: '
                f'its settings are {", ".join(unknown)} and not {", ".join(lacking)}. {remedy}'
            )
        old_sizes, new_sizes = ([len(group['params']) for group in groups] for groups in (old, new))
        if old_sizes != new_sizes:
            raise ValueError(
                f'The resumed checkpoint has its parameters in {len(old)} groups ({sum(old_sizes)} in all), '
                f'and {kind} here in {len(new)} ({sum(new_sizes)} in all): optim_wrapper.paramwise_cfg, or '
                f'what of the model is trained, was another. {remedy}'
            )


def _flat(schedules: list | dict[str, list]) -> list:
    """Schedules, which are a dictionary of lists where there are several optimizers, as a list."""
    return list(chain(*schedules.values())) if isinstance(schedules, dict) else schedules


def _groups(runner: Runner) -> list[dict]:
    return [group for optimizer in optimizers_of(runner) for group in optimizer.param_groups]


def _state(runner: Runner) -> tuple[list[dict], list[dict]]:
    """Copies of the groups of parameters, without these, and of the schedules' states."""
    groups = [{name: value for name, value in group.items() if name != 'params'} for group in _groups(runner)]
    states = [scheduler.state_dict() for scheduler in _flat(runner.param_schedulers or [])]
    return copy.deepcopy((groups, states))


def _changes(given: tuple[list[dict], list[dict]], restored: tuple[list[dict], list[dict]]) -> list[str]:
    """Each setting that differs, as ``lr=0.03 instead of 0.06``, once."""
    found = []
    for new, old in zip(map(_settings_of_group, given[0]), map(_settings_of_group, restored[0]), strict=True):
        # Names that another version of torch has are no settings of anybody's.
        found += [(name, new[name], old[name]) for name in new if name in old]
    for new, old in zip(
        map(_settings_of_schedule, given[1]), map(_settings_of_schedule, restored[1]), strict=True
    ):
        found += [(name, new.get(name), old.get(name)) for name in new | old]
    return list(dict.fromkeys(f'{name}={new} instead of {old}' for name, new, old in found if new != old))


def _settings_of_group(group: dict) -> dict:
    """What a group starts with: of what is scheduled, the initial value."""
    return {
        name: group.get(f'initial_{name}', value)
        for name, value in group.items()
        if not name.startswith('initial_')
    }


def _settings_of_schedule(state: dict) -> dict:
    return {name: value for name, value in state.items() if name not in _RUNNING}


def _repeat_steps(schedulers: list[_ParamScheduler], epochs: int, iterations: int, length: int) -> None:
    """Step new schedules as a run does: after each iteration, or after each epoch of a length."""
    by_iteration = [scheduler for scheduler in schedulers if not scheduler.by_epoch]
    by_epoch = [scheduler for scheduler in schedulers if scheduler.by_epoch]
    steps = iterations if by_iteration else epochs
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # mmengine's, that no optimizer has stepped in between
        for step in range(1, steps + 1):
            # The end of the last epoch may be still to come, though its iterations are done.
            ended = not by_iteration or (step % length == 0 and step <= epochs * length)
            for scheduler in by_iteration + (by_epoch if ended else []):
                scheduler.step()
