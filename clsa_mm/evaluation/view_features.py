"""Features of a training set's own views, several of each image, the same draws each time."""

from collections.abc import Mapping, Sequence
from contextlib import closing

import torch
from mmengine.dataset import DefaultSampler
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from clsa_mm.datasets.seeded_sampler import SeededIndex
from clsa_mm.datasets.views.nearest_name import choose
from clsa_mm.datasets.views.randomness import seed_generators
from clsa_mm.evaluation.features import global_average_pool, iter_features
from clsa_mm.given_numbers import check_numbers


class DrawnViews(Dataset):
    """Several draws of a view of some images of a pretraining data set.

    Item ``i * draws + d`` is draw d of the i-th image: of views by role that of ``role``, of a list of views
    the first. It depends on (seed, draw, index of the image) alone, whether the pipeline goes by
    :class:`SeededIndex` or by the global generators.

    Args:
        dataset: Of a training's data loader.
        images: How many images, at least 1, a random choice fixed by ``seed``; all where there are fewer.
        draws: Views of each, at least 1.
        seed: Of the choice and of the draws, >= 0.
        role: Whose first view it is, of views by role. Defaults to ``'key'``, whose settings are those of a
            weak one in the paper's recipe.

    Raises:
        ValueError: If a number is not as above.
    """

    def __init__(self, dataset: Dataset, images: int, draws: int, seed: int = 0, role: str = 'key') -> None:
        check_numbers('DrawnViews', whole=True, low=1, images=images, draws=draws)
        check_numbers('DrawnViews', whole=True, low=0, seed=seed)
        self.dataset = dataset
        self.draws = draws
        self.seed = seed
        self.role = role
        generator = torch.Generator().manual_seed(seed)
        self.indices = torch.randperm(len(dataset), generator=generator)[:images].sort().values.tolist()

    def __len__(self) -> int:
        return len(self.indices) * self.draws

    def __getitem__(self, item: int) -> dict[str, Tensor]:
        """One view, uint8 of shape (3, H, W)."""
        index, draw = self.indices[item // self.draws], item % self.draws
        key = (self.seed, draw, index)
        seed_generators(key)
        return dict(inputs=_one_of(self.dataset[SeededIndex(index, key)]['inputs'], self.role))


def view_features(model: nn.Module, views: DrawnViews, batch_size: int = 64) -> dict[str, Tensor]:
    """Features of drawn views from the backbone and, where the model has one, from the neck.

    Nothing of the model or of the random number generators is changed, and all ranks share the work, see
    :func:`~clsa_mm.evaluation.features.iter_features`.

    Args:
        model: A model with ``backbone``, perhaps ``neck``, and ``data_preprocessor``, not wrapped.
        views: What to look at.
        batch_size: Views per forward and rank. Defaults to 64.

    Returns:
        ``backbone``, pooled, and ``projection``, as the neck gives it (not of unit length): float32, on the
        CPU, of shape (images, draws, D).
    """
    neck = getattr(model, 'neck', None)
    widths: dict[str, int] = {}

    def encode(images: Tensor) -> Tensor:
        outputs = model.backbone(images)
        parts = dict(backbone=global_average_pool(outputs))
        if neck is not None:
            parts['projection'] = global_average_pool(neck(outputs))
        widths.update({name: part.shape[1] for name, part in parts.items()})
        return torch.cat([*parts.values()], dim=1)

    loader = DataLoader(views, batch_size, sampler=DefaultSampler(views, shuffle=False))
    with closing(iter_features(model, loader, None, 'the views', encode=encode)) as batches:
        features = torch.cat([batch.features for batch in batches])
    features = features.unflatten(0, (-1, views.draws))
    return dict(zip(widths, features.split([*widths.values()], dim=-1), strict=True))


def _one_of(views: Tensor | Sequence[Tensor] | Mapping[str, Sequence[Tensor]], role: str) -> Tensor:
    if isinstance(views, Mapping):
        return views[choose(role, views, 'role')][0]
    return views if isinstance(views, Tensor) else views[0]
