"""The embedded world in COCO's layout, for detection and instance segmentation."""

import json
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from clsa_mm.datasets.embedded.coco_categories import COCO_CATEGORIES
from clsa_mm.datasets.embedded.crowded_scene import crowded_scene
from clsa_mm.datasets.embedded.kinds import COCO_NAMES
from clsa_mm.datasets.embedded.scene import SceneObject
from clsa_mm.datasets.embedded.shapes import polygon_area
from clsa_mm.datasets.embedded.target import (
    Progress,
    check_parameters,
    new_folder,
    write_jpeg,
    write_text,
)

_STREAMS = {'train2017': 20, 'val2017': 21}
_ID_STRIDE = 1_000_000  # image ids of one split: unique across splits, stable when a split grows
_CATEGORY_IDS = {category['name']: category['id'] for category in COCO_CATEGORIES}


def generate_coco(
    root: str | PathLike[str],
    num_train: int = 200,
    num_val: int = 100,
    image_size: int = 256,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Write ``<root>/coco`` with ``train2017``, ``val2017`` and their instance annotations.

    The annotation files list COCO's 80 categories with their own ids; the objects' kinds bear the
    names of 20 of them (those of VOC's classes).

    Args:
        root: Folder of the data sets, made if need be.
        num_train: Training images, 1 to 1000000. 20 hold every kind at least once.
        num_val: Validation images, likewise.
        image_size: Longer side of the images in pixels, at least 32.
        seed: Two seeds share no image; at least 0.
        overwrite: Replace a generated data set with other parameters.
        progress: Print progress.

    Returns:
        The folder ``<root>/coco``. Where it already holds this very data set, nothing is done.

    Raises:
        ValueError: An argument is out of range.
        EmbeddedDataError: The folder is taken; the message names the cause and the remedy.
    """
    numbers = {'num_train': num_train, 'num_val': num_val}
    check_parameters(**numbers, image_size=image_size, seed=seed)
    if max(numbers.values()) > _ID_STRIDE:
        raise ValueError(f'num_train and num_val must be at most {_ID_STRIDE}')
    target = Path(root).expanduser() / 'coco'
    parameters = {'layout': 'coco', **numbers, 'image_size': image_size, 'seed': seed}
    with new_folder(target, parameters, overwrite) as folder:
        if folder is not None:
            for number, split in enumerate(_STREAMS):
                count = num_train if split == 'train2017' else num_val
                bar = Progress(f'{target} {split}', count, progress)
                _write_split(folder, split, number * _ID_STRIDE, count, image_size, seed, bar)
    return target


def _write_split(
    folder: Path,
    split: str,
    first_id: int,
    count: int,
    image_size: int,
    seed: int,
    progress: Progress,
) -> None:
    (folder / split).mkdir()
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for index in range(count):
        image_id = first_id + index + 1
        image, objects = crowded_scene(seed, _STREAMS[split], index, image_size)
        name = f'{image_id:012d}.jpg'
        write_jpeg(folder / split / name, image)
        height, width = image.shape[:2]
        images.append(dict(id=image_id, file_name=name, height=height, width=width, license=1))
        annotations += image_annotations(image_id, objects)
        progress.step()
    content = dict(
        info=dict(description='embedded picture world', version='1.0', year=2017),
        licenses=[dict(id=1, name='generated', url='')],
        images=images,
        annotations=annotations,
        categories=list(COCO_CATEGORIES),
    )
    write_text(folder / 'annotations' / f'instances_{split}.json', json.dumps(content) + '\n')


def image_annotations(image_id: int, objects: Sequence[SceneObject]) -> list[dict[str, object]]:
    """An image's objects as COCO's instance annotations.

    Args:
        image_id: The image's id; the annotations' ids are made from it, 100 for each image.
        objects: The image's objects, at most 100.

    Returns:
        One dict per object. The box ``[x, y, width, height]`` and the area are the polygon's.
    """
    annotations = []
    for number, instance in enumerate(objects):
        polygon = instance.polygon.round(2)
        low, high = polygon.min(axis=0), polygon.max(axis=0)
        annotations.append(
            dict(
                id=image_id * 100 + number,
                image_id=image_id,
                category_id=_CATEGORY_IDS[COCO_NAMES[instance.kind]],
                segmentation=[polygon.ravel().tolist()],
                area=round(polygon_area(polygon), 2),
                bbox=[*low.tolist(), *(high - low).round(2).tolist()],
                iscrowd=0,
            )
        )
    return annotations
