"""What a run's checkpoint makes of images."""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.device import get_device
from PIL import Image
from torch import Tensor, nn

from clsa_mm.checkpoints.backbone import load_backbone
from clsa_mm.checkpoints.config_text import backbone_config, build_backbone
from clsa_mm.checkpoints.read import read_checkpoint
from clsa_mm.datasets.views.randomness import preserved_generators
from clsa_mm.evaluation.features import global_average_pool
from clsa_mm.reports.images import ImageList, input_size, read_image, shrunk, whole_view
from clsa_mm.reports.run_facts import RunFacts
from clsa_mm.visualization.drawn_views import to_picture

_BATCH = 64
_THUMBNAIL = 96  # pixels
_IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


@dataclass(frozen=True)
class Network:
    """A backbone in eval mode and what projects its features.

    Attributes:
        backbone: On the GPU where there is one.
        projection: From pooled features to projections, on the CPU; None where there is none that is known.
    """

    backbone: nn.Module
    projection: Callable[[Tensor], Tensor] | None = None

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Pooled features (N, D), float32 on the CPU, of normalised images (N, 3, H, W)."""
        parts = [
            global_average_pool(self.backbone(part.to(get_device()))).cpu() for part in images.split(_BATCH)
        ]
        return torch.cat(parts)

    def embedded(self, images: Tensor) -> np.ndarray:
        """Projections, or features where there is no projection, of unit length."""
        features = self.features(images)
        return _unit_length([features if self.projection is None else self.projection(features)])


@dataclass(frozen=True)
class Encoder:
    """A checkpoint's networks.

    Attributes:
        queries: The trained one.
        keys: That of the keys; the same where the checkpoint has none of their own.
        untrained: The trained one's backbone with random weights; None if the checkpoint does not say what it
            is.
        mean: Of the channels, RGB.
        std: Of the channels, RGB.
        size: Of its images, in pixels.
    """

    queries: Network
    keys: Network
    untrained: Network | None
    mean: Sequence[float]
    std: Sequence[float]
    size: int

    def normalised(self, images: Sequence[np.ndarray]) -> Tensor:
        """Images of one size, uint8 BGR of shape (H, W, 3), as the networks take them."""
        batch = torch.from_numpy(np.stack(images)[..., ::-1].copy()).float()
        mean, std = (torch.tensor(values).float() for values in (self.mean, self.std))
        return ((batch - mean) / std).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Looked:
    """Images as a checkpoint sees them.

    Attributes:
        images: Those that could be read.
        features: Pooled, of unit length, float32 of shape (N, D).
        untrained: The same of the network with random weights, or None.
        thumbnails: Small pictures of the images.
        remarks: What to say of images that are left out.
    """

    images: ImageList
    features: np.ndarray
    untrained: np.ndarray | None
    thumbnails: list[Image.Image]
    remarks: list[str] = field(default_factory=list)


def load_encoder(run: RunFacts, checkpoint: Path, seed: int) -> Encoder:
    """Build the networks of a checkpoint; no code of it is run, nor of the config in it.

    Args:
        run: The run, for the normalisation and size of its images.
        checkpoint: Its checkpoint.
        seed: Of the random weights.

    Raises:
        CheckpointError: If it cannot be read, or its backbone is none that is built from a file.
    """
    content = read_checkpoint(checkpoint)
    state, meta = content.get('state_dict') or {}, content.get('meta')
    backbone = load_backbone(checkpoint)
    queries = Network(backbone.to(get_device()), _projection(state, 'neck.'))
    text = meta.get('cfg') if isinstance(meta, Mapping) else None
    config = backbone_config(text) if isinstance(text, str) else None
    mean, std = (_channels(run, name, usual) for name, usual in zip(('mean', 'std'), _IMAGENET, strict=True))
    if run.setting('model.data_preprocessor.to_rgb') is False:  # then they are those of BGR
        mean, std = mean[::-1], std[::-1]
    untrained = None if config is None else _untrained(config, backbone, seed)
    return Encoder(queries, _keys(state, queries), untrained, mean, std, input_size(run))


def look_at(encoder: Encoder, images: ImageList, seconds: float) -> Looked:
    """Take the features of images, as far as the time reaches.

    Args:
        encoder: The networks.
        images: What to look at.
        seconds: After so long, what there is has to do.

    Raises:
        ValueError: If fewer than three can be read, or features are not finite.
    """
    deadline = time.monotonic() + seconds
    kept, thumbnails, features, untrained, seen = [], [], [], [], 0
    for start in range(0, len(images.paths), _BATCH):
        if start and time.monotonic() > deadline:
            break
        places = range(start, min(start + _BATCH, len(images.paths)))
        seen = places.stop
        read = {i: image for i in places if (image := read_image(images.whole_path(i))) is not None}
        if not read:
            continue
        kept += read
        thumbnails += [shrunk(to_picture(image), _THUMBNAIL) for image in read.values()]
        batch = encoder.normalised([whole_view(image, encoder.size) for image in read.values()])
        features.append(encoder.queries.features(batch))
        if encoder.untrained is not None:
            untrained.append(encoder.untrained.features(batch))
    if len(kept) < 3:
        raise ValueError(f'Of {seen} images in {images.folder} only {len(kept)} can be read: it takes 3.')
    remarks = []
    if seen < len(images.paths):
        remarks.append(f'The time limit let {seen} of {len(images.paths)} images be looked at.')
    if len(kept) < seen:
        remarks.append(f'{seen - len(kept)} images cannot be read and are left out.')
    floor = _unit_length(untrained) if untrained else None
    return Looked(images.at(kept), _unit_length(features), floor, thumbnails, remarks)


def _channels(run: RunFacts, name: str, usual: Sequence[float]) -> Sequence[float]:
    """Three numbers of the data preprocessor, ImageNet's where it gives none."""
    given = run.setting(f'model.data_preprocessor.{name}')
    whole = isinstance(given, list | tuple) and len(given) == 3
    return given if whole and all(isinstance(value, int | float) for value in given) else usual


def _untrained(config: dict, trained: nn.Module, seed: int) -> Network:
    most = 2 * sum(value.numel() for value in trained.state_dict().values()) + 1000
    with preserved_generators():
        torch.default_generator.manual_seed(seed)
        backbone = build_backbone(config, most=most)
    backbone.eval()
    return Network(backbone.to(get_device()))


def _keys(state: Mapping[str, Tensor], queries: Network) -> Network:
    """The key encoder of a checkpoint of ours, in a copy of the trained one."""
    prefix = 'key_encoder.backbone.'
    own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    if not own:
        return queries
    backbone = copy.deepcopy(queries.backbone)
    backbone.load_state_dict(own)
    return Network(backbone, _projection(state, 'key_encoder.neck.'))


def _projection(state: Mapping[str, Tensor], prefix: str) -> Callable[[Tensor], Tensor] | None:
    """MoCoV2Neck's two layers on pooled features."""
    names = [f'{prefix}mlp.{layer}.{part}' for layer in (0, 2) for part in ('weight', 'bias')]
    if {name for name in state if name.startswith(prefix)} != {*names}:
        return None
    first, first_bias, second, second_bias = (state[name].float() for name in names)
    return lambda features: F.linear(F.relu(F.linear(features, first, first_bias)), second, second_bias)


def _unit_length(batches: Sequence[Tensor]) -> np.ndarray:
    features = torch.cat(list(batches))
    if not features.isfinite().all():
        raise ValueError('The checkpoint gives features that are not finite: its weights are damaged.')
    return F.normalize(features, dim=1).numpy()
