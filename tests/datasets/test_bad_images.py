"""Every kind of bad file: what the loader, the folder, a run and its measurements make of it."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from bad_images import RGB, encoded, odd_images, write_files
from mmengine.dataset import BaseDataset, ConcatDataset, pseudo_collate
from mmengine.registry import init_default_scope
from mmpretrain.datasets import CustomDataset
from PIL import Image
from torch.utils.data import DataLoader

from clsa_mm.datasets import ImageFolder
from clsa_mm.datasets.corrupt_files import KINDS, CorruptFiles, CorruptImageError, kind_of
from clsa_mm.datasets.tolerant import make_tolerant
from clsa_mm.datasets.transforms import LoadImage
from clsa_mm.evaluation.dataloaders import ReadableImages
from clsa_mm.printable import printable

LOAD = [dict(type='LoadImage')]


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], dict[str, str]]:
    folder = tmp_path_factory.mktemp('bad') / 'images'
    return folder, *write_files(folder)


@pytest.mark.parametrize('name', odd_images())
def test_odd_files_load(files: tuple, name: str) -> None:
    image = LoadImage().transform(dict(img_path=str(files[0] / name)))['img']
    assert image.shape == (*odd_images()[name][1], 3)


def test_broken_exif_leaves_the_pixels(files: tuple) -> None:
    path = files[0] / 'broken EXIF.jpg'
    plain = Image.open(path)
    expected = np.asarray(plain.convert('RGB'))[..., ::-1]
    np.testing.assert_array_equal(LoadImage().transform(dict(img_path=str(path)))['img'], expected)


def test_bad_files_have_a_kind_and_a_printable_name(files: tuple) -> None:
    folder, _, kinds = files
    for name, kind in kinds.items():
        with pytest.raises(CorruptImageError) as caught:
            LoadImage().transform(dict(img_path=str(folder / name)))
        assert caught.value.kind == kind, name
        assert printable(name) in str(caught.value) and str(caught.value).isprintable()
    assert {*kinds.values()} == {*KINDS}


@pytest.mark.parametrize(
    ('error', 'kind'),
    [
        (PermissionError(13, 'Permission denied'), 'unreadable'),
        (OSError(5, 'Input/output error'), 'unreadable'),
        (OSError(40, 'Too many levels of symbolic links'), 'missing'),
        (NotADirectoryError(20, 'Not a directory'), 'missing'),
        (OSError('image file is truncated'), 'damaged'),
        (MemoryError(), 'too large'),
        (TypeError('of a plugin'), 'damaged'),
    ],
)
def test_kinds_of_errors(error: Exception, kind: str) -> None:
    assert kind_of(error) == kind


def test_a_file_of_absurd_size_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / 'sparse.jpg', 'wb') as file:
        file.truncate(2**40)
    with pytest.raises(CorruptImageError, match='1099511627776 bytes are more than the 2863311520') as caught:
        LoadImage().transform(dict(img_path=str(tmp_path / 'sparse.jpg')))
    assert caught.value.kind == 'too large'


def test_decoders_are_quiet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """OpenCV's libjpeg and libpng write to the process's stderr, not to Python's."""
    data = bytearray(encoded(Image.fromarray(RGB), 'JPEG'))
    data[len(data) // 2 : len(data) // 2 + 4] = b'\xff\xd9\xff\xd9'
    (tmp_path / 'a.jpg').write_bytes(data)
    LoadImage().transform(dict(img_path=str(tmp_path / 'a.jpg')))
    assert capfd.readouterr().err == ''
    os.write(2, b'still there')
    assert capfd.readouterr().err == 'still there'


@pytest.mark.parametrize('workers', [0, 2])
def test_a_folder_of_all_of_them(files: tuple, workers: int) -> None:
    folder, good, kinds = files
    dataset = ImageFolder(str(folder), pipeline=LOAD, max_corrupt=20)
    scanned = {os.path.relpath(dataset.get_data_info(i)['img_path'], folder) for i in range(len(dataset))}
    left_out = {'dangling.jpg': 'missing', 'circular.jpg': 'missing', 'pipe.jpg': 'no file'}
    assert scanned == {*good, *kinds} - {*left_out}
    assert {Path(path).name: kind for path, kind in dataset.left_out} == left_out
    loader = DataLoader(
        dataset, batch_size=3, num_workers=workers, collate_fn=pseudo_collate, timeout=60 if workers else 0
    )
    for _ in range(2):
        shown = [os.path.relpath(path, folder) for batch in loader for path in batch['img_path']]
        assert len(shown) == len(dataset) and {*shown} == {*good}
    found = {os.path.relpath(path, folder): kind for path, kind in dataset.corrupt}
    assert found == {name: kind for name, kind in kinds.items() if name not in left_out}


def test_a_listed_pipe_does_not_hang(files: tuple) -> None:
    folder, _, _ = files
    (folder.parent / 'list.txt').write_text('pipe.jpg\ndangling.jpg\nfolder.jpg/within.png\n')
    dataset = ImageFolder(data_prefix=str(folder), ann_file=str(folder.parent / 'list.txt'), pipeline=LOAD)
    assert {Path(dataset[i]['img_path']).name for i in range(3)} == {'within.png'}
    assert [kind for _, kind in dataset.corrupt] == ['no file', 'missing']


def test_a_folder_that_cannot_be_listed_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root every folder can be listed, so the system's refusal is played."""
    for name in ('a/1.png', 'b/2.png'):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(RGB).save(tmp_path / name)
    scandir = os.scandir

    def refusing(path: str) -> object:
        if Path(path) == tmp_path / 'a':
            raise PermissionError(13, 'Permission denied', path)
        return scandir(path)

    monkeypatch.setattr(os, 'scandir', refusing)
    dataset = ImageFolder(str(tmp_path), pipeline=LOAD)
    assert len(dataset) == 1 and dataset.left_out == [(str(tmp_path / 'a'), 'unreadable')]
    with pytest.raises(PermissionError):
        ImageFolder(str(tmp_path / 'a'))


def classes(root: Path) -> Path:
    """Two classes of four images; one of each cannot be used."""
    for name in ('cat', 'dog'):
        (root / name).mkdir(parents=True)
        for i in range(4):
            Image.fromarray(RGB).save(root / name / f'{i}.png')
    (root / 'cat/1.png').write_bytes(b'')
    (root / 'dog/2.png').write_bytes(b'text')
    return root


PACK = [dict(type='Resize', scale=16), dict(type='PackInputs')]


@pytest.mark.parametrize('loader', ['LoadImage', 'LoadImageFromFile'])
def test_data_sets_of_other_libraries(tmp_path: Path, loader: str) -> None:
    """In training another image takes its place, in a test a black one with its label."""
    init_default_scope('mmpretrain')
    root = str(classes(tmp_path / 'images'))
    parts = [
        CustomDataset(data_prefix=root, pipeline=[dict(type=loader), *PACK], test_mode=test)
        for test in (False, True)
    ]
    both = ConcatDataset(parts)
    make_tolerant(both)
    make_tolerant(both)
    samples = [both[i] for i in range(16)]
    shown = [Path(sample['data_samples'].img_path).parts[-2:] for sample in samples]
    corrupt = [('cat', '1.png'), ('dog', '2.png')]
    assert not {*corrupt} & {*shown[:8]}
    assert [sample['data_samples'].gt_label.item() for sample in samples[8:]] == [0] * 4 + [1] * 4
    black = [i for i, sample in enumerate(samples[8:]) if not sample['inputs'].any()]
    assert [shown[8 + i] for i in black] == corrupt
    for part in parts:
        assert [Path(path).parts[-2:] for path, _ in part.corrupt] == corrupt


def test_their_limit(tmp_path: Path) -> None:
    init_default_scope('mmpretrain')
    dataset = CustomDataset(data_prefix=str(classes(tmp_path / 'images')), pipeline=[*LOAD, *PACK])
    make_tolerant(dataset, limit=1)
    with pytest.raises(RuntimeError, match=r'2 of 8 images in CustomDataset are corrupt, the limit is 1'):
        for i in range(8):
            dataset[i]


@pytest.mark.parametrize('content', [b'GIF', b''])
def test_what_is_said_of_a_file_is_a_line_that_shows_its_name(tmp_path: Path, content: bytes) -> None:
    """Of the loaders of other libraries, too, in training as in kNN."""
    init_default_scope('mmpretrain')
    name = os.fsdecode(b'\xff\x1b[31m.jpg')
    (classes(tmp_path / 'images') / 'cat' / name).write_bytes(content)
    loader = [dict(type='LoadImageFromFile')]
    dataset = CustomDataset(data_prefix=str(tmp_path / 'images'), pipeline=[*loader, *PACK])
    (place,) = [i for i in range(len(dataset)) if dataset.get_data_info(i)['img_path'].endswith(name)]
    said = ReadableImages(dataset)[place]['unreadable']
    make_tolerant(dataset)
    with pytest.raises(CorruptImageError) as error:
        dataset.prepare_data._prepare(place)
    for text in (said, str(error.value)):
        assert text.isprintable() and r'cat/\udcff\x1b[31m.jpg' in text


def test_their_faults_go_through(tmp_path: Path) -> None:
    def fault(results: dict) -> dict:
        raise ValueError('a fault')

    dataset = BaseDataset(lazy_init=True, pipeline=[fault])
    dataset.load_data_list = lambda: [dict(img_path='a.png')] * 2
    make_tolerant(dataset)
    with pytest.raises(ValueError, match='a fault'):
        dataset[0]
    assert isinstance(dataset.corrupt, CorruptFiles) and not len(dataset.corrupt)


def test_a_pretraining_lists_them(tiny_pretraining: object, tmp_path: Path) -> None:
    """Training with the bad files, kNN on others: the log names the first of a kind, the report all."""
    images = tmp_path / 'images'
    good, kinds = write_files(images)
    labelled = classes(tmp_path / 'labelled')
    cfg = tiny_pretraining(
        **{
            'train_dataloader.dataset.data_root': str(images),
            'train_dataloader.dataset.data_prefix': '',
            'train_dataloader.dataset.max_corrupt': 20,
            'train_dataloader.batch_size': 4,
            'train_dataloader.num_workers': 1,
            'model.queue_len': 8,
            'train_cfg.max_epochs': 1,
        }
    )
    pipeline = [dict(type='LoadImage'), *PACK]
    data = dict(type='LabelledFolder', data_prefix=str(labelled), pipeline=pipeline)
    cfg.default_hooks.knn = dict(
        type='KNNHook', dataset=data, train=dict(), test=dict(), k=2, num_workers=0, batch_size=4
    )
    cfg.dump(tmp_path / 'config.py')
    train = [
        sys.executable,
        'tools/train.py',
        str(tmp_path / 'config.py'),
        '--work-dir',
        str(tmp_path / 'run'),
    ]
    done = subprocess.run(train, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads((tmp_path / 'run/corrupt_files.json').read_text())
    found = {os.path.relpath(path, images): kind for kind, paths in report['train'].items() for path in paths}
    assert found == kinds
    for name in ('kNN train', 'kNN test'):
        assert report[name] == {'empty': [f'{labelled}/cat/1.png'], 'no image': [f'{labelled}/dog/2.png']}
    (log,) = (tmp_path / 'run').rglob('*.log')
    text = log.read_text()
    warned = Counter(re.findall(r"the first of kind '([a-z ]+)'", text))
    assert warned == Counter({*kinds.values()} - {'missing', 'no file'})
    assert f"2 x 'missing' (first: {images}/circular.jpg)" in text and '\x1b[31m' not in text
    assert 'bank of 6 images, 6 tested' in text and 'corrupt_files.json' in text
    assert 'libpng' not in done.stderr and 'Logging error' not in done.stderr
