"""A config's model, for measuring its frozen features."""

from hashlib import sha256
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.registry import MODELS
from mmengine.runner import set_random_seed
from torch import nn

from clsa_mm.checkpoints.backbone import fill_backbone, load_backbone_weights
from clsa_mm.checkpoints.read import CheckpointError, read_checkpoint
from clsa_mm.checkpoints.whole import file_sha256

_ENCODERS = ('backbone.', 'neck.', 'key_encoder.')


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


def build_pretrained_model(cfg: Config, checkpoint: str | None) -> nn.Module:
    """Build a pretraining config's model with all weights of a checkpoint: backbone, projection, key encoder.

    Args:
        cfg: A pretraining config.
        checkpoint: A training checkpoint of a model with the same encoders; head and queue need not fit. None
            leaves the model random-initialised by the config's seed.

    Returns:
        The model on the GPU, or on the CPU where there is none.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it cannot be read, or lacks a weight of the encoders.
    """
    set_random_seed(cfg.get('randomness', {}).get('seed') or 0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    if checkpoint is not None:
        loaded = read_checkpoint(checkpoint)
        state = loaded.get('state_dict', loaded)
        # Without weights of its own the key encoder is the query encoder's copy.
        wanted = {name for name in _ENCODERS if any(key.startswith(name) for key in state)} | {*_ENCODERS[:2]}
        report = fill_backbone(model, state, str(checkpoint))
        lacking = [name for name in (*report.missing, *report.mismatched) if name.startswith((*wanted,))]
        if lacking:
            raise CheckpointError(
                f'{checkpoint} does not fit the config: {len(lacking)} weights of the encoders, {lacking[0]} '
                'among them, are not there or of another shape. Give the config of that training (the copy '
                'in its work dir), or its settings by --cfg-options.'
            )
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
