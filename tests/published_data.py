"""The data sets of the transfer suite in their published layouts, with some small pictures each."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mmpretrain.datasets import categories
from PIL import Image
from scipy.io import savemat

PER_CLASS = 2
SPLITS = ('train', 'test')


def picture(path: Path, size: tuple[int, int] = (40, 48)) -> None:
    """Write noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(str(path))).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, 'JPEG')


def text(path: Path, lines: list[str]) -> None:
    """Write lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(lines) + '\n')


def cifar10(root: Path) -> None:
    """Python batches of rows of 3072 bytes: red, green, blue."""
    folder = root / 'cifar-10-batches-py'
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in (*(f'data_batch_{n}' for n in range(1, 6)), 'test_batch'):
        content = dict(data=rng.integers(0, 256, (2, 3072), dtype=np.uint8), labels=[0, 9])
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / 'batches.meta').write_bytes(pickle.dumps(dict(label_names=categories.CIFAR10_CATEGORIES)))


def cifar100(root: Path) -> None:
    """As CIFAR-10, with fine labels."""
    folder = root / 'cifar-100-python'
    folder.mkdir(parents=True)
    data = np.zeros((4, 3072), dtype=np.uint8)
    for name in SPLITS:
        (folder / name).write_bytes(pickle.dumps(dict(data=data, fine_labels=[0, 5, 98, 99])))
    (folder / 'meta').write_bytes(pickle.dumps(dict(fine_label_names=categories.CIFAR100_CATEGORIES)))


def food101(root: Path) -> None:
    """Lists of `<class>/<number>` without extension."""
    names = categories.FOOD101_CATEGORIES
    for split, offset in zip(SPLITS, (0, 10), strict=True):
        keys = [f'{names[c]}/{offset + n}' for c in (0, 100) for n in range(PER_CLASS)]
        for key in keys:
            picture(root / 'images' / f'{key}.jpg')
        text(root / f'meta/{split}.txt', keys)


def sun397(root: Path) -> None:
    """Lists of paths with a leading slash; some classes are a folder deeper."""
    for number, split in enumerate(('Training_01', 'Testing_01')):
        paths = [f'/a/abbey/sun_{number}.jpg', f'/a/apse/indoor/sun_{number}.jpg']
        for path in paths:
            picture(root / f'SUN397{path}')
        text(root / f'Partitions/{split}.txt', paths)


def cars(root: Path) -> None:
    """One MATLAB file of structs; labels from 1."""
    names = [f'car_ims/{n:06d}.jpg' for n in range(1, 5)]
    for name in names:
        picture(root / name)
    kinds = [('relative_im_path', object), ('class', np.uint8), ('test', np.uint8)]
    rows = [(name, label, test) for name, label, test in zip(names, (1, 196) * 2, (0, 0, 1, 1), strict=True)]
    savemat(root / 'cars_annos.mat', dict(annotations=np.array([rows], dtype=kinds)))


def cars_devkit(root: Path) -> None:
    """The later form: two folders, two files."""
    kinds = [('class', np.uint8), ('fname', object)]
    (root / 'devkit').mkdir(parents=True)
    for split, name in (('train', 'cars_train_annos'), ('test', 'cars_test_annos_withlabels')):
        rows = [(1, '00001.jpg'), (196, '00002.jpg')]
        for _, file in rows:
            picture(root / f'cars_{split}' / file)
        savemat(root / f'devkit/{name}.mat', dict(annotations=np.array([rows], dtype=kinds)))


def aircraft(root: Path) -> None:
    """Lists of `<number> <variant>`, the variant with spaces."""
    for split, start in (('trainval', 100), ('test', 200)):
        rows = {f'{start}': categories.FGVCAIRCRAFT_CATEGORIES[0], f'{start + 1}': 'A300B4'}
        rows[f'{start + 2}'] = next(name for name in categories.FGVCAIRCRAFT_CATEGORIES if ' ' in name)
        for name in rows:
            picture(root / f'data/images/{name}.jpg')
        text(root / f'data/images_variant_{split}.txt', [' '.join(row) for row in rows.items()])


def voc07(root: Path) -> None:
    """XML annotations; each second picture shows a difficult cat and a dog."""
    objects = [[('person', 0)], [('cat', 1), ('dog', 0)]] * 2
    for number, shown in enumerate(objects, 1):
        picture(root / f'JPEGImages/{number:06d}.jpg')
        entries = [
            f'<object><name>{name}</name><difficult>{difficult}</difficult></object>'
            for name, difficult in shown
        ]
        text(root / f'Annotations/{number:06d}.xml', ['<annotation>', *entries, '</annotation>'])
    text(root / 'ImageSets/Main/trainval.txt', ['000001', '000002'])
    text(root / 'ImageSets/Main/test.txt', ['000003', '000004'])


def dtd(root: Path) -> None:
    """One MATLAB file: names, labels from 1, and 1, 2, 3 for train, val, test."""
    names = [f'{kind}/{kind}_{n:04d}.jpg' for n in range(3) for kind in ('banded', 'zigzagged')]
    for name in names:
        picture(root / 'images' / name)
    images = dict(
        name=np.array([names], dtype=object),
        **{'class': np.array([[1, 47] * 3]), 'set': np.array([[1, 1, 2, 2, 3, 3]])},
    )
    (root / 'imdb').mkdir()
    savemat(root / 'imdb/imdb.mat', dict(images=images))


def pets(root: Path) -> None:
    """Lists of `<name> <class> <species> <breed>`."""
    for split, number in (('trainval', 1), ('test', 2)):
        rows = [f'Abyssinian_{number} 1 1 1', f'yorkshire_terrier_{number} 37 2 25']
        for row in rows:
            picture(root / f'images/{row.split()[0]}.jpg')
        text(root / f'annotations/{split}.txt', rows)


def caltech101(root: Path) -> None:
    """Lists of `<class>/<name> <label>`."""
    for split, number in zip(SPLITS, (1, 2), strict=True):
        names = [f'accordion/image_{number:04d}.jpg', f'yin_yang/image_{number:04d}.jpg']
        for name in names:
            picture(root / '101_ObjectCategories' / name)
        text(root / f'meta/{split}.txt', [f'{names[0]} 5', f'{names[1]} 101'])


def flowers102(root: Path) -> None:
    """Labels of all pictures in one MATLAB file, the numbers of each split in another."""
    for number in range(1, 7):
        picture(root / f'jpg/image_{number:05d}.jpg')
    savemat(root / 'imagelabels.mat', dict(labels=np.array([[1, 102] * 3], dtype=np.uint8)))
    splits = dict(trnid=np.array([[1, 2]]), valid=np.array([[3, 4]]), tstid=np.array([[5, 6]]))
    savemat(root / 'setid.mat', splits)


def cub200(root: Path) -> None:
    """Three lists that share a number from 1."""
    names = [f'{folder}/{n}.jpg' for n in (1, 2) for folder in ('001.Albatross', '200.Yellowthroat')]
    for name in names:
        picture(root / 'images' / name)
    for file, values in (
        ('images', names),
        ('image_class_labels', (1, 200) * 2),
        ('train_test_split', (1, 1, 0, 0)),
    ):
        text(root / f'{file}.txt', [f'{n} {value}' for n, value in enumerate(values, 1)])


def inat18(root: Path) -> None:
    """COCO-like json files."""
    for split, start in (('train', 0), ('val', 10)):
        names = [f'train_val2018/Aves/{label}/{start}.jpg' for label in (0, 8141)]
        for name in names:
            picture(root / name)
        images = [dict(id=start + n, file_name=name) for n, name in enumerate(names)]
        # Not in the images' order: they are joined by their numbers.
        labels = [
            dict(id=0, image_id=start + 1, category_id=8141),
            dict(id=1, image_id=start, category_id=0),
        ]
        (root / f'{split}2018.json').write_text(json.dumps(dict(images=images, annotations=labels)))


WRITERS: dict[str, Callable[[Path], None]] = {
    writer.__name__: writer
    for writer in (
        cifar10, cifar100, food101, sun397, cars, aircraft, voc07, dtd, pets, caltech101, flowers102, cub200,
        inat18,
    )
}  # fmt: skip
