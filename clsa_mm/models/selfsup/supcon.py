"""Supervised Contrastive Learning, arXiv 2004.11362, and what else compares the views of a batch."""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.registry import MODELS
from mmpretrain.models.selfsup.base import BaseSelfSupervisor
from torch import Tensor, nn

from clsa_mm.models.gather import gather_features, gather_labels
from clsa_mm.models.selfsup.encode import encode


@MODELS.register_module()
class SupCon(BaseSelfSupervisor):
    """One encoder for all views, whose features and labels a head compares over the whole global batch.

    With ``SupConHead`` it is SupCon, or without labels SimCLR; with ``MaxMarginHead`` a baseline. Views are
    alike, whatever their role: all are encoded in one forward, and BatchNorm sees them together.

    Args:
        backbone: Config of the backbone, which returns one feature map.
        neck: Config of the projection.
        head: Config of a :class:`~clsa_mm.models.heads.BatchHead`. Defaults to ``dict(type='SupConHead')``.
        supervised: Whether images of one label belong together. With False each image is a class of its own,
            and the data needs no labels. Defaults to True.
        channels_last: Keep images and convolutions in the channels-last memory format, which is faster
            with mixed precision on GPUs. Defaults to False.
        data_preprocessor: Defaults to ``ViewsDataPreprocessor``.
        pretrained: Path of weights to start from.
        init_cfg: OpenMMLab's initialisation config.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        head: dict | None = None,
        supervised: bool = True,
        channels_last: bool = False,
        data_preprocessor: dict | nn.Module | None = None,
        pretrained: str | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if not isinstance(data_preprocessor, nn.Module):
            data_preprocessor = {'type': 'ViewsDataPreprocessor', **(data_preprocessor or {})}
        super().__init__(
            backbone=backbone,
            neck=neck,
            head=head or dict(type='SupConHead'),
            pretrained=pretrained,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        self.supervised = supervised
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.memory_format)

    def loss(
        self, inputs: Mapping[str, list[Tensor]], data_samples: list | None = None, **kwargs: Any
    ) -> dict[str, Tensor]:
        r"""Losses of one batch; the same on every rank, as it is that of the global batch.

        Args:
            inputs: The views by role, two or more in all, normalised images (N, 3, H, W) of one shape. N must
                be the same on every rank.
            data_samples: With ``gt_label`` each, unless ``supervised`` is False.
            **kwargs: Unused.

        Returns:
            What the head returns, and ``feature_std`` (0 when collapsed, :math:`1 / \sqrt{C}` when spread
            evenly).

        Raises:
            ValueError: If the inputs are not views by role, or an image has no label.
        """
        views = _views(inputs)
        features = gather_features(encode(self, torch.cat(views)))
        batch_size = len(views[0])
        if self.supervised:
            labels = gather_labels(data_samples, features.device)
        else:
            labels = torch.arange(len(features) // len(views), device=features.device)
        # Features are in the order of rank, view, image.
        labels = labels.view(-1, 1, batch_size).expand(-1, len(views), -1).flatten()
        return dict(
            self.head(features, labels), feature_std=features.detach().std(dim=0, correction=0).mean()
        )


def _views(inputs: Mapping[str, list[Tensor]]) -> list[Tensor]:
    views = [view for each in inputs.values() for view in each] if isinstance(inputs, Mapping) else []
    shapes = {tuple(view.shape) for view in views}
    if len(views) < 2 or len(shapes) > 1:
        raise ValueError(
            'SupCon takes two or more views of one size, by role, such as dict(key=[...], weak=[...]), got '
            f'{len(views)} of the shapes {sorted(shapes)}: set their num_views and size in '
            'train_dataloader.dataset.views, with PackViews and ViewsDataPreprocessor behind it'
        )
    return views
