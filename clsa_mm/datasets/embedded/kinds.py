"""The object kinds of the embedded picture world and the names they carry in each data set.

A kind is a pair (shape, texture). Each shape occurs with several textures and each texture with
several shapes, so neither alone tells the kind; colours are drawn independently of it.
"""

from typing import NamedTuple

SHAPES = ('disc', 'triangle', 'star', 'cross', 'crescent')
TEXTURES = ('stripes', 'checks', 'dots', 'zigzag', 'blobs')


class Kind(NamedTuple):
    """A kind of object: what its outline and its surface look like."""

    shape: str
    texture: str


def _kinds() -> tuple[Kind, ...]:
    """Run along the diagonals of the (shape, texture) table, so that any 5 or 10 are balanced."""
    size = len(SHAPES)
    return tuple(
        Kind(SHAPES[column], TEXTURES[(column + diagonal) % size])
        for diagonal in range(size - 1)
        for column in range(size)
    )


KINDS: tuple[Kind, ...] = _kinds()

# Kind i is called VOC_NAMES[i] in VOC and COCO_NAMES[i] in COCO: the real data sets' names, so that
# their stock readers and configs accept the embedded ones unchanged.
VOC_NAMES = (
    'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow',
    'diningtable', 'dog', 'horse', 'motorbike', 'person', 'pottedplant', 'sheep', 'sofa',
    'train', 'tvmonitor',
)  # fmt: skip
_RENAMED_IN_COCO = {
    'aeroplane': 'airplane',
    'diningtable': 'dining table',
    'motorbike': 'motorcycle',
    'pottedplant': 'potted plant',
    'sofa': 'couch',
    'tvmonitor': 'tv',
}
COCO_NAMES = tuple(_RENAMED_IN_COCO.get(name, name) for name in VOC_NAMES)


def imagenet_folder(label: int) -> str:
    """Class folder of ``label`` in the ImageNet layout; sorting the folders sorts the labels."""
    return f'c{label:02d}_{KINDS[label].shape}_{KINDS[label].texture}'
