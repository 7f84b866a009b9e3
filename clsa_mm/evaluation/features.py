"""Extraction of frozen features: a vector and a label per image, on any number of ranks."""

import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import NamedTuple

import torch
from mmengine.dataset import DefaultSampler
from mmengine.dist import all_gather, all_gather_object, broadcast, get_world_size
from mmengine.logging import print_log
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.utils.data import DataLoader

from clsa_mm.datasets.views.randomness import preserved_generators
from clsa_mm.evaluation.labels import labels_of

_REPORT_SECONDS = 20.0
_SHOWN_REASONS = 10


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


def extract_features(model: nn.Module, dataloader: DataLoader, name: str = 'images') -> tuple[Tensor, Tensor]:
    """Run the backbone over a data set with one label per image; everything in memory.

    Args:
        model: As of :func:`iter_features`.
        dataloader: As of :func:`iter_features`.
        name: What the progress messages call the data.

    Returns:
        Features, float32, shape (n, D), and labels, int64, shape (n,), both on the CPU.

    Raises:
        ValueError: As :func:`iter_features`, or if an image has no label or several.
    """
    with closing(iter_features(model, dataloader, labels_of, name)) as batches:
        features, labels = zip(*((batch.features, batch.labels) for batch in batches), strict=True)
    return torch.cat(features), torch.cat(labels)


class FeatureBatch(NamedTuple):
    """The features of some images, in the data set's order.

    Attributes:
        features: float32, shape (n, D), on the CPU.
        labels: What the label function made of the samples, shape (n, ...), on the CPU; or None.
        paths: The images' files, if asked for; None where a sample does not name its own.
    """

    features: Tensor
    labels: Tensor | None
    paths: list[str | None] | None


@torch.no_grad()
def iter_features(
    model: nn.Module,
    dataloader: DataLoader,
    read_labels: Callable[[Sequence[DataSample]], Tensor] | None,
    name: str = 'images',
    with_paths: bool = False,
    encode: Callable[[Tensor], Tensor] | None = None,
) -> Generator[FeatureBatch, None, None]:
    """Run the backbone over a data set, batch by batch, and pool its last feature map.

    The backbone works in eval mode and without gradients; afterwards every module's mode and buffers
    and the states of all random number generators are as before, so that measuring during training
    does not change the training. With several ranks each one works on a shard, with the buffers
    (BatchNorm's statistics) of rank 0, which are those that a checkpoint holds, and receives the
    features of the whole data set, in its order and every image once. Images that the data loader
    marks as unreadable are left out and warned of. Close it (``contextlib.closing``) if you stop early.

    Args:
        model: A model with ``backbone`` and ``data_preprocessor``, not wrapped for distributed training.
            The preprocessor moves and normalises the images, as in training.
        dataloader: Batches of one view per image; of
            :func:`clsa_mm.evaluation.dataloaders.build_in_order`, images that cannot be read are left
            out. With several ranks its sampler has to be ``DefaultSampler(round_up=True)``.
        read_labels: Turns the samples of a batch into labels, (N, ...), such as
            :func:`clsa_mm.evaluation.labels.labels_of`; None leaves labels out.
        name: What the progress messages call the data.
        with_paths: Also say which files the images are of.
        encode: Turns images (N, 3, H, W) into features (N, D), with parts of the model. Defaults to the
            backbone and :func:`global_average_pool`.

    Yields:
        The images in the data set's order.

    Raises:
        ValueError: If the data has several views, or the data loader leaves images out.
    """
    _check_sampler(dataloader)
    encode = encode or (lambda images: global_average_pool(model.backbone(images)))
    seen, total, unreadable = 0, len(dataloader.dataset), []
    with _evaluating(model), _buffers_of_main_rank(model), preserved_generators():
        progress = _Progress(name, len(dataloader))
        for batch in dataloader:
            samples = batch.get('data_samples')
            images = model.data_preprocessor(_one_view(batch), False)['inputs']
            features = _interleave(encode(images))
            labels = _interleave(read_labels(samples).to(images.device)) if read_labels else None
            paths = _interleave_paths(samples or [None] * len(images)) if with_paths else None
            reasons = batch.get('unreadable') or [''] * len(images)
            unreadable += filter(None, reasons)
            flags = torch.tensor([not reason for reason in reasons], dtype=torch.uint8)
            readable = _interleave(flags.to(images.device))
            # The sampler repeats some images, so that all ranks have as many.
            kept = readable[: total - seen].nonzero().flatten()
            seen += len(features)
            if len(kept):
                chosen = None if paths is None else [paths[i] for i in kept]
                yield FeatureBatch(features[kept], None if labels is None else labels[kept], chosen)
            progress.step()
        _warn_of_unreadable(name, total, unreadable)
    if seen < total or not seen:
        raise ValueError(
            f'The data loader gave {seen} of {total} images: set '
            "`drop_last=False` and use `sampler=dict(type='DefaultSampler', shuffle=False)`."
        )


def _check_sampler(dataloader: DataLoader) -> None:
    sampler = dataloader.sampler
    if get_world_size() > 1 and not (isinstance(sampler, DefaultSampler) and sampler.round_up):
        raise ValueError(
            'With several ranks each image is counted exactly once only if the data loader has '
            "`sampler=dict(type='DefaultSampler', shuffle=False, round_up=True)`, got "
            f'{type(sampler).__name__}.'
        )


def _warn_of_unreadable(name: str, total: int, reasons: list[str]) -> None:
    """Say which images, of all ranks, were left out and why."""
    reasons = sorted({reason for shard in all_gather_object(reasons) for reason in shard})
    if reasons:
        firsts = {reason.partition(':')[0]: reason for reason in reversed(reasons)}  # of each kind
        order = [*firsts.values(), *(reason for reason in reasons if reason not in firsts.values())]
        shown = '\n  '.join(order[:_SHOWN_REASONS] + ['...'] * (len(reasons) > _SHOWN_REASONS))
        print_log(
            f'{len(reasons)} of {total} images of {name} cannot be read and are left out:\n  {shown}',
            logger='current',
            level=logging.WARNING,
        )


def _interleave(shard: Tensor) -> Tensor:
    """Join the ranks' batches in the data set's order: rank r holds images r, r + world, ..."""
    return torch.stack(all_gather(shard.contiguous()), 1).flatten(0, 1).cpu()


def _interleave_paths(samples: Sequence[DataSample | None]) -> list[str | None]:
    """Join the names of the ranks' images as :func:`_interleave` joins tensors."""
    shards = all_gather_object([getattr(sample, 'img_path', None) for sample in samples])
    return [path for paths in zip(*shards, strict=True) for path in paths]


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
def _buffers_of_main_rank(model: nn.Module) -> Iterator[None]:
    """Rank 0's buffers on all ranks inside: each rank's BatchNorm has seen other images."""
    if get_world_size() == 1:
        yield
        return
    parts = [part for name in ('backbone', 'neck') if (part := getattr(model, name, None)) is not None]
    buffers = [buffer for part in parts for buffer in part.buffers()]
    own = [buffer.clone() for buffer in buffers]
    for buffer in buffers:
        broadcast(buffer)
    try:
        yield
    finally:
        for buffer, value in zip(buffers, own, strict=True):
            buffer.copy_(value)


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
