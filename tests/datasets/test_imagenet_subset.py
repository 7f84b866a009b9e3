from pathlib import Path

import pytest
from mmengine.registry import DATASETS, init_default_scope
from published_data import picture, text

from clsa_mm.datasets import ImageNetSubset

CLASSES = ('ant', 'bee', 'cat')
WNIDS = ('n00000003', 'n00000001', 'n00000002')  # not in the sorted order


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    """Three classes of two images; the list names one or two of each class."""
    for wnid in WNIDS:
        for number in (7, 8):
            picture(tmp_path / f'train/{wnid}/{wnid}_{number}.JPEG')
    text(tmp_path / 'meta/1percent.txt', [f'{wnid}_8.JPEG' for wnid in WNIDS] + ['n00000002_7.JPEG'])
    return tmp_path


def build(root: Path, subset: str = 'meta/1percent.txt') -> ImageNetSubset:
    """As a config does, with three classes instead of ImageNet's."""
    init_default_scope('mmpretrain')
    return DATASETS.build(
        dict(type='ImageNetSubset', data_root=str(root), subset=subset, metainfo=dict(classes=CLASSES))
    )


def test_folder_and_label_from_the_bare_names(imagenet: Path) -> None:
    (imagenet / 'train/itself').symlink_to(imagenet / 'train/itself')
    dataset = build(imagenet)
    samples = [dataset.get_data_info(n) for n in range(len(dataset))]
    assert [sample['img_path'] for sample in samples] == [
        f'{imagenet}/train/n00000003/n00000003_8.JPEG',
        f'{imagenet}/train/n00000001/n00000001_8.JPEG',
        f'{imagenet}/train/n00000002/n00000002_8.JPEG',
        f'{imagenet}/train/n00000002/n00000002_7.JPEG',
    ]
    assert [sample['gt_label'] for sample in samples] == [2, 0, 1, 1]


def test_labels_are_those_of_the_whole_set(imagenet: Path) -> None:
    """mmpretrain numbers the folders of the training and of the validation set alike."""
    init_default_scope('mmpretrain')
    whole = DATASETS.build(
        dict(type='ImageNet', data_root=str(imagenet), split='train', metainfo=dict(classes=CLASSES))
    )
    labels = {
        Path(sample['img_path']).name: sample['gt_label'] for sample in map(whole.get_data_info, range(6))
    }
    dataset = build(imagenet)
    for sample in map(dataset.get_data_info, range(len(dataset))):
        assert sample['gt_label'] == labels[Path(sample['img_path']).name]


def test_numbers_of_meta_train(imagenet: Path) -> None:
    """Where the whole set is numbered by its list, so is a part of it."""
    numbers = dict(zip(WNIDS, (1, 2, 0), strict=True))
    text(imagenet / 'meta/train.txt', [f'{wnid}/{wnid}_7.JPEG {numbers[wnid]}' for wnid in WNIDS])
    dataset = build(imagenet)
    assert [dataset.get_data_info(n)['gt_label'] for n in range(4)] == [1, 2, 0, 0]


def test_missing_list_says_where_it_comes_from(imagenet: Path) -> None:
    with pytest.raises(
        FileNotFoundError,
        match=r'no list of labelled images .*meta/10percent\.txt\. SimCLR .*google-research/simclr',
    ):
        build(imagenet, 'meta/10percent.txt')


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        (['n00000009_1.JPEG'], "'n00000009_1.JPEG' names no class of .*/train; expected lines such as"),
        (['n00000001/n00000001_7.JPEG 0'], 'names no class .*without folder and label'),
        (['n00000001_7.JPEG', 'n00000001_9.JPEG'], '1 of the 2 images .* the first is .*n00000001_9.JPEG'),
        ([''], 'names no image: download it anew'),
    ],
)
def test_wrong_list(imagenet: Path, lines: list, message: str) -> None:
    text(imagenet / 'meta/1percent.txt', lines)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        build(imagenet)


def test_incomplete_training_set(imagenet: Path) -> None:
    (imagenet / 'train/n00000003').rename(imagenet / 'away')
    with pytest.raises(ValueError, match='has 2 class folders instead of 3'):
        build(imagenet)
    (imagenet / 'train').rename(imagenet / 'gone')
    with pytest.raises(FileNotFoundError, match='no folder .*/train: expected train/<wnid>'):
        build(imagenet)
