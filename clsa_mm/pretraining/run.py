"""A folder of images in, a backbone out."""

import json
import os
import shlex
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from clsa_mm.checkpoints.newest import newest_whole
from clsa_mm.checkpoints.unfinished import write_text
from clsa_mm.durations import duration
from clsa_mm.pretraining.export import export_backbone
from clsa_mm.pretraining.lock import locked
from clsa_mm.pretraining.progress import Progress
from clsa_mm.pretraining.recipe import Recipe, Wishes, first_recipe
from clsa_mm.pretraining.rules import MOST_EPOCHS
from clsa_mm.pretraining.training import (
    Interrupted,
    Pace,
    TrainingError,
    measure,
    run_training,
    train_command,
)
from clsa_mm.printable import printable
from clsa_mm.reports import write_report

CONFIG, PLAN, RUN, REPORT, CONSOLE = 'config.py', 'plan.json', 'run', 'report.html', 'console.txt'
# What follows a training, the other formats and the report; and the effective ranks, in steps.
_AFTER_SECONDS, _RANKS_STEPS = 40.0, 20
# A training that waits for data for more of the time than this is limited by it.
_WAITING = 0.2


def _print(line: str) -> None:
    print(line, flush=True)


@dataclass(frozen=True)
class Plan:
    """What a run was started with, for the same command to go on.

    Attributes:
        wishes: What was asked for.
        epochs: Length.
        steps_per_epoch: Steps of an epoch.
        batch: Images of a step.
        gpus: Number of GPUs that are used.
        seconds: That all was predicted to take.
    """

    wishes: Wishes
    epochs: int
    steps_per_epoch: int
    batch: int
    gpus: int
    seconds: float


def pretrain(
    data: str | Path,
    out: str | Path = 'work_dirs/pretrain',
    model: str = '',
    method: str = 'clsa',
    epochs: int | None = None,
    hours: float | None = None,
    init: str | Path | None = None,
    seed: int = 0,
    dry_run: bool = False,
    tell: Callable[[str], None] = _print,
) -> Path:
    """Pretrain a backbone on a folder of images.

    Looks at the images and the machine, chooses a recipe by the rules of docs/pretrain.md, measures the first
    steps, writes the recipe as a config, trains, and writes the backbone and a report. Ctrl-C and SIGTERM
    save; the same call goes on, and ends with the very weights of an uninterrupted one.

    Args:
        data: Folder of images, flat or nested; labels are not needed.
        out: Folder for all results. Defaults to ``'work_dirs/pretrain'``.
        model: ``resnet18`` to ``resnet152``, a name of mmpretrain's model zoo or the start of one, or
            ``timm/NAME``. Defaults to '': ``resnet50`` on GPUs, ``resnet18`` without.
        method: One of :data:`~clsa_mm.pretraining.rules.METHODS`. Defaults to ``'clsa'``.
        epochs: Length of the training. Defaults to None: by ``hours``, or by the rules.
        hours: Time that all of it may take; the epochs are fitted to it. Defaults to None.
        init: Checkpoint whose backbone both encoders start from. Defaults to None.
        seed: Of the training. Defaults to 0.
        dry_run: Only tell the config that the rules make, before anything is measured. Defaults to False.
        tell: Takes the lines that are said. Defaults to ``print``.

    Returns:
        The folder ``out``: ``backbone_*.pth``, ``config.py``, ``report.html``, and ``run/`` with log and
        checkpoints.

    Raises:
        ValueError: If an argument is not as above, or ``out`` holds a run of other arguments.
        FileNotFoundError: If there is no such folder, no image in it, or no such checkpoint.
        RuntimeError: If the training fails, or another process works in ``out``.
        KeyboardInterrupt: After Ctrl-C or SIGTERM, once all is saved.
    """
    began = time.monotonic()
    init = None if init is None else os.path.abspath(init)
    wishes = Wishes(os.path.abspath(data), model, method, epochs, hours, init, seed)
    out = Path(out)
    if dry_run:
        tell(first_recipe(wishes, lambda line: None).text())
        return out
    with locked(out, tell=tell) as lock:
        plan = _known_plan(out, wishes)
        try:
            if plan is None:
                plan = _make_plan(wishes, out, began, tell, lock)
            else:
                tell(f'{out / CONFIG} is there: the run goes on.')
                began = None
            _train(plan, out, tell, lock)
        except Interrupted:
            tell(f'Saved in {out}. The same command goes on.')
            raise KeyboardInterrupt from None
        _finish(out, tell)
    if began is not None:
        took = time.monotonic() - began
        tell(f'It took {duration(took)}; {duration(plan.seconds)} were predicted.')
    return out


def _known_plan(out: Path, wishes: Wishes) -> Plan | None:
    """What an earlier call with the same wishes has planned.

    Raises:
        ValueError: If it had others, or there is a config without a plan.
    """
    if not (out / CONFIG).exists():
        return None
    if not (out / PLAN).exists():
        raise ValueError(
            f'{out.absolute()} holds {CONFIG}, which is of no run of this kind, as {PLAN} is not there: give '
            'another folder'
        )
    saved = json.loads((out / PLAN).read_text())
    plan = Plan(**saved | dict(wishes=Wishes(**saved['wishes'])))
    new, old = asdict(wishes), asdict(plan.wishes)
    if others := [f'{name}={old[name]!r}, not {new[name]!r}' for name in new if old[name] != new[name]]:
        raise ValueError(
            f'{out.absolute()} holds a run with {"; ".join(map(printable, others))}: give the same to go on '
            'with it, or another folder for a new run'
        )
    return plan


def _make_plan(wishes: Wishes, out: Path, began: float, tell: Callable[[str], None], lock: int) -> Plan:
    """Choose, measure, fit to the time, and write the config."""
    recipe, pace = _measured(first_recipe(wishes, tell), out, tell, lock)
    around = pace.start + _AFTER_SECONDS + time.monotonic() - began
    if wishes.hours is not None:
        recipe = replace(recipe, epochs=_fitting_epochs(recipe, pace, wishes.hours * 3600 - around))
    seconds = around + pace.step * (recipe.epochs * recipe.steps_per_epoch + _RANKS_STEPS)
    tell('What differs from the recipe that is inherited, and why:')
    for decision in recipe.decisions:
        tell(f'  {decision.name} = {printable(decision.value)}  ({decision.why})')
    limit = 'data: more CPU cores, or smaller files' if pace.waiting > _WAITING else 'the computing itself'
    tell(
        f'A step takes {pace.step:.3g} s, {recipe.batch / pace.step:.0f} images/s; what limits it is {limit} '
        f'({pace.waiting:.0%} of the time waits for data).'
    )
    end = time.strftime('%a %H:%M', time.localtime(time.time() + seconds - (time.monotonic() - began)))
    tell(
        f'{recipe.epochs} epochs of {recipe.steps_per_epoch} steps; all of it will take {duration(seconds)}, '
        f'until {end}.'
    )
    plan = Plan(wishes, recipe.epochs, recipe.steps_per_epoch, recipe.batch, recipe.machine.gpus, seconds)
    write_text(out / PLAN, json.dumps(asdict(plan), indent=1))
    write_text(out / CONFIG, recipe.text(pace.step))  # last: where it is, the plan is there
    return plan


def _measured(recipe: Recipe, out: Path, tell: Callable[[str], None], lock: int) -> tuple[Recipe, Pace]:
    """Time the first steps, with a smaller batch where memory does not suffice."""
    folder = out / 'measuring'
    tell(f'Measuring the first steps of {recipe.wishes.method} with {recipe.network.name} ...')
    try:
        while True:
            write_text(folder / CONFIG, recipe.text())
            try:
                gpus = recipe.machine.gpus
                return recipe, measure(folder / CONFIG, folder / RUN, gpus, out / CONSOLE, [lock])
            except TrainingError as error:
                if not error.out_of_memory or recipe.batch <= 8 * max(1, recipe.machine.gpus):
                    raise
                recipe = replace(recipe, batch=recipe.batch // 2)
                tell(f'Out of memory: {recipe.batch} images in a step instead.')
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fitting_epochs(recipe: Recipe, pace: Pace, seconds: float) -> int:
    """The epochs that a time is enough for, no more than the rules' most.

    Raises:
        ValueError: If it is not enough for one.
    """
    epochs = int((seconds / pace.step - _RANKS_STEPS) // recipe.steps_per_epoch)
    if epochs < 1:
        short = (recipe.steps_per_epoch + _RANKS_STEPS) * pace.step - seconds
        raise ValueError(
            f'hours={recipe.wishes.hours:g} are too few for one epoch of {recipe.data.images:,} images: give '
            f'{recipe.wishes.hours + 1.1 * short / 3600:.2f} or more, a smaller model, or fewer images'
        )
    return min(epochs, MOST_EPOCHS)


def _train(plan: Plan, out: Path, tell: Callable[[str], None], lock: int) -> None:
    if (out / RUN / f'epoch_{plan.epochs}.pth').is_file():
        return
    command = train_command(out / CONFIG, out / RUN, plan.gpus, ['--resume'])
    tell(f'\n$ {shlex.join(command)}\n')
    progress = Progress(out / RUN, plan.epochs * plan.steps_per_epoch, plan.steps_per_epoch, plan.batch)
    try:
        run_training(command, out / CONSOLE, progress, [lock])
    finally:
        progress.close()


def _finish(out: Path, tell: Callable[[str], None]) -> None:
    newest, _ = newest_whole([out / RUN])
    if newest is None:
        raise RuntimeError(f'{out / RUN} has no whole checkpoint; {out / CONSOLE} has what the training said')
    for line in export_backbone(newest, out):
        tell(line)
    tell(f'{write_report([out / RUN], out / REPORT)}: what happened; open it in a browser')
