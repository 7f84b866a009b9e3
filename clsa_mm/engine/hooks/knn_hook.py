"""Weighted kNN accuracy of the query backbone, measured during pretraining."""

import copy

import torch
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, HOOKS
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader, Subset

from clsa_mm.evaluation.features import extract_features, labels_of, preserved_random_states
from clsa_mm.evaluation.knn import knn_accuracy


@HOOKS.register_module()
class KNNHook(Hook):
    """Classify a labelled test set by the nearest images of a labelled bank, every so often.

    The labels only measure; nothing is trained with them, and the measurement leaves the training
    as it would be without it. The accuracies go to the log line, the message hub and every
    visualizer back end as ``knn/top1`` and ``knn/top5``, in percent. With several ranks each
    extracts a shard of the images; the result is that of one process.

    Args:
        train_dataloader: Data loader config of the bank. Its pipeline is a test pipeline: one view,
            no augmentation. ``sampler`` and ``collate_fn`` may be left out.
        test_dataloader: Data loader config of the images to classify.
        interval: Measure every so many epochs (iterations if not ``by_epoch``) and after the last
            one.
        by_epoch: What ``interval`` counts.
        k: Number of neighbours.
        temperature: Divides the cosine similarity in the vote's weight.
        max_bank: Use only so many images of the bank, a random choice fixed by ``seed`` that does
            not look at classes; None uses all. The bank takes 4 * images * feature dimensions bytes
            on each rank.
        seed: Fixes the choice of the bank.
        before_train: Also measure the initial weights.

    Raises:
        ValueError: If a number is out of range; before the first iteration, if the data has no
            labels or the bank fewer than ``k`` images.
    """

    priority = 'LOW'

    def __init__(
        self,
        train_dataloader: dict,
        test_dataloader: dict,
        interval: int = 10,
        by_epoch: bool = True,
        k: int = 20,
        temperature: float = 0.07,
        max_bank: int | None = None,
        seed: int = 0,
        before_train: bool = False,
    ) -> None:
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
        self._configs = dict(bank=train_dataloader, test=test_dataloader)
        self._loaders: dict[str, DataLoader] = {}

    def before_train(self, runner: Runner) -> None:
        """Build the data loaders, so that wrong data fails now and not after the first interval."""
        self._prepare()
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
            model: A model with ``backbone`` and ``data_preprocessor``, bare or wrapped.

        Returns:
            ``{'top1': ..., 'top5': ...}``, in percent.
        """
        self._prepare()
        device = get_device()
        bank, bank_labels = extract_features(model, self._loaders['bank'], 'the kNN bank')
        queries, query_labels = extract_features(model, self._loaders['test'], 'the kNN test set')
        return knn_accuracy(bank.to(device), bank_labels, queries, query_labels, self.k, self.temperature)

    def describe(self, scores: dict[str, float]) -> str:
        """One line that says what was measured and how.

        Args:
            scores: What :meth:`score` returned.
        """
        images = {name: len(loader.dataset) for name, loader in self._loaders.items()}
        values = '  '.join(f'{name}: {value:.2f}' for name, value in scores.items())
        return (
            f'kNN  {values}  (%, k={self.k}, temperature={self.temperature}, '
            f'bank of {images["bank"]} images, {images["test"]} tested)'
        )

    def _measure(self, runner: Runner, step: int) -> None:
        scores = self.score(runner.model)
        scalars = {f'knn/{name}': value for name, value in scores.items()}
        for name, value in scalars.items():
            runner.message_hub.update_scalar(name, value)
        runner.visualizer.add_scalars(scalars, step=step)
        runner.logger.info(f'{self.describe(scores)} after {step} iterations')

    def _prepare(self) -> None:
        """Build both data loaders once and look at an image of each."""
        if self._loaders:
            return
        with preserved_random_states():
            loaders = {
                'bank': self._build(self._configs['bank'], self.max_bank),
                'test': self._build(self._configs['test'], None),
            }
            for loader in loaders.values():
                labels_of([loader.dataset[0].get('data_samples')])
        if self.k > len(loaders['bank'].dataset):
            raise ValueError(
                f'KNNHook: k={self.k} neighbours, but the bank has only '
                f'{len(loaders["bank"].dataset)} images: lower k, or raise max_bank or give more '
                'images.'
            )
        self._loaders = loaders

    def _build(self, config: dict, limit: int | None) -> DataLoader:
        config = copy.deepcopy(config)
        config.setdefault('sampler', dict(type='DefaultSampler', shuffle=False))
        config.setdefault('collate_fn', dict(type='default_collate'))
        dataset = DATASETS.build(config['dataset'])
        if limit is not None and limit < len(dataset):
            generator = torch.Generator().manual_seed(self.seed)
            chosen = torch.randperm(len(dataset), generator=generator)[:limit]
            dataset = Subset(dataset, chosen.sort().values.tolist())
        config['dataset'] = dataset
        return Runner.build_dataloader(config, seed=self.seed)
