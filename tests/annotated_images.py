"""Black pictures with boxes, in VOC and COCO format."""

from pathlib import Path

import numpy as np
from mmengine.fileio import dump
from PIL import Image

# (class, difficult, box) of each image.
TRAIN = {
    'a': [('cat', 0, (10, 10, 30, 30)), ('dog', 0, (5, 5, 20, 20)), ('dog', 1, (1, 1, 9, 9))],
    'b': [('cat', 0, (2, 3, 40, 30))],
}
TEST = {'c': [('dog', 0, (10, 12, 30, 33))]}


def write_voc(root: Path, **splits: dict) -> None:
    """JPEGImages, Annotations and a list in ImageSets/Main for each split."""
    for folder in ('JPEGImages', 'Annotations', 'ImageSets/Main'):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for split, images in splits.items():
        (root / f'ImageSets/Main/{split}.txt').write_text(''.join(f'{name}\n' for name in images))
        for name, objects in images.items():
            Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(root / f'JPEGImages/{name}.jpg')
            body = ''.join(
                f'<object><name>{kind}</name><difficult>{difficult}</difficult><bndbox><xmin>{box[0]}</xmin>'
                f'<ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>'
                for kind, difficult, box in objects
            )
            size = '<size><width>64</width><height>48</height><depth>3</depth></size>'
            (root / f'Annotations/{name}.xml').write_text(f'<annotation>{size}{body}</annotation>')


def write_coco(root: Path, split: str, images: dict) -> None:
    """``<split>/`` and ``annotations/<split>.json``, with category ids from 10."""
    kinds = sorted({kind for objects in images.values() for kind, _, _ in objects})
    annotations = []
    (root / split).mkdir(parents=True, exist_ok=True)
    for number, (name, objects) in enumerate(images.items()):
        Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(root / split / f'{name}.jpg')
        for kind, crowd, (x1, y1, x2, y2) in objects:
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=number,
                    category_id=10 + kinds.index(kind),
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                    area=(x2 - x1) * (y2 - y1),
                    iscrowd=crowd,
                )
            )
    content = dict(
        images=[dict(id=i, file_name=f'{name}.jpg', width=64, height=48) for i, name in enumerate(images)],
        annotations=annotations,
        categories=[dict(id=10 + i, name=kind) for i, kind in enumerate(kinds)],
    )
    (root / 'annotations').mkdir(exist_ok=True)
    dump(content, root / 'annotations' / f'{split}.json')
