import json
import shutil
from pathlib import Path

import pytest
from mmengine.registry import DATASETS, init_default_scope
from published_data import WRITERS, cars, cars_devkit, cifar10, food101, inat18

from clsa_mm.datasets import LAYOUTS, INaturalist2018, check_layout

CLASSES = dict(zip(WRITERS, LAYOUTS, strict=True))


def test_names_are_paired() -> None:
    """The rest of this file relies on the same order of both tables."""
    assert {name.lower()[:3] for name in CLASSES} == {
        'cif', 'foo', 'sun', 'car', 'air', 'voc', 'dtd', 'pet', 'cal', 'flo', 'cub', 'ina',
    }  # fmt: skip
    assert CLASSES['cars'] == 'StanfordCars' and CLASSES['inat18'] == 'INaturalist2018'


@pytest.mark.parametrize('name', WRITERS)
def test_complete_and_incomplete(name: str, tmp_path: Path) -> None:
    """A complete data set passes; without any one of its parts the message names that part."""
    WRITERS[name](tmp_path / 'data')
    check_layout(CLASSES[name], tmp_path / 'data')
    for part in sorted({file.partition('<')[0].rstrip('/') for file in LAYOUTS[CLASSES[name]].files}):
        (tmp_path / 'data' / part).rename(tmp_path / 'away')
        with pytest.raises(FileNotFoundError, match=f'lacks .*{part}'):
            check_layout(CLASSES[name], tmp_path / 'data')
        (tmp_path / 'away').rename(tmp_path / 'data' / part)


def test_message_shows_place_layout_source_and_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        check_layout('Food101', tmp_path / 'food-101')
    message = str(error.value)
    assert f'Food-101: there is no folder {tmp_path}/food-101' in message
    assert f'    {tmp_path}/food-101/\n        images/<class>/<number>.jpg\n        meta/train.txt' in message
    assert 'https://data.vision.ee.ethz.ch' in message and 'data_root' in message


def test_stanford_cars_in_either_form(tmp_path: Path) -> None:
    cars(tmp_path / 'first')
    cars_devkit(tmp_path / 'second')
    check_layout('StanfordCars', tmp_path / 'first')
    check_layout('StanfordCars', tmp_path / 'second')
    shutil.rmtree(tmp_path / 'second' / 'cars_test')
    with pytest.raises(FileNotFoundError, match=r'cars_annos\.mat\n  or\n .*\n .*cars_train/<number>\.jpg'):
        check_layout('StanfordCars', tmp_path / 'second')


def test_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="'Food102' is known, only of CIFAR10, "):
        check_layout('Food102', 'data')


def test_data_set_is_built_with_its_arguments(tmp_path: Path) -> None:
    food101(tmp_path)
    init_default_scope('mmpretrain')
    dataset = DATASETS.build(
        dict(
            type='published_dataset',
            dataset='Food101',
            data_root=str(tmp_path),
            split='test',
            pipeline=[dict(type='LoadImage'), dict(type='PackInputs')],
        )
    )
    assert (type(dataset).__name__, len(dataset), dataset.test_mode) == ('Food101', 4, True)
    assert dataset[0]['inputs'].shape == (3, 40, 48)


def test_other_files_under_the_published_names(tmp_path: Path) -> None:
    """mmpretrain would say that they cannot be found, and without `download=False` fetch them."""
    cifar10(tmp_path)
    init_default_scope('mmpretrain')
    config = dict(
        type='published_dataset', dataset='CIFAR10', data_root=str(tmp_path), split='train', download=False
    )
    with pytest.raises(RuntimeError, match='published names, but CIFAR10 cannot read them.*another version'):
        DATASETS.build(config)


def test_inaturalist_joins_images_and_labels(tmp_path: Path) -> None:
    inat18(tmp_path)
    dataset = INaturalist2018(str(tmp_path), 'train')
    pairs = [(dataset.get_data_info(n)['img_path'], dataset.get_data_info(n)['gt_label']) for n in range(2)]
    assert pairs == [(f'{tmp_path}/train_val2018/Aves/{label}/0.jpg', label) for label in (0, 8141)]
    assert INaturalist2018(str(tmp_path), 'val').test_mode


def test_inaturalist_bad_input(tmp_path: Path) -> None:
    inat18(tmp_path)
    with pytest.raises(ValueError, match="'train' or 'val', got 'test'"):
        INaturalist2018(str(tmp_path), 'test')
    content = json.loads((tmp_path / 'train2018.json').read_text())
    content['annotations'].pop()
    (tmp_path / 'train2018.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r'1 images have no annotation, the first is .*Aves/0/0\.jpg'):
        INaturalist2018(str(tmp_path), 'train')
