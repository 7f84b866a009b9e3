"""A part of a data set's classes, with and without labels."""

import hashlib
from pathlib import Path

import pytest
from mmengine.registry import DATASETS, init_default_scope
from published_data import picture, text

from clsa_mm.datasets import CLASS_LISTS, ImageFolder, LabelledFolder

DIGEST = 'd61d354b64beb3ce2c2c9cf04a874298362dc9fcd589e15ee34c5e4592145746'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four classes of two images, one of them nested."""
    for name in ('a', 'b', 'c', 'd'):
        picture(tmp_path / f'train/{name}/1.JPEG')
        picture(tmp_path / f'train/{name}/deeper/2.JPEG')
    return tmp_path


def test_labels_are_places_among_the_chosen(root: Path) -> None:
    init_default_scope('mmpretrain')
    dataset = DATASETS.build(
        dict(type='LabelledFolder', data_root=str(root), data_prefix='train', subfolders=['d', 'b'])
    )
    samples = [dataset.get_data_info(n) for n in range(len(dataset))]
    assert [(sample['img_path'], sample['gt_label']) for sample in samples] == [
        (f'{root}/train/b/1.JPEG', 0),
        (f'{root}/train/b/deeper/2.JPEG', 0),
        (f'{root}/train/d/1.JPEG', 1),
        (f'{root}/train/d/deeper/2.JPEG', 1),
    ]
    assert dataset.CLASSES == ('b', 'd')


def test_image_folder_finds_the_same_images(root: Path) -> None:
    scanned = ImageFolder(str(root), 'train', subfolders=['d', 'b'])
    paths = [scanned.get_data_info(n)['img_path'] for n in range(len(scanned))]
    labelled = LabelledFolder(str(root), 'train', subfolders=['d', 'b'])
    assert sorted(paths) == [labelled.get_data_info(n)['img_path'] for n in range(4)]
    everything = ImageFolder(str(root), 'train')
    order = [everything.get_data_info(n)['img_path'] for n in range(len(everything))]
    assert len(order) == 8 and [path for path in order if path in paths] == paths


def test_image_folder_filters_a_list(root: Path) -> None:
    text(root / 'train.txt', ['a/1.JPEG 0', 'c/deeper/2.JPEG 2', 'ca/1.JPEG 3'])
    dataset = ImageFolder(str(root), 'train', ann_file='train.txt', subfolders=['c'])
    assert [dataset.get_data_info(n)['img_path'] for n in range(len(dataset))] == [
        f'{root}/train/c/deeper/2.JPEG'
    ]


def test_the_published_list() -> None:
    """Digest of HobbitLong/CMC's imagenet100.txt, sorted, a name a line."""
    names = CLASS_LISTS['imagenet100']
    assert len(names) == 100 and list(names) == sorted(names)
    assert names[0] == 'n01558993' and names[-1] == 'n13040303'
    assert hashlib.sha256('\n'.join(names).encode()).hexdigest() == DIGEST


@pytest.mark.parametrize('make', [ImageFolder, LabelledFolder])
def test_missing_folders_and_wrong_names(root: Path, make: type) -> None:
    def build(subfolders: object) -> object:
        return make(data_root=str(root), data_prefix='train', subfolders=subfolders)

    with pytest.raises(
        FileNotFoundError, match='1 of 2 class folders are missing in .*train, the first is e'
    ):
        build(['a', 'e'])
    with pytest.raises(FileNotFoundError, match='100 of 100 class folders .*validation images, too'):
        build('imagenet100')
    with pytest.raises(ValueError, match="subfolders: unknown name 'imagenet10'; did you mean 'imagenet100'"):
        build('imagenet10')
    for names in ([], ['a', 'a']):
        with pytest.raises(ValueError, match='subfolders must be different names, at least one, got'):
            build(names)


def test_a_folder_without_images(root: Path) -> None:
    (root / 'train/e').mkdir()
    with pytest.raises(FileNotFoundError, match='no image in 1 class folders of .*train, the first is e'):
        LabelledFolder(str(root), 'train', subfolders=['a', 'e'])
