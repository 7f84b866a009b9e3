import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from mmpretrain.datasets import Caltech101, categories

SCRIPT = Path(__file__).parents[2] / 'tools/dataset_converters/caltech101_split.py'


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location('caltech101_split', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """All folders of the data set with five (empty) images each, one with nine."""
    for name in categories.CALTECH101_CATEGORIES:
        folder = tmp_path / '101_ObjectCategories' / name
        folder.mkdir(parents=True)
        for number in range(9 if name == 'ant' else 5):
            (folder / f'image_{number:04d}.jpg').touch()
    return tmp_path


def run(tool: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, 'argv', ['caltech101_split.py', *arguments])
    tool.main()


def test_mmpretrain_reads_disjoint_lists(root: Path, tool: ModuleType, monkeypatch) -> None:
    run(tool, monkeypatch, str(root), '--per-class', '3')
    train, test = (Caltech101(str(root), split) for split in ('train', 'test'))
    assert (len(train), len(test)) == (102 * 3, 102 * 2 + 4)
    paths = [{data.get_data_info(n)['img_path'] for n in range(len(data))} for data in (train, test)]
    assert not paths[0] & paths[1]
    assert paths[0] | paths[1] == {str(path) for path in root.rglob('*.jpg')}
    for data in (train, test):
        for sample in map(data.get_data_info, range(len(data))):
            name = Path(sample['img_path']).parent.name
            assert data.metainfo['classes'][sample['gt_label']] == name


def test_the_draw_depends_on_the_seed_alone(root: Path, tool: ModuleType) -> None:
    images = root / '101_ObjectCategories'
    assert tool.split(images, 3, 0) == tool.split(images, 3, 0)
    assert tool.split(images, 3, 0) != tool.split(images, 3, 1)


def test_bad_input(root: Path, tool: ModuleType, monkeypatch, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match='has 5 images, too few to train with 30'):
        run(tool, monkeypatch, str(root))
    assert not (root / 'meta').exists()
    with pytest.raises(SystemExit, match=r'does not exist: unpack 101_ObjectCategories\.tar\.gz'):
        run(tool, monkeypatch, str(tmp_path / 'elsewhere'))


def test_lists_of_another_split_stay(root: Path, tool: ModuleType, monkeypatch) -> None:
    run(tool, monkeypatch, str(root), '--per-class', '3')
    run(tool, monkeypatch, str(root), '--per-class', '3')  # the same again does no harm
    texts = {path: path.read_text() for path in (root / 'meta').iterdir()}
    with pytest.raises(SystemExit, match=r'meta/train\.txt exists and is not what this would write: move'):
        run(tool, monkeypatch, str(root), '--per-class', '3', '--seed', '1')
    assert {path: path.read_text() for path in (root / 'meta').iterdir()} == texts
