"""The pictures that the VOC and COCO layouts share: several objects, varying image shapes."""

import numpy as np

from clsa_mm.datasets.embedded.kinds import KINDS
from clsa_mm.datasets.embedded.scene import SceneObject, image_rng, render_scene

_MAX_OBJECTS = 5
_OBJECT_SIZES = (0.2, 0.45)


def crowded_scene(
    seed: int, stream: int, index: int, image_size: int
) -> tuple[np.ndarray, list[SceneObject]]:
    """Draw a picture of one to five objects of any kinds.

    The first object's kind is ``index % 20``, so that 20 pictures hold every kind.

    Args:
        seed: The data set's seed, at least 0.
        stream: Number of the split within the data set.
        index: Number of the picture within the split.
        image_size: Longer side in pixels; the shorter one is 0.65 to 1 times that.

    Returns:
        The RGB image, uint8 of shape ``(H, W, 3)``, and its objects.
    """
    rng = image_rng(seed, stream, index)
    short = round(image_size * rng.uniform(0.65, 1))
    height, width = (short, image_size) if rng.random() < 0.75 else (image_size, short)
    others = rng.integers(len(KINDS), size=rng.integers(0, _MAX_OBJECTS))
    kinds = [index % len(KINDS), *others.tolist()]
    return render_scene(rng, height, width, kinds, _OBJECT_SIZES)
