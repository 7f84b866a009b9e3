"""Numbers that tell how a run is doing, without labels."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce_dict
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from clsa_mm.engine.hooks.gradient_norm import GradientNorm
from clsa_mm.engine.hooks.report import report
from clsa_mm.engine.unwrap import unwrap_model
from clsa_mm.evaluation.effective_rank import lidar, rankme
from clsa_mm.evaluation.score_statistics import score_statistics, temperature_of
from clsa_mm.evaluation.view_features import DrawnViews, view_features
from clsa_mm.given_numbers import check_numbers
from clsa_mm.models.heads.bank_head import BankHead


@HOOKS.register_module()
class WatchHook(Hook):
    """Logs scores and probabilities over the bank, the gradient's norm, and effective ranks of the features.

    Every ``interval`` iterations, for weak and strong queries: what
    :func:`~clsa_mm.evaluation.score_statistics.score_statistics` tells, each a mean over queries, views and
    ranks; and the norm of the next optimizer step's gradients (:class:`GradientNorm`). Every
    ``rank_interval`` epochs and after the last: :func:`~clsa_mm.evaluation.effective_rank.rankme` (over all
    views) and :func:`~clsa_mm.evaluation.effective_rank.lidar` of backbone and projection on the key views of
    some training images, the same in every measurement, with rank 0's weights and BatchNorm statistics. All
    go to the log line, the message hub and every visualizer back end as ``watch/<name>``.

    Watching changes nothing of the training. Queries and bank are seen where the model calls its ``head``, or
    ``ddm``, a :class:`~clsa_mm.models.heads.bank_head.BankHead`; of a model without one, or without a
    backbone, the rest is logged, and the log says so at the start.

    Args:
        interval: Iterations between two measurements of scores and gradients. Defaults to 50.
        temperature: Of the probabilities. Defaults to the head's ``temperature``, or where it has no
            contrastive loss to its ``ddm_temperature``.
        rank_interval: Epochs between two measurements of ranks; None leaves them out. Defaults to 10.
        images: Training images that the ranks are of, an upper bound to them. Defaults to 256.
        draws: Views of each. Defaults to 4.
        batch_size: Views per forward and rank. Defaults to 64.
        seed: Fixes the choice of images and the views. Defaults to 0.

    Raises:
        ValueError: If a number is out of range.
    """

    # After the CheckpointHook: whatever happens here, the epoch's checkpoint is there.
    priority = 'VERY_LOW'

    def __init__(
        self,
        interval: int = 50,
        temperature: float | None = None,
        rank_interval: int | None = 10,
        images: int = 256,
        draws: int = 4,
        batch_size: int = 64,
        seed: int = 0,
    ) -> None:
        least = dict(interval=1, rank_interval=1, images=2, draws=2, batch_size=1)
        given = dict(
            interval=interval, rank_interval=rank_interval, images=images, draws=draws, batch_size=batch_size
        )
        check_numbers('WatchHook', whole=True, **given)
        check_numbers('WatchHook', whole=True, low=0, seed=seed)
        check_numbers('WatchHook', temperature=temperature)
        for name, number in given.items():
            if number is not None and number < least[name]:
                raise ValueError(f'WatchHook: {name} must be at least {least[name]}, got {number}')
        if temperature is not None and temperature <= 0:
            raise ValueError(f'WatchHook: temperature must be positive, got {temperature}')
        self.interval = interval
        self.temperature = temperature
        self.rank_interval = rank_interval
        self.images = images
        self.draws = draws
        self.batch_size = batch_size
        self.seed = seed
        self._due = False
        self._seen: list[dict[str, Tensor]] = []
        self._handles: list = []
        self._ranks = rank_interval is not None

    def before_train(self, runner: Runner) -> None:
        """Listen to the head and to the optimizers, and say what is not watched."""
        model = unwrap_model(runner.model)
        parts = [getattr(model, name, None) for name in ('head', 'ddm')]
        head = next((part for part in parts if isinstance(part, BankHead)), None)
        self._temperature = self.temperature or temperature_of(head)
        lacking = []
        if head is None:
            lacking.append('scores (its head is not called with queries and a bank)')
        elif self._temperature is None:
            lacking.append('scores (its head has no temperature: set default_hooks.watch.temperature)')
        else:
            self._handles = [head.register_forward_pre_hook(self._look, with_kwargs=True)]
        if self._ranks and getattr(model, 'backbone', None) is None:
            self._ranks = False
            lacking.append('effective ranks (it has no backbone)')
        if lacking:
            runner.logger.info(f'WatchHook does not log of {type(model).__name__}: {", ".join(lacking)}.')
        self._gradient = GradientNorm(runner)
        # Of a run that is resumed within a step: an iteration of that step before may have wanted it.
        begun = getattr(runner.optim_wrapper, 'inner_count', 0) % _accumulated(runner)
        self._gradient.wanted = runner.iter // self.interval > (runner.iter - begun) // self.interval

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Decide whether to look at this iteration."""
        self._due = self.every_n_train_iters(runner, self.interval)
        self._gradient.wanted = self._gradient.wanted or self._due

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Log what was seen."""
        scalars = _means(self._seen)
        self._due, self._seen = False, []
        norm = self._gradient.take()  # the same on all ranks, which have averaged their gradients
        if norm is not None:
            scalars['gradient_norm'] = norm
        if scalars:
            _log(runner, scalars, step=runner.iter + 1)

    def after_train_epoch(self, runner: Runner) -> None:
        """Measure the effective ranks if it is time."""
        if self._ranks and (
            self.every_n_epochs(runner, self.rank_interval) or self.is_last_train_epoch(runner)
        ):
            try:
                _log(runner, self.effective_ranks(runner), step=runner.iter)
            except ValueError as error:
                runner.logger.error(f'Effective ranks could not be measured: {error}')

    def after_train(self, runner: Runner) -> None:
        """Let go of head and optimizers."""
        for handle in self._handles:
            handle.remove()
        self._gradient.close()

    def effective_ranks(self, runner: Runner) -> dict[str, float]:
        """RankMe and LiDAR of the model as it is.

        Args:
            runner: Has the model and the training images.

        Returns:
            ``rankme_<part>`` and ``lidar_<part>`` for ``backbone`` and, where there is one, ``projection``.

        Raises:
            ValueError: If the features are not finite, or there is but one image.
        """
        views = DrawnViews(runner.train_dataloader.dataset, self.images, self.draws, self.seed)
        features = view_features(unwrap_model(runner.model), views, self.batch_size)
        ranks = {f'rankme_{part}': rankme(values.flatten(0, 1)) for part, values in features.items()}
        return ranks | {f'lidar_{part}': lidar(values) for part, values in features.items()}

    @torch.compiler.disable
    def _look(self, head: nn.Module, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        if not self._due:
            return
        given = dict(zip(('weak', 'strong', 'bank'), args, strict=False)) | kwargs
        for role in ('weak', 'strong'):
            for queries in given[role]:
                found = score_statistics(queries, given['bank'], self._temperature)
                self._seen.append({f'{role}_{name}': value for name, value in found.items()})


def _accumulated(runner: Runner) -> int:
    return getattr(runner.optim_wrapper, '_accumulative_counts', 1)


def _means(seen: list[dict[str, Tensor]]) -> dict[str, float]:
    """Mean of each scalar over views, calls of the head and ranks."""
    names = dict.fromkeys(name for scalars in seen for name in scalars)
    means = {name: torch.stack([s[name] for s in seen if name in s]).mean() for name in names}
    if means:
        all_reduce_dict(means, 'mean')
    return {name: value.item() for name, value in means.items()}


def _log(runner: Runner, scalars: dict[str, float], step: int) -> None:
    report(runner, 'watch', scalars, step)
    shown = '  '.join(f'{name}: {value:.3g}' for name, value in scalars.items())
    runner.logger.info(f'Watch  {shown}  after {step} iterations')
