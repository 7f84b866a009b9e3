"""Small labelled pictures and models that several evaluation tests share."""

from pathlib import Path

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from PIL import Image

COLOURS = dict(blue=(0, 0, 255), green=(0, 255, 0), red=(255, 0, 0))
NORMALISATION = dict(type='mmpretrain.SelfSupDataPreprocessor', mean=[120.0] * 3, std=[60.0] * 3, to_rgb=True)


def write_images(root: Path, per_class: int, size: int = 16, seed: int = 0) -> Path:
    """Write ``root/<colour>/<n>.png``: noise of the class's colour."""
    rng = np.random.default_rng(seed)
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True)
        for n in range(per_class):
            noise = rng.random((size, size, 3))
            pixels = 0.4 * np.array(colour) + 0.6 * 255 * noise
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f'{n}.png')
    return root


def loader_config(root: Path, batch_size: int = 4, **dataset) -> dict:
    """Data loader config of such a folder."""
    return dict(
        batch_size=batch_size,
        num_workers=0,
        dataset=dict(
            type='CustomDataset',
            data_prefix=str(root),
            pipeline=[dict(type='LoadImage'), dict(type='PackInputs')],
            **dataset,
        ),
    )


def knn_config(root: Path, **settings) -> dict:
    """Settings of a KNNHook of the images in ``root/train`` and ``root/test``."""
    dataset = loader_config(root)['dataset']
    del dataset['data_prefix']
    splits = {split: dict(data_prefix=str(root / split)) for split in ('train', 'test')}
    return dict(dict(dataset=dataset, **splits, batch_size=4, num_workers=0, k=5), **settings)


class TinyModel(BaseModel):
    """A pretraining-like model: a narrow ResNet with a loss that draws random numbers."""

    def __init__(self) -> None:
        super().__init__(data_preprocessor=MODELS.build(NORMALISATION))
        self.backbone = MODELS.build(
            dict(type='mmpretrain.ResNet_CIFAR', depth=18, stem_channels=8, base_channels=8)
        )

    def forward(
        self, inputs: torch.Tensor, data_samples: list | None = None, mode: str = 'tensor'
    ) -> dict | torch.Tensor:
        """Return features, or the loss."""
        features = self.backbone(inputs)[-1]
        if mode == 'loss':
            return dict(loss=(features * torch.rand_like(features)).square().mean())
        return features
