"""CLSA's strong augmentation: a few operations drawn at random, each with a random magnitude."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS
from PIL import Image

from clsa_mm.datasets.transforms.strong_ops import OPERATIONS

Range = tuple[float, float]
NO_MAGNITUDE: Range = (0.0, 0.0)

# Paper, Table 1: magnitudes are uniform in [low, high].
PAPER_POOL: dict[str, Range] = {
    'ShearX': (-0.3, 0.3),
    'ShearY': (-0.3, 0.3),
    'TranslateX': (-0.3, 0.3),
    'TranslateY': (-0.3, 0.3),
    'Rotate': (-30.0, 30.0),
    'AutoContrast': NO_MAGNITUDE,
    'Invert': NO_MAGNITUDE,
    'Equalize': NO_MAGNITUDE,
    'Solarize': (0.0, 256.0),
    'Posterize': (4, 8),
    'Contrast': (0.05, 0.95),
    'Color': (0.05, 0.95),
    'Brightness': (0.05, 0.95),
    'Sharpness': (0.05, 0.95),
}

# Official code, data_processing/RandAugment.py: magnitudes at levels 0 and 10
# (it draws 1 to 9).
OFFICIAL_POOL: dict[str, Range] = {
    'ShearX': (0.0, 0.3),
    'ShearY': (0.0, 0.3),
    'TranslateX': (0.0, 0.3),
    'TranslateY': (0.0, 0.3),
    'Rotate': (0.0, 30.0),
    'AutoContrast': NO_MAGNITUDE,
    'Identity': NO_MAGNITUDE,
    'Equalize': NO_MAGNITUDE,
    'Solarize': (256.0, 0.0),
    'Posterize': (4.0, 8.0),
    'Contrast': (0.05, 0.95),
    'Color': (0.05, 0.95),
    'Brightness': (0.05, 0.95),
    'Sharpness': (0.05, 0.95),
}
SIGNED = {'ShearX', 'ShearY', 'TranslateX', 'TranslateY', 'Rotate'}


def paper_magnitude(name: str) -> float:
    """Draw a magnitude uniformly from the range in the paper's Table 1 (bits are whole numbers)."""
    low, high = PAPER_POOL[name]
    if name == 'Posterize':
        return np.random.randint(low, high + 1)
    return np.random.uniform(low, high)


def official_magnitude(name: str) -> float:
    """Draw one of the official code's nine levels, and a sign where the operation has one."""
    start, stop = OFFICIAL_POOL[name]
    magnitude = start + (stop - start) * np.random.randint(1, 10) / 10
    return -magnitude if name in SIGNED and np.random.random() < 0.5 else magnitude


POLICIES = {'paper': (PAPER_POOL, paper_magnitude), 'official': (OFFICIAL_POOL, official_magnitude)}


@TRANSFORMS.register_module()
class StrongAugment(BaseTransform):
    """The strong augmentation of `CLSA <https://arxiv.org/abs/2104.07713>`_ (Table 1).

    It draws ``num_ops`` operations with replacement and applies each, in the order drawn, with
    probability ``prob`` and a magnitude of its own. It belongs behind the transforms of a weak
    view, which a strong view undergoes first. All randomness comes from numpy's global generator.

    **Required and modified key:** ``img``, uint8 of shape (H, W, 3); the size does not change.

    Args:
        num_ops (int): Operations drawn per image. Defaults to 5 (paper).
        prob (float): Probability, in [0, 1], that a drawn operation is applied. Defaults to 0.5
            (paper).
        policy (str): ``'paper'``: the 14 operations of Table 1, magnitudes uniform in its ranges.
            ``'official'``: those of the authors' code, which has Identity in place of Invert and
            one of nine levels (10% to 90% of the range) in place of a continuous magnitude.
            Defaults to ``'paper'``.
        channel_order (str): ``'bgr'`` (OpenMMLab's) or ``'rgb'``. Defaults to ``'bgr'``.

    Raises:
        ValueError: For an argument outside its range, or an image that is not uint8 of three
            channels.

    Example:
        >>> image = np.zeros((96, 96, 3), dtype=np.uint8)
        >>> StrongAugment(num_ops=5)(dict(img=image))['img'].shape
        (96, 96, 3)
    """

    def __init__(
        self, num_ops: int = 5, prob: float = 0.5, policy: str = 'paper', channel_order: str = 'bgr'
    ) -> None:
        if not isinstance(num_ops, int) or num_ops < 0:
            raise ValueError(f'num_ops must be a whole number >= 0 (the paper uses 5), got {num_ops!r}')
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be in [0, 1] (the paper uses 0.5), got {prob!r}')
        if policy not in POLICIES:
            raise ValueError(f'policy must be one of {sorted(POLICIES)}, got {policy!r}')
        if channel_order not in ('bgr', 'rgb'):
            raise ValueError(f"channel_order must be 'bgr' or 'rgb', got {channel_order!r}")
        self.num_ops = num_ops
        self.prob = prob
        self.policy = policy
        self.channel_order = channel_order

    def draw(self) -> list[tuple[str, float]]:
        """Draw the operations to apply to one image.

        Returns:
            list[tuple[str, float]]: Names and magnitudes, at most ``num_ops``, in order of
                application.
        """
        pool, draw_magnitude = POLICIES[self.policy]
        names = np.random.choice(list(pool), self.num_ops)
        return [(str(name), draw_magnitude(name)) for name in names if np.random.random() < self.prob]

    def apply(self, img: np.ndarray, ops: Sequence[tuple[str, float]]) -> np.ndarray:
        """Apply operations to an image.

        Args:
            img (np.ndarray): uint8 of shape (H, W, 3), in ``channel_order``.
            ops (Sequence[tuple[str, float]]): Names and magnitudes, as from :meth:`draw`.

        Returns:
            np.ndarray: A new uint8 array of shape (H, W, 3), in ``channel_order``.
        """
        _check_image(img)
        reorder = slice(None, None, -1 if self.channel_order == 'bgr' else 1)
        pil_img = Image.fromarray(np.ascontiguousarray(img[..., reorder]))
        for name, magnitude in ops:
            pil_img = OPERATIONS[name](pil_img, magnitude)
        return np.array(np.asarray(pil_img)[..., reorder], order='C')

    def transform(self, results: dict) -> dict:
        """Replace ``results['img']`` by its strongly augmented version."""
        results['img'] = self.apply(results['img'], self.draw())
        return results

    def __repr__(self) -> str:
        """Show the arguments."""
        return (
            f'{type(self).__name__}(num_ops={self.num_ops}, prob={self.prob}, '
            f'policy={self.policy!r}, channel_order={self.channel_order!r})'
        )


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
