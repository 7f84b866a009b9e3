"""Data loaders for measuring: each image once, in order, as a config's test pipeline makes it."""

import copy

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, HOOKS
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset, Subset

from clsa_mm.datasets.corrupt_files import CorruptFile, CorruptFiles, kind_of, reason_of
from clsa_mm.datasets.tolerant import UNREADABLE

# Seconds that a batch may take: minutes, for a network drive under load.
DATA_TIMEOUT = 300


class ReadableImages(Dataset):
    """A data set in which the next readable image takes the place of one that cannot be read.

    A sample has a further entry, ``unreadable``: the kind of fault (of
    :data:`~clsa_mm.datasets.corrupt_files.KINDS`) and why its own image could not be read, or ''. So batches
    keep their size, on every rank, and whoever takes the samples leaves the marked ones out. ``corrupt`` has
    the files.

    Args:
        dataset: Of dictionaries.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.corrupt = CorruptFiles(dataset)

    @property
    def left_out(self) -> list[CorruptFile]:
        """What the data set did not take for images."""
        return getattr(source_of(self.dataset), 'left_out', [])

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict:
        """The sample, or one in its place.

        Raises:
            ValueError: If no image can be read.
        """
        reason = ''
        for offset in range(len(self)):
            try:
                return dict(self.dataset[(index + offset) % len(self)], unreadable=reason)
            except UNREADABLE as error:
                place = (index + offset) % len(self)
                self.corrupt.note(place, error)
                reason = reason or f'{kind_of(error)}: {reason_of(self.dataset, place, error)}'
        raise ValueError(f'None of the {len(self)} images can be read. One of them: {reason}')


def with_timeout(loader: dict) -> dict:
    """A data loader's settings that wait for its workers no longer than ``DATA_TIMEOUT``, or than they say.

    Args:
        loader: Data loader config. Without workers there is nothing to wait for.
    """
    return {'timeout': DATA_TIMEOUT, **loader} if loader.get('num_workers') else loader


def build_in_order(loader: dict, limit: int | None = None, seed: int = 0) -> DataLoader:
    """Build a data loader that gives each image once, in the data set's order, and marks unreadable ones.

    Args:
        loader: Data loader config; what it says of sampler, collating and the last batch does not count.
        limit: Take only so many images, a random choice that does not look at classes. Defaults to None:
            all.
        seed: Fixes the choice. Defaults to 0.
    """
    dataset = DATASETS.build(copy.deepcopy(loader['dataset']))
    if limit is not None and limit < len(dataset):
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(len(dataset), generator=generator)[:limit]
        dataset = Subset(dataset, chosen.sort().values.tolist())
    in_order = dict(
        loader,
        dataset=ReadableImages(dataset),
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
        drop_last=False,
        persistent_workers=False,
    )
    return Runner.build_dataloader(with_timeout(in_order), seed=seed)


def build_dataloader(cfg: Config, split: str) -> DataLoader:
    """Build the data loader of a split, each image once, in order, through the test pipeline.

    Args:
        cfg: A config with ``<split>_dataloader`` and ``test_dataloader``, as those of linear evaluation; or
            a pretraining config with a KNNHook, whose bank is ``train`` and whose test set is ``test``.
        split: ``'train'``, ``'val'`` or ``'test'``.

    Raises:
        ValueError: If the config has no such data.
    """
    loaders = _dataloader_configs(cfg)
    if not loaders.get(split):
        raise ValueError(
            f'{cfg.filename} has no labelled `{split}` data ({", ".join(loaders) or "none at all"}): take a '
            'config of linear evaluation (configs/benchmarks/classification/) with the backbone of your '
            'pretraining config, or add a KNNHook to that.'
        )
    loader = copy.deepcopy(loaders[split])
    loader['dataset']['pipeline'] = loaders['test']['dataset']['pipeline']
    return build_in_order(loader)


def build_folder_dataloader(cfg: Config, images: str) -> DataLoader:
    """Build a data loader of all images below a folder, without labels, through the test pipeline.

    Args:
        cfg: As of :func:`build_dataloader`.
        images: The folder.

    Raises:
        FileNotFoundError: If there is no image in it.
        ValueError: If the config has no test pipeline.
    """
    loaders = _dataloader_configs(cfg)
    if not loaders.get('test'):
        raise ValueError(
            f'{cfg.filename} has no test pipeline (`test_dataloader`, or a KNNHook) by which to load images.'
        )
    pipeline = loaders['test']['dataset']['pipeline']
    dataset = dict(type='ImageFolder', data_prefix=images, test_mode=True, pipeline=pipeline)
    return build_in_order(dict(loaders['test'], dataset=dataset))


def source_of(dataset: Dataset) -> Dataset:
    """The data set of a config below subsets and :class:`ReadableImages`.

    Args:
        dataset: Any.
    """
    while isinstance(dataset, (Subset, ReadableImages)):
        dataset = dataset.dataset
    return dataset


def find_hook(cfg: Config, kind: str) -> dict | None:
    """The settings of a config's hook, wherever hooks may stand; None if it has none.

    Args:
        cfg: A whole config.
        kind: The hook's type, such as ``'KNNHook'``.
    """
    hooks = [*(cfg.get('default_hooks') or {}).values(), *(cfg.get('custom_hooks') or ())]
    return next((hook for hook in hooks if hook and hook.get('type') == kind), None)


def _dataloader_configs(cfg: Config) -> dict[str, dict]:
    if cfg.get('test_dataloader'):
        return {split: cfg.get(f'{split}_dataloader') for split in ('train', 'val', 'test')}
    hook = find_hook(cfg, 'KNNHook')
    return HOOKS.build(hook).dataloaders if hook else {}
