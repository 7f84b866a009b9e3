"""Pretraining runs of seconds: a convolution, random images, the real model, loop and hooks."""

import itertools
from pathlib import Path
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import Dataset

from clsa_mm.models import CLSA

_names = itertools.count()


class Stem(nn.Module):
    """A backbone whose BatchNorm sees only this rank's images, as on GPUs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2)
        self.bn = nn.BatchNorm2d(8)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (self.bn(self.conv(images)).relu(),)


class Projection(nn.Module):
    """Global average pooling and a linear layer to 6 dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 6)

    def forward(self, features: tuple[Tensor]) -> tuple[Tensor]:
        return (self.fc(features[0].mean(dim=(2, 3))),)


def small_model(**arguments: Any) -> CLSA:
    """CLSA with a queue of 24 keys of 6 dimensions."""
    settings = dict(queue_len=24, feat_dim=6, momentum=0.99)
    return CLSA(
        Stem(),
        Projection(),
        data_preprocessor=dict(type='mmengine.BaseDataPreprocessor'),
        **{**settings, **arguments},
    )


class RandomViews(Dataset):
    """48 images of noise, each with one view for each role; 6 batches of 8."""

    def __init__(self, noise: float = 1.0) -> None:
        self.noise = noise

    def __len__(self) -> int:
        return 48

    def __getitem__(self, index: int) -> dict:
        generator = torch.Generator().manual_seed(index)
        image = torch.randn(3, 9, 9, generator=generator)
        views = [image + self.noise * torch.randn(3, 9, 9, generator=generator) for _ in range(3)]
        return dict(
            inputs={role: [view] for role, view in zip(('key', 'weak', 'strong'), views, strict=True)}
        )


class ScaledOptimWrapper(OptimWrapper):
    """Scales the loss as AMP does on GPUs, and has an infinite gradient in its third step."""

    def __init__(self, *arguments, **settings) -> None:
        super().__init__(*arguments, **settings)
        self.scaler = torch.amp.GradScaler('cpu', init_scale=4.0)
        self.count = 0

    def backward(self, loss: torch.Tensor, **kwargs) -> None:
        self.scaler.scale(loss).backward()
        self.count += 1
        if self.count == 3:
            self.optimizer.param_groups[0]['params'][0].grad[0] = float('inf')

    def step(self, **kwargs) -> None:
        self.scaler.step(self.optimizer)
        self.scaler.update()


def small_run(
    work_dir: Path,
    hooks: dict[str, dict],
    model: nn.Module | None = None,
    epochs: int = 2,
    noise: float = 1.0,
    **settings: Any,
) -> Runner:
    """A runner of 6 iterations an epoch whose ``default_hooks`` are mmengine's and these."""
    torch.manual_seed(0)
    config = dict(
        model=model or small_model(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=8,
            dataset=RandomViews(noise),
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.06)),
        default_hooks=dict(checkpoint=None) | hooks,
        default_scope='mmpretrain',
        experiment_name=f'small_run_{next(_names)}',
    )
    config |= settings
    # What the hooks read of the config that a run came from.
    config['cfg'] = dict(
        default_hooks=hooks,
        custom_hooks=config.get('custom_hooks'),
        model_wrapper_cfg=config.pop('model_wrapper_cfg', None),
    )
    return Runner(**config)
