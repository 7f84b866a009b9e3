"""Weighted kNN accuracy of the query backbone, measured during pretraining."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, TRANSFORMS
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from clsa_mm.datasets.views.randomness import preserved_generators
from clsa_mm.engine.hooks.interrupt_hook import let_workers_outlive_signals
from clsa_mm.engine.hooks.report import report
from clsa_mm.engine.unwrap import unwrap_model
from clsa_mm.evaluation.dataloaders import build_in_order
from clsa_mm.evaluation.features import extract_features, labels_of
from clsa_mm.evaluation.knn import knn_accuracy
from clsa_mm.given_numbers import check_numbers


@HOOKS.register_module()
class KNNHook(Hook):
    """Classify a labelled test set by the nearest images of a labelled bank, every so often.

    The labels only measure; nothing is trained with them, and the measurement leaves the training
    as it would be without it. The accuracies go to the log line, the message hub and every
    visualizer back end as ``knn/top1`` and ``knn/top5``, in percent; those of augmented images as
    ``knn/weak_top1`` and so on. With several ranks each
    extracts a shard of the images; the result is that of one process with rank 0's weights and BatchNorm
    statistics, those of the checkpoint, which is written before. Images that cannot be read are left out,
    with a warning; where the rest does not suffice, the measurement is, and the training goes on. An accuracy
    at chance brings a warning.

    Args:
        dataset: What the data sets of the bank and of the test images have in common: any data set of
            mmpretrain with one class per image. Its pipeline is a test pipeline: one view, no
            augmentation.
        train: What the bank's data set has besides, or instead.
        test: What the data set of the images to classify has besides, or instead.
        batch_size: Images per batch. Defaults to 256.
        num_workers: Worker processes of each data loader. Defaults to 2.
        interval: Measure every so many epochs (iterations if not ``by_epoch``) and after the last one.
            Defaults to 10.
        by_epoch: What ``interval`` counts. Defaults to True.
        k: Number of neighbours. Defaults to 20.
        temperature: Divides the cosine similarity in the vote's weight. Defaults to 0.07.
        max_bank: Use only so many images of the bank, a random choice fixed by ``seed`` that does
            not look at classes. The bank takes 4 * images * feature dimensions bytes on each rank.
            Defaults to None: all.
        seed: Fixes the choice of the bank. Defaults to 0.
        before_train: Also measure the initial weights. Defaults to False.
        augmented: Roles, ``'weak'`` or ``'strong'``: also measure with all images, those of the bank too, as
            views of these roles (figure 5 of arXiv 2104.07713), one draw of each image, the same every
            time. Such a view takes the place of what the pipeline has between its first step, which loads,
            and its last, which packs. Defaults to none.
        views: The settings of these views by role. Defaults to those of the training set, which
            :func:`~clsa_mm.engine.settings.load_config` puts here.

    Raises:
        ValueError: If a number is out of range, or an augmented role has no view; before the first
            iteration, if the data has no labels or the bank fewer than ``k`` images.
    """

    # After the CheckpointHook: whatever happens here, the epoch's checkpoint is there.
    priority = 'LOWEST'

    def __init__(
        self,
        dataset: dict,
        train: dict,
        test: dict,
        batch_size: int = 256,
        num_workers: int = 2,
        interval: int = 10,
        by_epoch: bool = True,
        k: int = 20,
        temperature: float = 0.07,
        max_bank: int | None = None,
        seed: int = 0,
        before_train: bool = False,
        augmented: Sequence[str] = (),
        views: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        check_numbers('KNNHook', whole=True, interval=interval, k=k, max_bank=max_bank)
        check_numbers('KNNHook', whole=True, low=1, batch_size=batch_size)
        check_numbers('KNNHook', whole=True, low=0, num_workers=num_workers, seed=seed)
        check_numbers('KNNHook', temperature=temperature)
        for name, number in dict(interval=interval, k=k, max_bank=max_bank).items():
            if number is not None and number < 1:
                raise ValueError(f'KNNHook: {name} must be at least 1, got {number}.')
        self.interval = interval
        self.by_epoch = by_epoch
        self.k = k
        self.temperature = temperature
        self.max_bank = max_bank
        self.seed = seed
        self.score_before_train = before_train
        self.dataloaders = {
            split: dict(batch_size=batch_size, num_workers=num_workers, dataset={**dataset, **own})
            for split, own in dict(train=train, test=test).items()
        }
        self.augmented = list(augmented)
        if self.augmented and not views:
            raise ValueError(
                f'KNNHook: augmented={self.augmented} needs the settings of these views: give them as '
                'views=dict(key=..., weak=...), where the training set has none or load_config was not used.'
            )
        for role in self.augmented:
            make_view = dict(type='MakeView', views=views, role=role, seed=seed)
            TRANSFORMS.build(make_view)  # which checks it
            for split in ('train', 'test'):
                self.dataloaders[f'{role}_{split}'] = _with_view(self.dataloaders[split], make_view)
        self._loaders: dict[str, DataLoader] = {}
        self._measured: dict[str, int] = {}

    @property
    def datasets(self) -> dict[str, Dataset]:
        """The data sets by name, once they are built."""
        return {f'kNN {name}': loader.dataset for name, loader in self._loaders.items()}

    def before_train(self, runner: Runner) -> None:
        """Build the data loaders, so that wrong data fails now and not after the first interval."""
        self._prepare()
        for loader in self._loaders.values():
            let_workers_outlive_signals(loader)
        if self.score_before_train and runner.iter == 0:
            self._measure(runner, step=0)

    def after_train_epoch(self, runner: Runner) -> None:
        """Measure if ``interval`` counts epochs and one ends here."""
        if self.by_epoch and (self.every_n_epochs(runner, self.interval) or self.is_last_train_epoch(runner)):
            self._measure(runner, step=runner.iter)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Measure if ``interval`` counts iterations and one ends here."""
        if not self.by_epoch and (
            self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner)
        ):
            self._measure(runner, step=runner.iter + 1)

    def score(self, model: nn.Module) -> dict[str, float]:
        """Measure a model now, without a runner.

        Args:
            model: A model with ``backbone`` and ``data_preprocessor``, not wrapped.

        Returns:
            ``{'top1': ..., 'top5': ...}``, in percent; for each augmented role also ``'weak_top1'``, ....
        """
        self._prepare()
        scores = {}
        for prefix in ('', *(f'{role}_' for role in self.augmented)):
            found = self._score(model, f'{prefix}train', f'{prefix}test')
            scores |= {prefix + name: value for name, value in found.items()}
        return scores

    def describe(self, scores: dict[str, float]) -> str:
        """One line that says what was measured and how.

        Args:
            scores: What :meth:`score` returned.
        """
        values = '  '.join(f'{name}: {value:.2f}' for name, value in scores.items())
        return (
            f'kNN  {values}  (%, k={self.k}, temperature={self.temperature}, '
            f'bank of {self._measured["bank"]} images, {self._measured["test"]} tested)'
        )

    def _score(self, model: nn.Module, train: str, test: str) -> dict[str, float]:
        device = get_device()
        bank, bank_labels = extract_features(model, self._loaders[train], 'the kNN bank')
        queries, query_labels = extract_features(model, self._loaders[test], 'the kNN test set')
        self._measured = dict(bank=len(bank), test=len(queries))
        self._chance = chance_accuracy(query_labels)
        return knn_accuracy(bank.to(device), bank_labels, queries, query_labels, self.k, self.temperature)

    def _measure(self, runner: Runner, step: int) -> None:
        try:
            scores = self.score(unwrap_model(runner.model))
        except ValueError as error:
            if not runner.iter:
                raise
            runner.logger.error(f'kNN could not be measured after {step} iterations: {error}')
            return
        report(runner, 'knn', scores, step)
        runner.logger.info(f'{self.describe(scores)} after {step} iterations')
        if step and scores['top1'] <= self._chance:
            runner.logger.warning(
                f'kNN is at chance after {step} iterations: always naming the most frequent class would give '
                f'up to {self._chance:.2f} % by luck. The features tell nothing of the classes: look at '
                'feature_std (collapse) and at the labels of bank and test set.'
            )

    def _prepare(self) -> None:
        """Build the data loaders once and look at an image of each."""
        if self._loaders:
            return
        with preserved_generators():
            loaders = {
                name: build_in_order(loader, self.max_bank if name.endswith('train') else None, self.seed)
                for name, loader in self.dataloaders.items()
            }
            for loader in loaders.values():
                labels_of([loader.dataset[0].get('data_samples')])
        if self.k > len(loaders['train'].dataset):
            raise ValueError(
                f'KNNHook: k={self.k} neighbours, but the bank has only '
                f'{len(loaders["train"].dataset)} images: lower k, or raise max_bank or give more '
                'images.'
            )
        self._loaders = loaders


def chance_accuracy(labels: Tensor) -> float:
    """Accuracy in percent that a classifier which knows nothing seldom exceeds.

    The share p of the most frequent class, and two standard deviations of a guess that is right with p.

    Args:
        labels: Of the images to classify, int64 of shape (N,).
    """
    share = labels.bincount().max().item() / len(labels)
    return 100 * (share + 2 * math.sqrt(share * (1 - share) / len(labels)))


def _with_view(loader: dict, make_view: dict) -> dict:
    """A data loader's settings with a view in place of what is between loading and packing."""
    first, *_, last = loader['dataset']['pipeline']
    return dict(loader, dataset=dict(loader['dataset'], pipeline=[first, make_view, last]))
