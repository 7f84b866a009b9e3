"""Extraction of frozen features: a vector and a label per image, on any number of ranks."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.dataset import DefaultSampler
from mmengine.dist import all_gather, get_world_size
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.utils.data import DataLoader

_REPORT_SECONDS = 20.0


def global_average_pool(outputs: Tensor | tuple[Tensor, ...] | list[Tensor]) -> Tensor:
    """Turn what a backbone returns into one vector per image.

    Args:
        outputs: A feature map (N, D, h, w) or vectors (N, D), or a sequence of them, whose last is
            taken.

    Returns:
        float32, shape (N, D): the mean over positions, or the vectors as they are.

    Raises:
        ValueError: If the last output has another number of axes.
    """
    last = outputs if isinstance(outputs, Tensor) else outputs[-1]
    if last.dim() not in (2, 4):
        raise ValueError(
            f'A backbone output of shape {tuple(last.shape)} is neither (N, D, h, w) nor (N, D): '
            "choose the backbone's output of one of these kinds (for mmpretrain's transformers "
            "`out_type='cls_token'`)."
        )
    last = last.float()
    return last.mean((2, 3)) if last.dim() == 4 else last


@torch.no_grad()
def extract_features(model: nn.Module, dataloader: DataLoader, name: str = 'images') -> tuple[Tensor, Tensor]:
    """Run the backbone over a labelled data set and pool its last feature map.

    The backbone works in eval mode and without gradients; afterwards every module's mode and the
    states of all random number generators are as before, so that measuring during training does not
    change the training. With several ranks each one works on a shard and receives the features of
    the whole data set, in its order and every image once.

    Args:
        model: A model with ``backbone`` and ``data_preprocessor``, bare or wrapped
            (DistributedDataParallel). The preprocessor moves and normalises the images, as in
            training.
        dataloader: Batches of one view per image with labels. With several ranks its sampler has to
            be ``DefaultSampler(round_up=True)``.
        name: What the progress messages call the data.

    Returns:
        Features, float32, shape (n, D), and labels, int64, shape (n,), both on the CPU.

    Raises:
        ValueError: If the data has no labels or several views, or the data loader leaves images
            out.
    """
    if is_model_wrapper(model):
        model = model.module
    _check_sampler(dataloader)
    features, labels = [], []
    with _evaluating(model), preserved_random_states():
        progress = _Progress(name, len(dataloader))
        for batch in dataloader:
            images = model.data_preprocessor(_one_view(batch), False)['inputs']
            features.append(_interleave(global_average_pool(model.backbone(images))))
            labels.append(_interleave(labels_of(batch.get('data_samples')).to(images.device)))
            progress.step()
    total = len(dataloader.dataset)
    if not labels or sum(map(len, labels)) < total:
        raise ValueError(
            f'The data loader gave {sum(map(len, labels))} of {total} images: set '
            "`drop_last=False` and use `sampler=dict(type='DefaultSampler', shuffle=False)`."
        )
    return torch.cat(features)[:total], torch.cat(labels)[:total]


def _check_sampler(dataloader: DataLoader) -> None:
    sampler = dataloader.sampler
    if get_world_size() > 1 and not (isinstance(sampler, DefaultSampler) and sampler.round_up):
        raise ValueError(
            'With several ranks each image is counted exactly once only if the data loader has '
            "`sampler=dict(type='DefaultSampler', shuffle=False, round_up=True)`, got "
            f'{type(sampler).__name__}.'
        )


def _interleave(shard: Tensor) -> Tensor:
    """Join the ranks' batches in the data set's order: rank r holds images r, r + world, ..."""
    return torch.stack(all_gather(shard.contiguous()), 1).flatten(0, 1).cpu()


def _one_view(batch: dict) -> dict:
    """The batch with its images as one (N, C, H, W) tensor, whichever collate function made it."""
    images = batch['inputs']
    if isinstance(images, (list, tuple)):
        if any(not isinstance(image, Tensor) or image.dim() != 3 for image in images):
            raise ValueError(
                'Features are extracted from one view per image, but the pipeline gives several: '
                'use a test pipeline (LoadImage, ResizeEdge, CenterCrop, PackInputs).'
            )
        if len({image.shape for image in images}) > 1:
            raise ValueError(
                'The images of a batch differ in size: let the pipeline end in a crop or resize to one size.'
            )
        images = torch.stack(list(images))
    return dict(inputs=images, data_samples=batch.get('data_samples'))


def labels_of(samples: Sequence[DataSample | None] | None) -> Tensor:
    """Read the class labels of a batch.

    Args:
        samples: What ``PackInputs`` made, one per image.

    Returns:
        int64, shape (N,).

    Raises:
        ValueError: If an image has no label or several.
    """
    labels = [sample.gt_label for sample in samples or () if sample and 'gt_label' in sample]
    if not samples or len(labels) < len(samples) or any(x.numel() != 1 for x in labels):
        raise ValueError(
            'kNN needs one class label per image, and this data set gives none (or several): use '
            "a labelled one, e.g. `dict(type='CustomDataset', data_prefix=...)` with one "
            'sub-folder per class and `PackInputs` at the end of its pipeline, or remove the '
            'KNNHook from `custom_hooks`.'
        )
    return torch.stack([label.reshape(()) for label in labels]).long()


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode inside; then each module's own flag as before (`train()` would set them all)."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def preserved_random_states() -> Iterator[None]:
    """Restore all generators: a DataLoader draws from torch's, transforms from numpy's."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


class _Progress:
    """Logs how far a long extraction is, every ``_REPORT_SECONDS``."""

    def __init__(self, name: str, total: int) -> None:
        self.name, self.total, self.done = name, total, 0
        self.reported = time.monotonic()

    def step(self) -> None:
        self.done += 1
        now = time.monotonic()
        if now - self.reported >= _REPORT_SECONDS:
            self.reported = now
            print_log(f'Features of {self.name}: {self.done}/{self.total} batches', logger='current')
