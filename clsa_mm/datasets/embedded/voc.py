"""The embedded world in PASCAL VOC's layout, for detection and multi-label classification."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

from clsa_mm.datasets.embedded.crowded_scene import crowded_scene
from clsa_mm.datasets.embedded.kinds import VOC_NAMES
from clsa_mm.datasets.embedded.scene import SceneObject
from clsa_mm.datasets.embedded.target import (
    Progress,
    check_parameters,
    new_folder,
    write_jpeg,
    write_text,
)

_YEARS = {'VOC2007': ('train', 'val', 'test'), 'VOC2012': ('train', 'val')}  # as really published
_STREAMS = {
    ('VOC2007', 'train'): 10, ('VOC2007', 'val'): 11, ('VOC2007', 'test'): 12,
    ('VOC2012', 'train'): 13, ('VOC2012', 'val'): 14,
}  # fmt: skip
_ID_STRIDE = 200_000  # image numbers of one split, so that growing a split renames nothing
_TRUNCATED_BELOW = 0.97
_DIFFICULT_BELOW = 0.6


def generate_voc(
    root: str | PathLike[str],
    num_train: int = 100,
    num_val: int = 100,
    num_test: int = 100,
    image_size: int = 256,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Write ``<root>/VOCdevkit`` with VOC2007 and VOC2012.

    Each year has ``JPEGImages``, ``Annotations`` and ``ImageSets/Main`` with the lists of the
    splits and, per class and split, ``<class>_<split>.txt`` (1 present, -1 absent, 0 only
    difficult objects). As in the real one only VOC2007 has a test split. The objects' kinds bear
    the 20 names of VOC's classes.

    Args:
        root: Folder of the data sets, made if need be.
        num_train: Training images per year, 1 to 200000. 20 hold every class at least once.
        num_val: Validation images per year, likewise.
        num_test: Test images of VOC2007, likewise.
        image_size: Longer side of the images in pixels, at least 32. Stock configs ignore objects
            below 32 pixels, so keep it at about 200 or more for them.
        seed: Two seeds share no image; at least 0.
        overwrite: Replace a generated data set with other parameters.
        progress: Print progress.

    Returns:
        The folder ``<root>/VOCdevkit``. Where it already holds this very data set, nothing is done.

    Raises:
        ValueError: An argument is out of range.
        EmbeddedDataError: The folder is taken; the message names the cause and the remedy.
    """
    counts = {'train': num_train, 'val': num_val, 'test': num_test}
    numbers = {f'num_{split}': count for split, count in counts.items()}
    check_parameters(**numbers, image_size=image_size, seed=seed)
    if max(counts.values()) > _ID_STRIDE:
        raise ValueError(f'num_train, num_val and num_test must be at most {_ID_STRIDE}')
    target = Path(root).expanduser() / 'VOCdevkit'
    parameters = {'layout': 'voc', **numbers, 'image_size': image_size, 'seed': seed}
    with new_folder(target, parameters, overwrite) as folder:
        if folder is not None:
            for year, splits in _YEARS.items():
                total = sum(counts[split] for split in splits)
                bar = Progress(f'{target / year}', total, progress)
                split_counts = {split: counts[split] for split in splits}
                _write_year(folder / year, split_counts, image_size, seed, bar)
    return target


def _write_year(
    folder: Path, counts: Mapping[str, int], image_size: int, seed: int, progress: Progress
) -> None:
    year = folder.name
    for name in ('JPEGImages', 'Annotations', 'ImageSets/Main'):
        (folder / name).mkdir(parents=True)
    presence: dict[str, dict[str, list[int]]] = {}
    for number, (split, count) in enumerate(counts.items()):
        presence[split] = {}
        for index in range(count):
            serial = number * _ID_STRIDE + index + 1
            # The real years' names: 000001 in VOC2007, 2012_000001 in VOC2012.
            name = f'{serial:06d}' if year == 'VOC2007' else f'2012_{serial:06d}'
            image, objects = crowded_scene(seed, _STREAMS[year, split], index, image_size)
            write_jpeg(folder / 'JPEGImages' / f'{name}.jpg', image)
            xml = annotation_xml(year, name, image.shape, objects)
            write_text(folder / 'Annotations' / f'{name}.xml', xml)
            presence[split][name] = _presence(objects)
            progress.step()
    presence['trainval'] = {**presence['train'], **presence['val']}
    for split, images in presence.items():
        main = folder / 'ImageSets' / 'Main'
        write_text(main / f'{split}.txt', ''.join(f'{name}\n' for name in images))
        for label, class_name in enumerate(VOC_NAMES):
            lines = [f'{name} {labels[label]:2d}\n' for name, labels in images.items()]
            write_text(main / f'{class_name}_{split}.txt', ''.join(lines))


def _is_difficult(instance: SceneObject) -> bool:
    return instance.visible < _DIFFICULT_BELOW


def _presence(objects: Sequence[SceneObject]) -> list[int]:
    """Per class 1 if it is present, 0 if all its objects are difficult, -1 if it is absent."""
    presence = [-1] * len(VOC_NAMES)
    for instance in objects:
        found = 0 if _is_difficult(instance) else 1
        presence[instance.kind] = max(presence[instance.kind], found)
    return presence


def annotation_xml(year: str, name: str, shape: tuple[int, ...], objects: Sequence[SceneObject]) -> str:
    """An image's annotation as VOC writes it.

    Args:
        year: The folder's name, ``VOC2007`` or ``VOC2012``.
        name: The image's name without suffix.
        shape: Image height, width and channels.
        objects: The image's objects. Boxes are 1-based and include their last pixel.

    Returns:
        The XML text.
    """
    root = ET.Element('annotation')
    height, width, depth = shape
    _add(root, folder=year, filename=f'{name}.jpg')
    _add(ET.SubElement(root, 'source'), database='embedded picture world', annotation='generated')
    _add(ET.SubElement(root, 'size'), width=width, height=height, depth=depth)
    _add(root, segmented=0)
    for instance in objects:
        node = ET.SubElement(root, 'object')
        _add(
            node,
            name=VOC_NAMES[instance.kind],
            pose='Unspecified',
            truncated=int(instance.visible < _TRUNCATED_BELOW),
            difficult=int(_is_difficult(instance)),
        )
        xmin, ymin, xmax, ymax = (value + 1 for value in instance.box())
        _add(ET.SubElement(node, 'bndbox'), xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax)
    ET.indent(root, space='\t')
    return ET.tostring(root, encoding='unicode') + '\n'


def _add(parent: ET.Element, **fields: str | int) -> None:
    for tag, value in fields.items():
        ET.SubElement(parent, tag).text = str(value)
