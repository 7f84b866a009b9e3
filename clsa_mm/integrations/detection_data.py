"""Checks before a detector is trained or tested that its data are those that the config describes."""

import json
import os
import os.path as osp
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from clsa_mm.datasets.corrupt_files import CorruptImageError
from clsa_mm.datasets.transforms.load_image import LoadImage
from clsa_mm.integrations.plain_xml import read_xml
from clsa_mm.printable import printable

__all__ = ['check_detection_data']

_LARGEST = 2**31  # pixels; mmdet keeps corners as integers of the machine


@dataclass
class _Boxes:
    """What annotation files hold: boxes that count per class name, others, and the first image's path.

    ``ignored`` boxes are difficult or crowd, ``unusable`` ones are left out by mmdet for their size or place.
    """

    per_class: Counter = field(default_factory=Counter)
    ignored: int = 0
    unusable: int = 0
    flat: list[str] = field(default_factory=list)
    image: str | None = None


def check_detection_data(cfg: Config, splits: Sequence[str] = ('train', 'val')) -> None:
    """Read the annotation files of mmdet's VOC- and COCO-format data sets and log what they hold.

    Without this, boxes whose class the config does not name are left out silently, and a run fails deep in
    the framework or reports an AP of 0. Configs of another ``default_scope`` and data sets of other formats
    pass unchecked. Of several processes the first one checks.

    Args:
        cfg: A whole config, as ``Config.fromfile`` returns it.
        splits: Which of ``train``, ``val`` and ``test`` are going to be used.

    Raises:
        FileNotFoundError: If an annotation file or a data set's first image is not there.
        ValueError: If a file is not in its format, or annotations hold classes that are neither in
            ``metainfo.classes`` nor in ``metainfo.ignored_classes``, or no box of the configured classes, or
            (in training) boxes without area that nothing filters, or if a head's ``num_classes`` is not the
            number of classes.
    """
    if cfg.get('default_scope') != 'mmdet' or int(os.environ.get('RANK', os.environ.get('SLURM_PROCID', 0))):
        return
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        for dataset in _leaves(loader.dataset) if loader else ():
            _check_dataset(dataset, split, cfg.model)


def _leaves(dataset: Mapping) -> Iterator[Mapping]:
    """The data sets inside of wrappers."""
    inner = dataset.get('datasets') or ([dataset.dataset] if 'dataset' in dataset else [])
    if not inner:
        yield dataset
    for child in inner:
        yield from _leaves(child)


def _check_dataset(dataset: Mapping, split: str, model: Mapping) -> None:
    from mmdet.datasets import CocoDataset, XMLDataset  # present where the scope is mmdet's

    with DATASETS.switch_scope_and_registry('mmdet') as registry:
        kind = registry.get(dataset.type)
    readers = ((XMLDataset, _read_voc), (CocoDataset, _read_coco))
    reader = next((reader for base, reader in readers if kind and issubclass(kind, base)), None)
    if reader is None:
        return
    source = osp.join(dataset.get('data_root') or '', dataset.ann_file)
    _require(source, f'the {split} annotations')
    metainfo = kind._load_metainfo(dataset.get('metainfo'))
    classes = tuple(metainfo['classes'])
    boxes = reader(dataset, source)
    title = f'{split} data {source}'
    _check_classes(title, boxes, classes, tuple(metainfo.get('ignored_classes', ())))
    if boxes.image:
        _require(boxes.image, f'an image of the {split} data (mmdet reads only .jpg for annotations in .xml)')
    if split == 'train' and boxes.flat:
        raise ValueError(
            f'{title}: {len(boxes.flat)} box(es) without area, the first in {printable(boxes.flat[0])}, '
            'would make the loss NaN. Mend them, or leave them out by filter_cfg=dict(bbox_min_size=1) in '
            'the dataset.'
        )
    _check_heads(model, classes)
    absent = [name for name in classes if not boxes.per_class[name]]
    print_log(
        f'{title}: {_listed(boxes.per_class)}; {boxes.ignored} difficult or crowd'
        + (f'; {boxes.unusable} too small or outside of the image, left out' if boxes.unusable else '')
        + (f'; no box of {", ".join(map(repr, absent))}' if absent else ''),
        logger='current',
    )


def _require(path: str, what: str) -> None:
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'There is no {printable(path)}, {printable(what)}. Put the data there, or change data_root, '
            'ann_file and data_prefix of the dataset.'
        )


def _check_classes(
    title: str, boxes: _Boxes, classes: tuple[str, ...], ignored_classes: tuple[str, ...]
) -> None:
    others = f'{boxes.ignored} difficult or crowd, {boxes.unusable} too small or outside of the image'
    found = (
        f'The annotations have {_listed(boxes.per_class)} ({others}); the config has '
        f'{", ".join(map(repr, classes))}.'
    )
    if len(classes) > 1 and all(len(name) == 1 for name in classes):
        found += f" (One class of several letters needs its comma: classes=('{''.join(classes)}',).)"
    unknown = [name for name in boxes.per_class if name not in (*classes, *ignored_classes)]
    if unknown:
        raise ValueError(
            f'{title}: the config does not know {", ".join(map(repr, unknown))}. {found} Name the classes in '
            'metainfo=dict(classes=(...)) of each dataset and their number in num_classes of the heads; to '
            "leave a class's boxes out, name it in metainfo=dict(classes=(...), ignored_classes=(...))."
        )
    if not any(boxes.per_class[name] for name in classes):
        raise ValueError(
            f'{title}: not one box to learn from or to test on. {found} Give the right ann_file, correct '
            'metainfo=dict(classes=(...)), or look whether the boxes are in pixels.'
        )


def _check_heads(model: Mapping, classes: tuple[str, ...]) -> None:
    for part in ('bbox_head', 'mask_head', 'roi_head'):
        for name, number in _numbers_of_classes(model.get(part), f'model.{part}'):
            if number != len(classes):
                raise ValueError(
                    f'{name}.num_classes is {number}, but the dataset has {len(classes)} classes '
                    f'({", ".join(classes)}): set {name}.num_classes={len(classes)}, or correct metainfo.'
                )


def _numbers_of_classes(node: object, name: str) -> Iterator[tuple[str, int]]:
    if isinstance(node, list | tuple):
        for index, child in enumerate(node):
            yield from _numbers_of_classes(child, f'{name}.{index}')
    elif isinstance(node, Mapping):
        if isinstance(node.get('num_classes'), int):
            yield name, node['num_classes']
        for key, child in node.items():
            yield from _numbers_of_classes(child, f'{name}.{key}')


def _smallest(dataset: Mapping) -> float:
    """The side in pixels below which mmdet's VOC reader leaves out a box, in training only."""
    return 0 if dataset.get('test_mode') else (dataset.get('filter_cfg') or {}).get('bbox_min_size') or 0


def _read_voc(dataset: Mapping, source: str) -> _Boxes:
    folder = osp.join(dataset.get('data_root') or '', dataset.get('data_prefix', {}).get('sub_data_root', ''))
    boxes, smallest = _Boxes(), _smallest(dataset)
    with open(source, encoding='utf-8') as file:
        try:
            names = [line.rstrip('\r\n') for line in file]  # as mmdet reads it, with blanks
        except UnicodeDecodeError as error:
            raise ValueError(f'{source} is no list of names in UTF-8 ({error}): mend it.') from error
    for name in names:
        path = osp.join(folder, dataset.get('ann_subdir', 'Annotations'), f'{name}.xml')
        image = osp.join(folder, dataset.get('img_subdir', 'JPEGImages'), f'{name}.jpg')
        boxes.image = boxes.image or image
        _require(path, f'the annotations of {name} in {source}')
        root = read_xml(path)
        _check_size(root, path, image)
        for item in root.iterfind('object'):
            _count_voc(boxes, item, path, smallest)
    return boxes


def _check_size(root: ET.Element, path: str, image: str) -> None:
    """Refuse a size that mmdet cannot read, and where there is none, an image to measure that it cannot."""
    try:
        if root.find('size') is None:
            LoadImage().transform(dict(img_path=image))
        else:
            for side in ('width', 'height'):
                int(root.findtext(f'size/{side}'))
    except CorruptImageError as error:
        raise ValueError(f'{printable(path)} has no size, and its image cannot be read: {error}.') from error
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'{printable(path)}: its size needs a width and a height in whole pixels ({error}). Mend it.'
        ) from error


def _count_voc(boxes: _Boxes, item: ET.Element, path: str, smallest: float) -> None:
    """Count one object; mmdet reads its corners as integers."""
    try:
        left, top, right, bottom = corners = [
            int(float(item.findtext(f'bndbox/{side}'))) for side in ('xmin', 'ymin', 'xmax', 'ymax')
        ]
        if max(map(abs, corners)) >= _LARGEST:
            raise ValueError(f'a corner lies at {max(corners, key=abs):.3g}')
        difficult = int(item.findtext('difficult') or 0)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f'{printable(path)}: the object {item.findtext("name")!r} needs a bndbox of four numbers, and 0 '
            f'or 1 as difficult ({error}). Mend the file.'
        ) from error
    if difficult:
        boxes.ignored += 1
    elif min(right - left, bottom - top) < smallest:
        boxes.unusable += 1
    else:
        boxes.per_class[item.findtext('name')] += 1
        if right <= left or bottom <= top:
            boxes.flat.append(path)


def _read_coco(dataset: Mapping, source: str) -> _Boxes:
    try:
        with open(source, encoding='utf-8') as file:
            return _count_coco(dataset, json.load(file))
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        reason = f'{type(error).__name__}: {error}'
        raise ValueError(
            f"{source} is not a whole .json file in COCO's format ({printable(reason)}): mend or replace it."
        ) from error


def _count_coco(dataset: Mapping, content: Mapping) -> _Boxes:
    boxes = _Boxes()
    sizes = {image['id']: (image['width'], image['height']) for image in content['images']}
    if content['images']:
        folder = dataset.get('data_prefix', {}).get('img', '')
        boxes.image = osp.join(dataset.get('data_root') or '', folder, content['images'][0]['file_name'])
    names = {category['id']: category['name'] for category in content.get('categories', ())}
    for annotation in content.get('annotations', ()):
        if annotation.get('iscrowd') or annotation.get('ignore'):
            boxes.ignored += 1
        elif not _is_usable(annotation, sizes.get(annotation['image_id'])):
            boxes.unusable += 1
        else:
            category = annotation['category_id']
            boxes.per_class[names.get(category, f'category_id {category}')] += 1
    return boxes


def _is_usable(annotation: Mapping, size: tuple[float, float] | None) -> bool:
    """Whether mmdet's ``CocoDataset`` keeps the box: at least a pixel wide and high, and in its image."""
    if size is None:
        return False
    left, top, width, height = map(float, annotation['bbox'])
    inside = max(0, min(left + width, size[0]) - max(left, 0)) * max(
        0, min(top + height, size[1]) - max(top, 0)
    )
    return inside > 0 and annotation['area'] > 0 and width >= 1 and height >= 1


def _listed(per_class: Counter) -> str:
    counts = ', '.join(f'{name!r} {number}' for name, number in per_class.most_common())
    return f'{per_class.total()} boxes ({counts})' if counts else 'no boxes'
