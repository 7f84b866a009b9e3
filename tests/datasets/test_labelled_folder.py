"""LabelledFolder: a class for each folder, whatever links lie there."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from mmpretrain.datasets import CustomDataset
from PIL import Image
from torchvision.datasets import ImageFolder as TorchvisionFolder

from clsa_mm.datasets import LabelledFolder
from clsa_mm.engine.settings import load_config
from clsa_mm.evaluation.dataloaders import find_hook

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, one of them nested."""
    for name in ('dog/2.png', 'cat/1.jpg', 'cat/Siamese/3.webp', 'cat/10.png', 'dog/a b.JPEG'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / name)
    return tmp_path


def listed(dataset: CustomDataset, root: Path) -> list[tuple[str, int]]:
    infos = map(dataset.get_data_info, range(len(dataset)))
    return [(str(Path(info['img_path']).relative_to(root)), info['gt_label']) for info in infos]


def link_to_itself(folder: Path) -> None:
    for name in ('itself', 'itself.png'):
        (folder / name).symlink_to(folder / name)


def test_same_images_and_classes_as_torchvision(root: Path) -> None:
    expected = TorchvisionFolder(str(root))
    dataset = LabelledFolder(str(root))
    assert dataset.metainfo['classes'] == tuple(expected.classes) == ('cat', 'dog')
    expected = [(str(Path(path).relative_to(root)), label) for path, label in expected.samples]
    assert sorted(listed(dataset, root)) == sorted(expected) and len(expected) == 5


def test_same_order_as_mmpretrain(root: Path) -> None:
    """A run's samples stay what they were."""
    extensions = ('.jpg', '.jpeg', '.png', '.webp')
    expected = CustomDataset(str(root), extensions=extensions)
    assert listed(LabelledFolder(str(root)), root) == listed(expected, root)


def test_links(root: Path) -> None:
    before = listed(LabelledFolder(str(root)), root)
    link_to_itself(root)
    link_to_itself(root / 'cat')
    for folder in (root, root / 'cat'):
        (folder / 'around').symlink_to(root)
    (root / 'dog' / 'gone.png').symlink_to(root / 'gone.png')
    (root / '.hidden').mkdir()
    with pytest.raises(OSError, match='Too many levels of symbolic links'):
        CustomDataset(str(root))
    assert listed(LabelledFolder(str(root)), root) == before
    (root / 'fox').symlink_to(root / 'cat' / 'Siamese')
    assert listed(LabelledFolder(str(root)), root)[-1] == ('fox/3.webp', 2)


@pytest.mark.parametrize(
    'name',
    [
        'embedded/clsa_r18_1xb64_24e_embedded.py',
        'cifar10/clsa_r18_1xb256_200e_cifar10.py',
        'benchmarks/classification/linear_r18_1xb64_15e_embedded.py',
        'benchmarks/classification/linear_r18_1xb256_100e_cifar10.py',
    ],
)
def test_knn_and_linear_evaluation_read_them(name: str, image_root: Path, tmp_path: Path) -> None:
    for split in ('train', 'test', 'val'):
        (tmp_path / split).mkdir()
        link_to_itself(tmp_path / split)
        (tmp_path / split / 'circle').symlink_to(image_root / 'test' / 'circle')
    cfg: Config = load_config(CONFIGS / name, {'train_dataloader.dataset.data_root': str(tmp_path)})
    init_default_scope('mmpretrain')
    hook = find_hook(cfg, 'KNNHook')
    splits = ('train', 'test') if hook else ('train', 'val', 'test')
    for split in splits:
        data = hook.dataset | hook[split] if hook else cfg[f'{split}_dataloader'].dataset
        dataset = DATASETS.build(data)
        assert len(dataset) == 8 and dataset.metainfo['classes'] == ('circle',)


def test_a_list_in_place_of_the_search(root: Path) -> None:
    (root / 'list.txt').write_text('dog/2.png 1\ncat/1.jpg 0\n')
    assert listed(LabelledFolder(str(root), ann_file='list.txt'), root) == [
        ('dog/2.png', 1),
        ('cat/1.jpg', 0),
    ]


def test_errors(root: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f'folder {root}/train does not exist.*holds: cat, dog.*Mend'):
        LabelledFolder(str(root), 'train')
    with pytest.raises(ValueError, match='has 2 folders and metainfo names 3 classes'):
        LabelledFolder(str(root), metainfo=dict(classes=('a', 'b', 'c')))
    with pytest.raises(
        FileNotFoundError, match='No images in the folders of .*each class: cat, dog. An image'
    ):
        LabelledFolder(str(root), extensions=['.dcm'])
    with pytest.raises(FileNotFoundError, match='each class: there is none'):
        LabelledFolder(str(root / 'dog'))
