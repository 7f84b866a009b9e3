"""CLSA's strong augmentation as a transform of its own."""

from collections.abc import Mapping

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS

from clsa_mm.datasets.views.randomness import ViewGenerator
from clsa_mm.datasets.views.strong_policy import Range, StrongPolicy


@TRANSFORMS.register_module()
class StrongAugment(BaseTransform):
    """The strong augmentation of `CLSA <https://arxiv.org/abs/2104.07713>`_ (Table 1).

    It draws ``num_ops`` operations and applies each, in the order drawn, with probability
    ``prob`` and a magnitude of its own. It belongs behind the transforms of a weak
    view, which a strong view undergoes first. All randomness follows numpy's global generator.
    :class:`MakeViews` has the same operations as settings; this transform is for pipelines written out.

    **Required and modified key:** ``img``, uint8 of shape (H, W, 3); the size does not change.

    Args:
        num_ops: See :class:`~clsa_mm.datasets.views.strong_policy.StrongPolicy`. Defaults to 5 (paper).
        prob: Likewise. Defaults to 0.5 (paper).
        policy: Likewise. Defaults to ``'paper'``.
        channel_order: ``'bgr'`` (OpenMMLab's) or ``'rgb'``. Defaults to ``'bgr'``.
        ops: Likewise. Defaults to None.
        replacement: Likewise. Defaults to True.

    Raises:
        ValueError: For an argument outside its range, or an image that is not uint8 of three
            channels.

    Example:
        >>> image = np.zeros((96, 96, 3), dtype=np.uint8)
        >>> StrongAugment(num_ops=5)(dict(img=image))['img'].shape
        (96, 96, 3)
    """

    def __init__(
        self,
        num_ops: int = 5,
        prob: float = 0.5,
        policy: str = 'paper',
        channel_order: str = 'bgr',
        ops: Mapping[str, Range | None] | None = None,
        replacement: bool = True,
    ) -> None:
        if channel_order not in ('bgr', 'rgb'):
            raise ValueError(f"channel_order must be 'bgr' or 'rgb', got {channel_order!r}")
        self.policy = StrongPolicy(num_ops, prob, policy, ops, replacement)
        self.channel_order = channel_order
        self._generator = ViewGenerator()

    def transform(self, results: dict) -> dict:
        """Replace ``results['img']`` by its strongly augmented version, a new array."""
        image = results['img']
        _check_image(image)
        reorder = slice(None, None, 1 if self.channel_order == 'bgr' else -1)
        strong = self.policy(np.ascontiguousarray(image[..., reorder]), self._generator.at(None, 0))
        results['img'] = np.array(strong[..., reorder], order='C')
        return results

    def __repr__(self) -> str:
        """Show the arguments."""
        return f'{type(self).__name__}({self.policy!r}, channel_order={self.channel_order!r})'


def _check_image(img: np.ndarray) -> None:
    if img.ndim != 3 or img.shape[2] != 3:
        raise ValueError(
            f'StrongAugment needs a three-channel image (H, W, 3), got shape {img.shape}. Load '
            'grey images as colour; for images of other bands leave StrongAugment out and use '
            "transforms of any number of channels: RandomResizedCrop(backend='cv2'), RandomFlip."
        )
    if img.dtype != np.uint8:
        raise ValueError(
            f'StrongAugment needs uint8 values (0 to 255), got {img.dtype}. Put it before any '
            'normalisation, and scale images of other depths to 8 bits on loading.'
        )
