"""From one decoded image to the views of a sample, by role."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS
from mmpretrain.structures import DataSample

from clsa_mm.datasets.seeded_sampler import SeededIndex
from clsa_mm.datasets.views.nearest_name import choose
from clsa_mm.datasets.views.randomness import ViewGenerator
from clsa_mm.datasets.views.settings import ROLES, build_views
from clsa_mm.datasets.views.without_ipp import without_ipp
from clsa_mm.given_numbers import check_numbers


@TRANSFORMS.register_module()
class MakeViews(BaseTransform):
    """Make the views that a dictionary of settings describes.

    What view ``v`` of a sample (counted over all roles: key, weak, strong) looks like depends on (seed,
    epoch, index, v) alone, the key that :class:`SeededSampler` put into ``results['sample_idx']``; without
    one it follows NumPy's global generator.

    Required keys: ``img`` (uint8 BGR of shape (H, W, 3)), ``sample_idx`` (optional). Changed key: ``img``,
    the list of views. Added key: ``view_roles``, the role of each.

    Args:
        views: Role (``key``, ``weak``, ``strong``) -> settings; see
            :class:`~clsa_mm.datasets.views.settings.RoleSettings`.

    Raises:
        ValueError: The dictionary has an unknown, missing or impossible setting.

    Example:
        >>> crop = dict(size=224, area=(0.2, 1.0))
        >>> MakeViews(dict(key=crop, weak=crop, strong=dict(size=96, area=(0.086, 0.429), num_ops=5)))
    """

    def __init__(self, views: Mapping[str, Mapping[str, Any]]) -> None:
        self.views = build_views(views)
        self._generator = ViewGenerator()

    @without_ipp()
    def transform(self, results: dict) -> dict:
        """Replace ``results['img']`` by the list of its views.

        Args:
            results: Holds the decoded image.

        Returns:
            The same dict.
        """
        image, sample_idx = results['img'], results.get('sample_idx')
        results['img'] = [view(image, self._generator.at(sample_idx, v)) for v, view in enumerate(self.views)]
        results['view_roles'] = [view.role for view in self.views]
        return results

    def __repr__(self) -> str:
        """List the views."""
        return f'{type(self).__name__}(\n' + '\n'.join(map(repr, self.views)) + ')'


@TRANSFORMS.register_module()
class MakeView(BaseTransform):
    """Make one view of a role, for measuring: the same of an image each time.

    It depends on (seed, index of the image) alone. Of a role with several views it is the first.

    Required keys: ``img`` (uint8 BGR of shape (H, W, 3)), ``sample_idx``. Changed key: ``img``.

    Args:
        views: As of :class:`MakeViews`.
        role: ``'key'``, ``'weak'`` or ``'strong'``.
        seed: >= 0. Defaults to 0.

    Raises:
        ValueError: The dictionary has an unknown, missing or impossible setting, or no view of the role.
    """

    def __init__(self, views: Mapping[str, Mapping[str, Any]], role: str, seed: int = 0) -> None:
        check_numbers('MakeView', whole=True, low=0, seed=seed)
        of_role = [view for view in build_views(views) if view.role == choose(role, ROLES, 'role')]
        if not of_role:
            raise ValueError(f'views.{role} has no view: set views.{role}.num_views, or take another role.')
        self.view = of_role[0]
        self.seed = seed
        self._generator = ViewGenerator()

    def transform(self, results: dict) -> dict:
        """Replace ``results['img']`` by its view.

        Args:
            results: Holds the decoded image.

        Returns:
            The same dict.
        """
        index = int(results['sample_idx'])
        drawn = self._generator.at(SeededIndex(index, (self.seed, 0, index)), 0)
        results['img'] = self.view(results['img'], drawn)
        return results

    def __repr__(self) -> str:
        """Show the view."""
        return f'{type(self).__name__}({self.view!r}, seed={self.seed})'


@TRANSFORMS.register_module()
class PackViews(BaseTransform):
    """Pack the views of a sample by role, as the model takes them.

    Required keys: ``img`` (list of uint8 arrays of shape (H, W, 3)) and ``view_roles``, both as
    :class:`MakeViews` or ``SeededMultiView(roles=...)`` leaves them; ``gt_label`` is optional. The result has
    ``inputs``, role -> list of uint8 tensors of shape (3, H, W), without roles that have no view, and
    ``data_samples`` with the metadata that tells where it comes from and the label, where there is one.

    Args:
        meta_keys: Metadata to keep, where there is any. Defaults to ``('sample_idx', 'img_path',
            'ori_shape')``.
    """

    def __init__(self, meta_keys: Sequence[str] = ('sample_idx', 'img_path', 'ori_shape')) -> None:
        self.meta_keys = tuple(meta_keys)

    @without_ipp()
    def transform(self, results: dict) -> dict:
        """Pack a sample.

        Args:
            results: Holds the views and their roles.

        Returns:
            ``dict(inputs=..., data_samples=...)``.

        Raises:
            KeyError: Nothing has named the roles of the views.
        """
        if 'view_roles' not in results:
            raise KeyError(
                'PackViews needs view_roles: put MakeViews before it, or SeededMultiView with `roles`.'
            )
        inputs: dict[str, list[torch.Tensor]] = {role: [] for role in ROLES}
        for role, view in zip(results['view_roles'], results['img'], strict=True):
            inputs[role].append(to_planes(view))
        sample = DataSample()
        if 'gt_label' in results:
            sample.set_gt_label(results['gt_label'])
        for key in self.meta_keys:
            if key in results:
                sample.set_field(results[key], key, field_type='metainfo')
        return dict(inputs={role: views for role, views in inputs.items() if views}, data_samples=sample)


def to_planes(image: np.ndarray) -> torch.Tensor:
    """Turn an array (H, W, 3) into a tensor (3, H, W), five times as fast as a transposed copy."""
    planes = np.empty((3, *image.shape[:2]), image.dtype)
    cv2.split(image, list(planes))
    return torch.from_numpy(planes)
