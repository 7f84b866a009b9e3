"""Warns of a training that does not learn."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from clsa_mm.engine.hooks.finite_guard_hook import iteration_skipped
from clsa_mm.given_numbers import check_numbers

_IN_CHECKPOINT = 'health'


@HOOKS.register_module()
class HealthHook(Hook):
    """Warns of a loss that stays at chance and of features that collapse, by what the model's loss returns.

    A name that the model does not return is not watched; the log says so at the start.

    Args:
        loss: Name of the loss. Defaults to ``'loss_contrastive'``.
        chance: The loss of a model that knows nothing: a number, or the name under which the model
            returns it. Defaults to ``'chance_level'``.
        feature_std: Name of the standard deviation of unit-length features over the batch, which is 0 if
            all are the same. Defaults to ``'feature_std'``.
        patience: Epochs in a row before a warning. Defaults to 5.
        chance_margin: The loss is at chance if its mean over an epoch is above
            ``(1 - chance_margin) * chance``. Defaults to 0.02.
        collapse_std: Features have collapsed if the mean of ``feature_std`` over an epoch is below this.
            Defaults to 0.001.

    Raises:
        ValueError: If ``patience`` is less than 1.
    """

    # After the hooks that act on an iteration.
    priority = 'NORMAL'

    def __init__(
        self,
        loss: str = 'loss_contrastive',
        chance: str | float = 'chance_level',
        feature_std: str = 'feature_std',
        patience: int = 5,
        chance_margin: float = 0.02,
        collapse_std: float = 0.001,
    ) -> None:
        check_numbers('HealthHook', whole=True, patience=patience)
        check_numbers('HealthHook', chance_margin=chance_margin, collapse_std=collapse_std)
        if patience < 1:
            raise ValueError(f'patience must be at least 1 epoch, got {patience}')
        self.loss = loss
        self.chance = chance
        self.feature_std = feature_std
        self.patience = patience
        self.chance_margin = chance_margin
        self.collapse_std = collapse_std
        self._sums: dict[str, Tensor | float] = {}
        self._count = 0
        self._start = 0
        self._bad_epochs = dict(chance=0, collapse=0)
        self._since = dict(chance=0, collapse=0)
        self._announced = False
        self._saved: dict | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the state of a run that is resumed."""
        self._saved = checkpoint.get(_IN_CHECKPOINT)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the epoch's sums so far, and the number of bad epochs in a row."""
        sums = {name: float(total) for name, total in self._sums.items()}
        checkpoint[_IN_CHECKPOINT] = dict(
            sums=sums,
            count=self._count,
            start=self._start,
            bad_epochs=dict(self._bad_epochs),
            since=dict(self._since),
        )

    def before_train(self, runner: Runner) -> None:
        """Continue where a resumed run stood."""
        if runner.iter and self._saved is not None:
            self._sums, self._count = dict(self._saved['sums']), self._saved['count']
            self._start = self._saved['start']
            self._bad_epochs, self._since = dict(self._saved['bad_epochs']), dict(self._saved['since'])

    def before_train_epoch(self, runner: Runner) -> None:
        """Note where the epoch starts, for the warning."""
        if not self._count:  # else the run was resumed within it
            self._start = runner.iter

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Add up what is watched, but for skipped iterations."""
        if iteration_skipped(runner):
            return
        names = [name for name in (self.loss, self.chance, self.feature_std) if isinstance(name, str)]
        found = {name: outputs[name].detach() for name in names if name in (outputs or {})}
        if not self._announced and (missing := [name for name in names if name not in found]):
            runner.logger.info(
                f'HealthHook: the model returns no {", ".join(missing)}, which is not watched. '
                'Set its names in default_hooks.health.'
            )
        self._announced = True
        for name, value in found.items():
            self._sums[name] = self._sums.get(name, 0) + value
        self._count += 1

    def after_train_epoch(self, runner: Runner) -> None:
        """Warn once when something has been wrong for ``patience`` epochs in a row."""
        means = {name: float(total) / self._count for name, total in self._sums.items()}
        self._sums, self._count = {}, 0
        loss, std = means.get(self.loss), means.get(self.feature_std)
        chance = means.get(self.chance) if isinstance(self.chance, str) else self.chance
        if loss is not None and chance is not None:
            at_chance = loss > (1 - self.chance_margin) * chance
            if self._lasts('chance', at_chance):
                runner.logger.warning(
                    f'{self.loss} has stayed at chance for {self.patience} epochs ({loss:.3f} of '
                    f'{chance:.3f}), since iteration {self._since["chance"]}: nothing is learnt. Lower '
                    'model.momentum (0.99 for short runs and small data sets), check the learning rate, and '
                    'look at the views with tools/analysis_tools/browse_views.py.'
                )
        if std is not None and self._lasts('collapse', std < self.collapse_std):
            runner.logger.warning(
                f'{self.feature_std} has been {std:.1e} for {self.patience} epochs, since iteration '
                f'{self._since["collapse"]}: the features of all images are nearly the same, they have '
                'collapsed. Lower the learning rate or warm up, and check that the images differ.'
            )

    def _lasts(self, what: str, bad: bool) -> bool:
        if bad and not self._bad_epochs[what]:
            self._since[what] = self._start
        self._bad_epochs[what] = self._bad_epochs[what] + 1 if bad else 0
        return self._bad_epochs[what] == self.patience
