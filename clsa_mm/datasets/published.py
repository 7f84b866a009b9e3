"""Published data sets: how each is laid out on disk, checked before a run starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.registry import DATASETS
from torch.utils.data import Dataset


@dataclass(frozen=True)
class Layout:
    """The files of a published data set, below its root.

    Attributes:
        title: Its usual name.
        source: Where it comes from.
        files: Paths relative to the root. A part in angle brackets stands for many names: there the
            folder above it has to exist.
        alternative: A second published form, if there is one.
    """

    title: str
    source: str
    files: tuple[str, ...]
    alternative: tuple[str, ...] = ()

    def missing(self, root: Path) -> list[str]:
        """What of ``files`` is not there; nothing if all of ``alternative`` is.

        Args:
            root: The data set's folder.
        """
        if self.alternative and not _missing(root, self.alternative):
            return []
        return _missing(root, self.files)


def _missing(root: Path, files: Sequence[str]) -> list[str]:
    return [name for name in files if not (root / name.partition('<')[0]).exists()]


LAYOUTS = {
    'CIFAR10': Layout(
        'CIFAR-10',
        'https://www.cs.toronto.edu/~kriz/cifar.html (python version)',
        tuple(
            f'cifar-10-batches-py/{name}'
            for name in (*(f'data_batch_{n}' for n in range(1, 6)), 'test_batch', 'batches.meta')
        ),
    ),
    'CIFAR100': Layout(
        'CIFAR-100',
        'https://www.cs.toronto.edu/~kriz/cifar.html (python version)',
        tuple(f'cifar-100-python/{name}' for name in ('train', 'test', 'meta')),
    ),
    'Food101': Layout(
        'Food-101',
        'https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/',
        ('images/<class>/<number>.jpg', 'meta/train.txt', 'meta/test.txt'),
    ),
    'SUN397': Layout(
        'SUN397',
        'https://vision.princeton.edu/projects/2010/SUN/ (images, and Partitions.zip)',
        (
            'SUN397/<letter>/<class>/<name>.jpg',
            'Partitions/Training_01.txt',
            'Partitions/Testing_01.txt',
        ),
    ),
    'StanfordCars': Layout(
        'Stanford Cars',
        'https://ai.stanford.edu/~jkrause/cars/car_dataset.html',
        ('car_ims/<number>.jpg', 'cars_annos.mat'),
        alternative=(
            'cars_train/<number>.jpg',
            'cars_test/<number>.jpg',
            'devkit/cars_train_annos.mat',
            'devkit/cars_test_annos_withlabels.mat',
        ),
    ),
    'FGVCAircraft': Layout(
        'FGVC-Aircraft',
        'https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/',
        (
            'data/images/<number>.jpg',
            'data/images_variant_trainval.txt',
            'data/images_variant_test.txt',
        ),
    ),
    'VOC': Layout(
        'PASCAL VOC 2007',
        'http://host.robots.ox.ac.uk/pascal/VOC/voc2007/ (trainval and test, in one folder)',
        (
            'JPEGImages/<number>.jpg',
            'Annotations/<number>.xml',
            'ImageSets/Main/trainval.txt',
            'ImageSets/Main/test.txt',
        ),
    ),
    'DTD': Layout(
        'Describable Textures (DTD)',
        'https://www.robots.ox.ac.uk/~vgg/data/dtd/',
        ('images/<class>/<name>.jpg', 'imdb/imdb.mat'),
    ),
    'OxfordIIITPet': Layout(
        'Oxford-IIIT Pets',
        'https://www.robots.ox.ac.uk/~vgg/data/pets/',
        ('images/<name>.jpg', 'annotations/trainval.txt', 'annotations/test.txt'),
    ),
    'Caltech101': Layout(
        'Caltech-101',
        'https://data.caltech.edu/records/mzrjq-6wc02; tools/dataset_converters/caltech101_split.py '
        'writes meta/',
        ('101_ObjectCategories/<class>/<name>.jpg', 'meta/train.txt', 'meta/test.txt'),
    ),
    'Flowers102': Layout(
        'Oxford Flowers-102',
        'https://www.robots.ox.ac.uk/~vgg/data/flowers/102/',
        ('jpg/<name>.jpg', 'imagelabels.mat', 'setid.mat'),
    ),
    'CUB': Layout(
        'Caltech-UCSD Birds (CUB-200-2011)',
        'https://www.vision.caltech.edu/datasets/cub_200_2011/',
        (
            'images/<class>/<name>.jpg',
            'images.txt',
            'image_class_labels.txt',
            'train_test_split.txt',
        ),
    ),
    'INaturalist2018': Layout(
        'iNaturalist 2018',
        'https://github.com/visipedia/inat_comp/tree/master/2018',
        ('train_val2018/<group>/<class>/<name>.jpg', 'train2018.json', 'val2018.json'),
    ),
}


def check_layout(dataset: str, data_root: str | Path) -> None:
    """See that a published data set is where a config expects it.

    Args:
        dataset: Registered name of its class, a key of ``LAYOUTS``.
        data_root: Its folder.

    Raises:
        ValueError: If there is no layout of that name.
        FileNotFoundError: If something is missing; the message shows what, the whole layout and where
            the data set comes from.
    """
    if dataset not in LAYOUTS:
        raise ValueError(f'no layout of a data set {dataset!r} is known, only of {", ".join(LAYOUTS)}')
    layout, root = LAYOUTS[dataset], Path(data_root).expanduser()
    missing = layout.missing(root)
    if not missing:
        return
    found = f'{root.absolute()} lacks {", ".join(missing)}'
    if not root.exists():
        found = f'there is no folder {root.absolute()}'
    forms = [_tree(root, files) for files in (layout.files, layout.alternative) if files]
    raise FileNotFoundError(
        f'{layout.title}: {found}. Expected, as published ({layout.source}):\n'
        + '\n  or\n'.join(forms)
        + '\nMove or link the data set there, or change data_root of the train, val and test data sets.'
    )


def _tree(root: Path, files: Sequence[str]) -> str:
    return '\n'.join((f'    {root}/', *(f'        {name}' for name in files)))


@DATASETS.register_module()
def published_dataset(dataset: str, data_root: str, **options: object) -> Dataset:
    """Build one of the data sets of ``LAYOUTS`` after a look at its files.

    A data set class alone fails at the first file that it misses, with that file's path at best. In a
    config: ``dict(type='published_dataset', dataset='Food101', data_root='data/food-101', ...)``.

    Args:
        dataset: Registered name of the class.
        data_root: Its folder.
        **options: The class's other arguments.

    Returns:
        The data set.

    Raises:
        FileNotFoundError: As :func:`check_layout`.
        RuntimeError: If the files are there and the class cannot read them.
    """
    check_layout(dataset, data_root)
    config = dict(type=dataset, data_root=str(Path(data_root).expanduser()), **options)
    try:
        return DATASETS.build(config)
    except (AssertionError, KeyError, IndexError, OSError, RuntimeError, ValueError) as error:
        layout = LAYOUTS[dataset]
        raise RuntimeError(
            f'{layout.title}: the files below {data_root} have the published names, but {dataset} cannot '
            f'read them ({type(error).__name__}: {error}). They may be damaged or of another version: '
            f'fetch them anew from {layout.source}.'
        ) from error
