"""A config's model and data, for measuring its frozen features."""

import copy
from hashlib import sha256
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.registry import DATASETS, MODELS
from mmengine.runner import Runner, set_random_seed
from torch import nn
from torch.utils.data import DataLoader

from clsa_mm.checkpoints.backbone import load_backbone_weights
from clsa_mm.checkpoints.read import file_sha256


def build_frozen_model(cfg: Config, checkpoint: str | None) -> nn.Module:
    """Build a config's model, with the backbone's weights of a checkpoint; says which.

    Args:
        cfg: A config whose ``model`` has a ``backbone`` and a ``data_preprocessor``: of pretraining or of
            linear evaluation.
        checkpoint: Any that :func:`clsa_mm.checkpoints.backbone.load_backbone_weights` reads; None leaves the
            backbone random-initialised by the config's seed: the floor.

    Returns:
        The model on the GPU, or on the CPU where there is none.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it cannot be read, or no weight fits.
    """
    set_random_seed(cfg.get('randomness', {}).get('seed') or 0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    said = 'RANDOM-INITIALISED, the floor that a pretrained backbone has to beat'
    if checkpoint is not None:
        said = load_backbone_weights(model.backbone, checkpoint)
    if is_main_process():
        print_log(f'Backbone: {said}')
    return model.to(get_device())


def describe_source(cfg: Config, checkpoint: str | None) -> dict[str, str | None]:
    """What features were made with, for their ``meta.json``.

    Args:
        cfg: The config.
        checkpoint: The checkpoint, or None for random initialisation.

    Returns:
        Names and sha256 of both.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    path = None if checkpoint is None else Path(checkpoint).expanduser()
    if path is not None and not path.is_file():
        raise FileNotFoundError(f'There is no checkpoint file {path}; check the path.')
    return dict(
        config=cfg.filename,
        config_sha256=sha256(cfg.pretty_text.encode()).hexdigest(),
        checkpoint=None if checkpoint is None else str(checkpoint),
        checkpoint_sha256=None if path is None else file_sha256(path),
    )


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
    loader.dataset.pipeline = copy.deepcopy(loaders['test'].dataset.pipeline)
    return _in_order(loader)


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
    loader = copy.deepcopy(loaders['test'])
    loader.dataset = dict(
        type='ImageFolder', data_prefix=images, test_mode=True, pipeline=loader.dataset.pipeline
    )
    return _in_order(loader)


def _dataloader_configs(cfg: Config) -> dict:
    if cfg.get('test_dataloader'):
        return {split: cfg.get(f'{split}_dataloader') for split in ('train', 'val', 'test')}
    for hook in cfg.get('custom_hooks') or ():
        if hook['type'] == 'KNNHook':
            return {split: hook[f'{split}_dataloader'] for split in ('train', 'test')}
    return {}


def _in_order(loader: dict) -> DataLoader:
    loader.update(
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
        drop_last=False,
        persistent_workers=False,
    )
    loader['dataset'] = DATASETS.build(loader['dataset'])
    return Runner.build_dataloader(loader, seed=0)
