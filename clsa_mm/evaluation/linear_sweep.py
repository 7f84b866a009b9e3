"""Linear classifiers with many learning rates at once, on features that are extracted already.

Each image has one fixed view, where linear evaluation trains on random crops: a quick estimate, and a
way to find the learning rate.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn

from clsa_mm.datasets.views.nearest_name import choose
from clsa_mm.evaluation.accuracy import top_accuracies
from clsa_mm.evaluation.voc07_metric import score_multi_label
from clsa_mm.given_numbers import check_numbers

Schedule = Literal['cosine', 'constant']
_EVALUATION_BATCH = 4096


@dataclass(frozen=True)
class Setting:
    """What one classifier is trained with.

    Attributes:
        lr: Learning rate.
        weight_decay: Weight decay, of weight and bias.
        standardize: Whether the features are shifted and scaled to mean 0 and deviation 1 over the training
            images, each dimension by itself.
    """

    lr: float
    weight_decay: float = 0.0
    standardize: bool = False


class HeadGroup(nn.Module):
    """L linear classifiers on the same inputs, as one; each with its own learning rate and weight decay.

    All start from the same weights, normal with deviation 0.01, and bias 0. A step is that of
    ``torch.optim.SGD(lr, momentum, weight_decay=...)`` for each.

    Args:
        settings: L settings.
        dimensions: D.
        num_classes: C.
        momentum: Of SGD.
        seed: Of the initial weights.
    """

    def __init__(
        self, settings: Sequence[Setting], dimensions: int, num_classes: int, momentum: float, seed: int
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        weight = torch.randn(num_classes, dimensions, generator=generator) * 0.01
        self.weight = nn.Parameter(weight.repeat(len(settings), 1, 1))
        self.bias = nn.Parameter(torch.zeros(len(settings), num_classes))
        self.momentum = momentum
        self.register_buffer('lr', torch.tensor([setting.lr for setting in settings]))
        self.register_buffer('weight_decay', torch.tensor([setting.weight_decay for setting in settings]))
        self._velocity: dict[nn.Parameter, Tensor] = {}

    def forward(self, features: Tensor) -> Tensor:
        """Logits (L, n, C) of features (n, D), as one matrix product."""
        flat = F.linear(features, self.weight.flatten(0, 1), self.bias.flatten())
        return flat.unflatten(1, self.bias.shape).transpose(0, 1)

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """An SGD step with ``factor`` times the learning rates; clears the gradients."""
        for parameter in self.parameters():
            per_head = (-1, *[1] * (parameter.dim() - 1))
            gradient = parameter.grad + self.weight_decay.view(per_head) * parameter
            velocity = self._velocity.setdefault(parameter, torch.zeros_like(parameter))
            velocity.mul_(self.momentum).add_(gradient)
            parameter -= factor * self.lr.view(per_head) * velocity
            parameter.grad = None


def sweep(
    features: np.ndarray,
    labels: np.ndarray,
    test_features: np.ndarray,
    settings: Sequence[Setting],
    num_classes: int,
    epochs: int = 100,
    batch_size: int = 256,
    momentum: float = 0.9,
    schedule: Schedule = 'cosine',
    seed: int = 0,
    device: torch.device | str = 'cpu',
) -> Tensor:
    """Train a linear classifier for each setting, in the same passes over the features.

    Each batch is read once and serves all settings; the loss of one setting does not touch another.
    One label per image: cross-entropy. Several: sigmoid cross-entropy, summed over classes and averaged
    over images, difficult objects counting as absent.

    Args:
        features: Training features, shape (N, D); may be memory-mapped.
        labels: Integers, shape (N,), or 1, 0, -1 (difficult), shape (N, C).
        test_features: Shape (N_test, D).
        settings: What to train with, L of them.
        num_classes: C.
        epochs: Passes over the training features, at least 1.
        batch_size: Images per step; the last batch of a pass may be smaller.
        momentum: Of SGD, at least 0.
        schedule: ``'cosine'`` takes each learning rate to 0, a step per epoch; ``'constant'`` keeps it.
        seed: Of the initial weights and of the order.
        device: Where to compute.

    Returns:
        Logits of the test images, float32, shape (L, N_test, C), on the CPU. NaN where a training
        diverged.

    Raises:
        ValueError: If shapes, labels or settings do not fit.
    """
    choose(schedule, get_args(Schedule), 'schedule')
    check_numbers('sweep', whole=True, low=1, num_classes=num_classes)
    check_numbers('sweep', whole=True, low=0, seed=seed)
    check_numbers('sweep', low=0, momentum=momentum)
    _check(features, labels, test_features, settings, num_classes, epochs, batch_size)
    shift, scale = _statistics(features, device) if any(s.standardize for s in settings) else (None, None)
    groups = {}
    for standardize in {setting.standardize for setting in settings}:
        members = [setting for setting in settings if setting.standardize == standardize]
        groups[standardize] = HeadGroup(members, features.shape[1], num_classes, momentum, seed).to(device)

    def views(array: np.ndarray, rows: np.ndarray) -> dict[bool, Tensor]:
        plain = torch.from_numpy(array[rows]).to(device, torch.float32)
        return {key: (plain - shift) / scale if key else plain for key in groups}

    generator = torch.Generator().manual_seed(seed)
    for epoch in range(epochs):
        factor = 0.5 * (1 + math.cos(math.pi * epoch / epochs)) if schedule == 'cosine' else 1.0
        for rows in torch.randperm(len(features), generator=generator).split(batch_size):
            rows = rows.sort().values.numpy()  # in the file's order
            target = torch.from_numpy(labels[rows]).to(device)
            for key, view in views(features, rows).items():
                loss_per_head(groups[key](view), target).sum().backward()
                groups[key].step(factor)
        print_log(f'Sweep: epoch {epoch + 1}/{epochs}', logger='current')
    return _logits(groups, settings, test_features, views)


def loss_per_head(logits: Tensor, target: Tensor) -> Tensor:
    """The classification loss of each of L classifiers.

    Args:
        logits: Shape (L, n, C).
        target: Integers, shape (n,), or 1, 0, -1 (difficult: absent), shape (n, C).

    Returns:
        Shape (L,).
    """
    if target.dim() == 1:
        target = target.long().expand(len(logits), -1)
        return F.cross_entropy(logits.transpose(1, 2), target, reduction='none').mean(1)
    target = (target == 1).float().expand_as(logits)
    return F.binary_cross_entropy_with_logits(logits, target, reduction='none').sum(2).mean(1)


def score_heads(
    logits: Tensor, labels: np.ndarray, names: Sequence[str] | None = None
) -> list[dict[str, float] | None]:
    """Score what :func:`sweep` returned.

    Args:
        logits: Shape (L, N, C).
        labels: Of the test images, as the training's.
        names: The classes.

    Returns:
        For each of the L, ``top1`` and ``top5``, or ``mAP_11point``, ``mAP_area`` and ``per_image_ap``
        where images have several labels, in percent; None if the training diverged.
    """
    names = names or [str(i) for i in range(logits.shape[2])]
    scores = []
    for head in logits:
        if not head.isfinite().all():
            scores.append(None)
        elif labels.ndim == 1:
            ranked = head.topk(min(5, head.shape[1])).indices
            scores.append(top_accuracies(ranked, torch.from_numpy(np.array(labels))))
        else:
            scores.append(score_multi_label(head.numpy(), np.array(labels), names, classwise=False))
    return scores


def sweep_table(settings: Sequence[Setting], scores: Sequence[dict[str, float] | None]) -> str:
    """Settings and scores as text, a row each; the best one marked.

    Args:
        settings: L settings.
        scores: Of :func:`score_heads`.
    """
    names = list(next((score for score in scores if score), {}))
    lines = [f'{"lr":>8}{"decay":>9}{"standardised":>14}' + ''.join(f'{name:>14}' for name in names)]
    best = max((score[names[0]] for score in scores if score), default=None)
    for setting, score in zip(settings, scores, strict=True):
        line = f'{setting.lr:>8g}{setting.weight_decay:>9g}{"yes" if setting.standardize else "no":>14}'
        if score is None:
            line += f'{"diverged":>14}'
        else:
            line += ''.join(f'{score[name]:>14.2f}' for name in names)
            line += '  <- best' if score[names[0]] == best else ''
        lines.append(line)
    return '\n'.join(lines)


def grid(
    lrs: Sequence[float], weight_decays: Sequence[float] = (0.0,), standardize: Sequence[bool] = (False,)
) -> list[Setting]:
    """All combinations.

    Args:
        lrs: Learning rates.
        weight_decays: Weight decays.
        standardize: With, without, or both.
    """
    return [Setting(lr, decay, s) for s, decay, lr in product(standardize, weight_decays, lrs)]


@torch.no_grad()
def _logits(groups: dict, settings: Sequence[Setting], features: np.ndarray, views: Callable) -> Tensor:
    """Logits of all images in the order of the settings, (L, N, C)."""
    parts = []
    for rows in np.array_split(np.arange(len(features)), math.ceil(len(features) / _EVALUATION_BATCH)):
        inputs = views(features, rows)
        of_group = {key: iter(group(inputs[key]).cpu()) for key, group in groups.items()}
        parts.append(torch.stack([next(of_group[setting.standardize]) for setting in settings]))
    return torch.cat(parts, 1)


def _statistics(features: np.ndarray, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each dimension, (D,), in float64 by chunks; a constant one is not scaled."""
    total, squares = 0.0, 0.0
    for start in range(0, len(features), _EVALUATION_BATCH):
        part = torch.from_numpy(np.array(features[start : start + _EVALUATION_BATCH])).double()
        total, squares = total + part.sum(0), squares + part.square().sum(0)
    mean = total / len(features)
    deviation = (squares / len(features) - mean**2).clamp(min=0).sqrt()
    deviation[deviation < 1e-6] = 1
    return mean.float().to(device), deviation.float().to(device)


def _check(
    features: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    settings: Sequence[Setting],
    num_classes: int,
    epochs: int,
    batch_size: int,
) -> None:
    if features.ndim != 2 or test.ndim != 2 or features.shape[1] != test.shape[1]:
        raise ValueError(
            f'Training features {features.shape} and test features {test.shape} do not fit: extract both '
            'with the same backbone.'
        )
    if labels.shape not in {(len(features),), (len(features), num_classes)}:
        raise ValueError(
            f'Labels of shape {labels.shape} do not fit {len(features)} images and {num_classes} classes.'
        )
    if labels.dtype.kind not in 'iu' or (labels.ndim == 2 and not np.isin(labels, (-1, 0, 1)).all()):
        raise ValueError(
            f'Labels must be whole numbers, of several classes an image 1, 0 or -1 (difficult), got some of '
            f'{labels.dtype} such as {labels.flat[0]!r}.'
        )
    if labels.ndim == 1 and not 0 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(
            f'Labels run from {labels.min()} to {labels.max()}, but there are {num_classes} classes.'
        )
    for setting in settings:
        check_numbers('sweep', lr=setting.lr, weight_decay=setting.weight_decay)
    check_numbers('sweep', whole=True, epochs=epochs, batch_size=batch_size)
    if not settings or any(s.lr <= 0 or s.weight_decay < 0 for s in settings):
        raise ValueError('Give at least one learning rate; learning rates are > 0, weight decays >= 0.')
    if epochs < 1 or batch_size < 1:
        raise ValueError(f'epochs and batch_size must be at least 1, got {epochs} and {batch_size}.')
