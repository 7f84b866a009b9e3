"""How a model's queries of each role stand to the keys of the same images: figures 4 and 6 of the paper."""

from collections import OrderedDict
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from clsa_mm.evaluation.score_statistics import query_statistics
from clsa_mm.evaluation.view_features import DrawnViews, view_features
from clsa_mm.models.bank import Bank

_CHUNK = 256  # queries whose similarities to the bank are formed at once


def role_scores(
    model: nn.Module, dataset: Dataset, images: int, temperature: float, seed: int = 0, batch_size: int = 64
) -> dict[str, dict[str, Tensor]]:
    """Scores and probabilities of single images, over a bank of the images' own key views.

    The bank is the same for every network: the keys of these images, by the key encoder where the model has
    one. The queue is left out, as a network that is not trained has no keys of images in it. A query's
    positive is its own image's key. BatchNorm uses its running statistics.

    Args:
        model: A model with ``backbone``, ``neck`` and ``data_preprocessor``, perhaps ``key_encoder``.
        dataset: Of a training's data loader, with views by role.
        images: How many, a random choice fixed by ``seed``; all where there are fewer.
        temperature: Of the probabilities, > 0.
        seed: Of the choice and the views, >= 0.
        batch_size: Views per forward. Defaults to 64.

    Returns:
        Role (``weak``, ``strong``) -> what
        :func:`~clsa_mm.evaluation.score_statistics.query_statistics` tells of the role's first view, float32
        of shape (images,), in the order of the data set.

    Raises:
        ValueError: If the data set has no views by role, or the model no neck.
    """
    views = DrawnViews(dataset, images, 1, seed)
    roles = _roles(views)
    if getattr(model, 'neck', None) is None:
        raise ValueError(f'{type(model).__name__} has no neck, so no scores: give a pretraining config.')
    encoder = getattr(model, 'key_encoder', model)
    parts = dict(backbone=encoder.backbone, neck=encoder.neck, data_preprocessor=model.data_preprocessor)
    keys = _projections(nn.Sequential(OrderedDict(parts)), views, batch_size)
    found = {}
    for role in roles:
        queries = _projections(model, DrawnViews(dataset, images, 1, seed, role), batch_size)
        chunks = [
            query_statistics(queries[start : start + _CHUNK], Bank(part, [keys]), temperature)
            for start, part in zip(range(0, len(keys), _CHUNK), keys.split(_CHUNK), strict=True)
        ]
        found[role] = {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}
    return found


def _roles(views: DrawnViews) -> list[str]:
    inputs = views.dataset[views.indices[0]]['inputs']
    roles = [role for role in ('weak', 'strong') if role in inputs] if isinstance(inputs, Mapping) else []
    if not roles:
        raise ValueError(
            'The training set gives no weak or strong views by role: give a config with '
            '`train_dataloader.dataset.views`, such as configs/clsa_r50_8xb32_200e.py.'
        )
    return roles


def _projections(model: nn.Module, views: DrawnViews, batch_size: int) -> Tensor:
    """Of unit length, (images, C)."""
    return F.normalize(view_features(model, views, batch_size)['projection'][:, 0], dim=1)
