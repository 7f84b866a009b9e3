"""The CIFAR converter, on small releases in the official layout."""

import importlib.util
import io
import os
import pickle
import tarfile
from itertools import islice
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[2] / 'tools/dataset_converters/cifar10_to_folder.py'
SHARED = Path(os.environ.get('CLSA_MM_SHARED', SCRIPT.parents[3] / 'shared'))


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location('cifar10_to_folder', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dump(path: Path, content: dict) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))


def release(root: Path, batches: dict[str, int], coarse: bool = False) -> dict[str, np.ndarray]:
    """Write an official layout; return its rows by batch."""
    rng = np.random.default_rng(0)
    root.mkdir(parents=True)
    rows = {}
    kind = b'fine_labels' if coarse else b'labels'
    for name, count in batches.items():
        rows[name] = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
        dump(root / name, {b'data': rows[name], kind: [i % 2 for i in range(count)]})
    if coarse:
        dump(root / 'meta', {b'fine_label_names': [b'apple', b'aquarium_fish']})
    else:
        dump(root / 'batches.meta', {b'label_names': [b'airplane', b'automobile']})
    return rows


CIFAR10 = {**{f'data_batch_{i}': 4 for i in range(1, 6)}, 'test_batch': 4}


def picture_by_loop(row: np.ndarray) -> np.ndarray:
    """The layout as the data set's page tells it: 1024 red, 1024 green, 1024 blue, row-major."""
    picture = np.empty((32, 32, 3), np.uint8)
    for channel in range(3):
        for y in range(32):
            for x in range(32):
                picture[y, x, channel] = row[1024 * channel + 32 * y + x]
    return picture


@pytest.mark.parametrize('packed', [False, True])
def test_cifar10(tool: ModuleType, tmp_path: Path, packed: bool) -> None:
    source = tmp_path / 'cifar-10-batches-py'
    rows = release(source, CIFAR10)
    if packed:
        with tarfile.open(tmp_path / 'cifar-10-python.tar.gz', 'w:gz') as archive:
            archive.add(source, arcname=source.name)
        source = tmp_path / 'cifar-10-python.tar.gz'
    target = tmp_path / 'data' / 'cifar10'
    tool.main([str(source), str(target)])
    found = sorted(str(p.relative_to(target)) for p in target.rglob('*.png'))
    assert found == sorted(
        f'{split}/{name}/{i:05d}.png'
        for split, count in (('train', 10), ('test', 2))
        for name in ('airplane', 'automobile')
        for i in range(count)
    )
    # row 3 of the second batch has label 1; labels 1 before it: 2 of batch 1, 1 of batch 2
    for name, row in (
        ('train/automobile/00003.png', rows['data_batch_2'][3]),
        ('test/airplane/00000.png', rows['test_batch'][0]),
    ):
        np.testing.assert_array_equal(np.asarray(Image.open(target / name)), picture_by_loop(row))


def test_cifar100(tool: ModuleType, tmp_path: Path) -> None:
    rows = release(tmp_path / 'python', {'train': 4, 'test': 2}, coarse=True)
    totals = tool.convert(tmp_path / 'python', tmp_path / 'out')
    assert totals == {'train': 4, 'test': 2}
    picture = np.asarray(Image.open(tmp_path / 'out/train/aquarium_fish/00001.png'))
    np.testing.assert_array_equal(picture, picture_by_loop(rows['train'][3]))


def test_python2_pickle_with_old_numpy_names(tool: ModuleType) -> None:
    # what Python 2 and NumPy 1 wrote: module numpy.core.multiarray, strings as raw bytes
    data = (
        b'\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85'
        b'U\x01b\x87R(K\x01K\x03\x85cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff'
        b'\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x03\x01\x02\xfftbs.'
    )
    assert tool.unpickle(data)[b'data'].tolist() == [1, 2, 255]


def test_archive_of_images(tool: ModuleType, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / 'images.tar', 'w') as archive:
        for i, name in enumerate(['x/train/cat/9.png', 'x/test/cat/a.png', 'x/train/cat/1.png']):
            buffer = io.BytesIO()
            Image.fromarray(np.full((32, 32, 3), i, np.uint8)).save(buffer, 'PNG')
            member = tarfile.TarInfo(name)
            member.size = buffer.tell()
            archive.addfile(member, io.BytesIO(buffer.getvalue()))
    tool.convert(tmp_path / 'images.tar', tmp_path / 'out')
    values = {
        str(p.relative_to(tmp_path / 'out')): np.asarray(Image.open(p)).max()
        for p in (tmp_path / 'out').rglob('*.png')
    }
    expected = {'train/cat/00000.png': 0, 'test/cat/00000.png': 1, 'train/cat/00001.png': 2}
    assert values == expected


def test_real_archive(tool: ModuleType) -> None:
    path = SHARED / 'data/cifar10_jpeg.tar.gz'
    if not path.exists():
        pytest.skip(f'{path} is missing; set CLSA_MM_SHARED to the folder that holds data/')
    samples = list(islice(tool.read_source(path), 20))
    assert len(samples) == 20
    for split, _, picture in samples:
        assert split in ('train', 'test') and picture.size == (32, 32)


class Evil:
    def __reduce__(self) -> tuple:
        return os.system, ('touch /tmp/clsa_mm_cifar_evil',)


def test_pickles_run_no_code(tool: ModuleType, tmp_path: Path) -> None:
    release(tmp_path / 'source', CIFAR10)
    dump(tmp_path / 'source' / 'data_batch_3', {b'data': Evil(), b'labels': []})
    with pytest.raises(SystemExit, match='refused to load .*system'):
        tool.main([str(tmp_path / 'source'), str(tmp_path / 'out')])
    assert not Path('/tmp/clsa_mm_cifar_evil').exists()
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    'name', [b'../../x', b'/tmp/clsa_mm_cifar_x', b'..', b'a/b', b'airplane', b'caf\xe9', 'text', 3]
)
def test_classes_write_nowhere_else(tool: ModuleType, tmp_path: Path, name: object) -> None:
    release(tmp_path / 'deep' / 'source', CIFAR10)
    dump(tmp_path / 'deep' / 'source' / 'batches.meta', {b'label_names': [b'airplane', name]})
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(ValueError, match='batches.meta has classes that cannot be folders of their own'):
        tool.convert(tmp_path / 'deep' / 'source', tmp_path / 'deep' / 'out')
    assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.parametrize('label', [-1, 2])
def test_labels_without_a_class(tool: ModuleType, tmp_path: Path, label: int) -> None:
    release(tmp_path / 'source', CIFAR10)
    dump(tmp_path / 'source' / 'data_batch_2', {b'data': np.zeros((1, 3072), np.uint8), b'labels': [label]})
    with pytest.raises(ValueError, match=f'data_batch_2 has the label {label}, and there are 2 classes'):
        tool.convert(tmp_path / 'source', tmp_path / 'new' / 'out')
    assert [path.name for path in tmp_path.iterdir()] == ['source']  # nothing of the first batch is left


def test_bad_input(tool: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='nothing does not exist'):
        tool.convert(tmp_path / 'nothing', tmp_path / 'out')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='holds neither .*Give cifar-10-python.tar.gz'):
        tool.convert(tmp_path / 'empty', tmp_path / 'out')
    (tmp_path / 'text.tar').write_text('text')
    with pytest.raises(SystemExit, match='error: '):
        tool.main([str(tmp_path / 'text.tar'), str(tmp_path / 'out')])
    release(tmp_path / 'part', {'data_batch_1': 2, 'test_batch': 2})
    with pytest.raises(FileNotFoundError, match='no data_batch_2, .*incomplete'):
        tool.convert(tmp_path / 'part', tmp_path / 'out')


def test_never_writes_over_files(tool: ModuleType, tmp_path: Path) -> None:
    release(tmp_path / 'source', CIFAR10)
    (tmp_path / 'out').mkdir()
    tool.convert(tmp_path / 'source', tmp_path / 'out')  # empty is fine
    with pytest.raises(FileExistsError, match='out is not empty'):
        tool.convert(tmp_path / 'source', tmp_path / 'out')
