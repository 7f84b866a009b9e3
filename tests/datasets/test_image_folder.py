"""ImageFolder: what it finds, and what it does about broken files."""

import gc
import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import datasets as torchvision_datasets

from clsa_mm.datasets import ImageFolder, SeededIndex
from clsa_mm.datasets.image_files import find_images
from clsa_mm.datasets.transforms import CorruptImageError

PIPELINE = [dict(type='LoadImage')]
BROKEN = b'\xff\xd8\xff\xe0 not an image'


@pytest.fixture(scope='module', autouse=True)
def cheap_garbage_collection() -> Iterator[None]:
    """mmengine collects garbage whenever it makes a data set, slow with this many modules."""
    gc.freeze()
    yield
    gc.unfreeze()


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def paths(dataset: ImageFolder, root: Path) -> list[str]:
    found = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
    return [os.path.relpath(path, root) for path in found]


def fill(root: Path, count: int, broken: tuple[int, ...] = ()) -> Path:
    """Images 0.png, 1.png, ... (two digits) whose pixels equal their number; some broken."""
    for i in range(count):
        Image.fromarray(np.full((4, 4, 3), i, np.uint8)).save(root / f'{i:02d}.png')
        if i in broken:
            (root / f'{i:02d}.png').write_bytes(BROKEN)
    return root


def value(sample: dict) -> int:
    """Number of the image that a sample shows."""
    assert sample['img'].min() == sample['img'].max() == int(Path(sample['img_path']).stem)
    return int(sample['img'][0, 0, 0])


def test_registered_in_the_root_registry(tmp_path: Path) -> None:
    touch(tmp_path, 'a.jpg')
    config = dict(type='ImageFolder', data_root=str(tmp_path), pipeline=PIPELINE)
    assert isinstance(DATASETS.build(config), ImageFolder)


def test_flat_and_nested_in_sorted_order(tmp_path: Path) -> None:
    touch(tmp_path, 'b.jpg', 'a/z.jpg', 'a/b/c.png', 'a/a.jpg', 'c/d.jpg', '10.jpg', '9.jpg')
    expected = ['10.jpg', '9.jpg', 'b.jpg', 'a/a.jpg', 'a/z.jpg', 'a/b/c.png', 'c/d.jpg']
    assert paths(ImageFolder(str(tmp_path)), tmp_path) == expected


def test_hash_of_the_list_follows_names_and_no_place(tmp_path: Path) -> None:
    here, there = (touch(tmp_path / name, 'a/z.jpg', '10.jpg') for name in ('here', 'there'))
    expected = hashlib.sha256(b'10.jpg\0a/z.jpg').hexdigest()[:16]
    assert [ImageFolder(str(root), pipeline=PIPELINE).files_hash for root in (here, there)] == [expected] * 2
    touch(there, b'\xff.jpg'.decode(errors='surrogateescape'))
    assert ImageFolder(str(there), pipeline=PIPELINE).files_hash != expected


def test_same_images_as_os_walk(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f'{a}/{b}/{c}.jpg' for a, b, c in rng.integers(0, 9, (100, 3))]
    touch(tmp_path, *names)
    walked = {
        os.path.relpath(os.path.join(folder, file), tmp_path)
        for folder, _, files in os.walk(tmp_path)
        for file in files
    }
    found = paths(ImageFolder(str(tmp_path)), tmp_path)
    assert set(found) == walked and len(found) == len(walked)


def test_imagenet_layout(tmp_path: Path) -> None:
    touch(tmp_path, 'train/n01/n01_1.JPEG', 'train/n02/n02_1.JPEG', 'val/v.JPEG')
    dataset = ImageFolder(data_root=str(tmp_path), data_prefix='train')
    assert paths(dataset, tmp_path) == ['train/n01/n01_1.JPEG', 'train/n02/n02_1.JPEG']


def test_extensions_and_hidden_files(tmp_path: Path) -> None:
    kinds = 'jpg jpeg png bmp tif tiff webp ppm pgm gif avif jp2 JPG JpEg PNG'.split()
    images = [f'{i:02d}.{kind}' for i, kind in enumerate(kinds)]
    touch(tmp_path, *images, 'a.txt', 'jpg', '._a.jpg', '.cache/b.jpg', 'sub/.ipynb/c.png')
    (tmp_path / 'folder.jpg').mkdir()
    assert paths(ImageFolder(str(tmp_path)), tmp_path) == images
    only = ImageFolder(str(tmp_path), extensions=['.TXT'])
    assert paths(only, tmp_path) == ['a.txt']


def test_names_with_blanks_and_other_alphabets(tmp_path: Path) -> None:
    names = ['a b.jpg', 'ß 图.jpg', os.fsdecode(b'\xe9.jpg')]  # the last is no UTF-8
    touch(tmp_path, *names)
    assert paths(ImageFolder(str(tmp_path)), tmp_path) == sorted(names)


def test_labels_are_those_of_torchvision(tmp_path: Path) -> None:
    names = ['dog/2.jpg', 'dog/1.png', 'cat/deep/er/a.jpg', 'cat/b.jpg', 'ape/c.jpg', 'Ox/d.jpg']
    touch(tmp_path, *names, 'cat/notes.txt', '.hidden/x.jpg')
    dataset = ImageFolder(str(tmp_path), labels=True)
    theirs = torchvision_datasets.ImageFolder(str(tmp_path), allow_empty=True)
    shown = [name for name in theirs.classes if not name.startswith('.')]
    assert dataset.metainfo['classes'] == dataset.CLASSES == tuple(shown)
    expected = {os.path.relpath(p, tmp_path): theirs.classes[i] for p, i in theirs.samples}
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    found = {os.path.relpath(info['img_path'], tmp_path): dataset.CLASSES[info['gt_label']] for info in infos}
    assert found == {path: name for path, name in expected.items() if not path.startswith('.')}
    assert dataset.get_subset([0]).CLASSES == dataset.CLASSES
    assert 'gt_label' not in ImageFolder(str(tmp_path)).get_data_info(0)


def test_labels_of_listed_images_and_in_a_given_order(tmp_path: Path) -> None:
    (tmp_path / 'train.txt').write_text('b/2.jpg\na/1.png 17\nb/x/3.jpg\n')
    dataset = ImageFolder(str(tmp_path), ann_file='train.txt', labels=True)
    assert list(dataset.get_gt_labels()) == [1, 0, 1] and dataset.CLASSES == ('a', 'b')
    other = ImageFolder(str(tmp_path), ann_file='train.txt', labels=True, classes=['c', 'b', 'a'])
    assert list(other.get_gt_labels()) == [1, 2, 1] and other.CLASSES == ('c', 'b', 'a')
    with pytest.raises(ValueError, match=r'the folder b is none of the 2 classes of metainfo.classes \(a, c'):
        ImageFolder(str(tmp_path), ann_file='train.txt', labels=True, metainfo=dict(classes=['a', 'c']))


def test_labels_need_a_folder_for_each_class(tmp_path: Path) -> None:
    touch(tmp_path, 'train/a/1.jpg', 'train/b/2.jpg')
    with pytest.raises(
        ValueError, match=f'below {tmp_path} for classes, but all 2 images lie in train: point'
    ):
        ImageFolder(str(tmp_path), labels=True)
    touch(tmp_path, 'train/3.jpg')
    with pytest.raises(ValueError, match='but 1 of 3 images lie in none of them, 3.jpg for one: point data_'):
        ImageFolder(str(tmp_path), data_prefix='train', labels=True)


def test_a_replacement_has_its_own_label(tmp_path: Path) -> None:
    for name in 'ab':
        (tmp_path / name).mkdir()
        fill(tmp_path / name, 2)
    (tmp_path / 'a/00.png').write_bytes(BROKEN)
    dataset = ImageFolder(str(tmp_path), labels=True, pipeline=PIPELINE)
    samples = [dataset[i] for i in range(4)]
    assert samples[0]['img_path'] != str(tmp_path / 'a/00.png')
    for sample in samples:
        assert dataset.CLASSES[sample['gt_label']] == Path(sample['img_path']).parent.name


def test_links(tmp_path: Path) -> None:
    outside = touch(tmp_path / 'outside', 'x.jpg')
    root = touch(tmp_path / 'root', 'a/1.jpg')
    (root / 'a' / 'loop').symlink_to(root)
    (root / 'b').symlink_to(outside)
    (root / 'c').symlink_to(outside)  # seen already
    (root / 'file.jpg').symlink_to(outside / 'x.jpg')
    (root / 'gone.jpg').symlink_to(outside / 'gone.jpg')
    (root / 'itself').symlink_to(root / 'itself')
    (root / 'itself.jpg').symlink_to(root / 'itself.jpg')
    assert paths(ImageFolder(str(root)), root) == ['file.jpg', 'a/1.jpg', 'b/x.jpg']
    others: Counter[str] = Counter()
    starts = ('itself', 'b', 'gone.jpg')
    assert list(find_images(str(root), ('.jpg',), starts, others)) == ['b/x.jpg']
    assert others == {'broken link': 2}


def test_list_of_files(tmp_path: Path) -> None:
    (tmp_path / 'train.txt').write_text('b/2.jpg\n\na 1.png 17\nc.jpg 5\n')
    dataset = ImageFolder(str(tmp_path), data_prefix='train', ann_file='train.txt')
    assert paths(dataset, tmp_path / 'train') == ['b/2.jpg', 'a 1.png', 'c.jpg']


def test_bad_lists(tmp_path: Path) -> None:
    (tmp_path / 'bad.txt').write_text('a.jpg\nimage 3\n')
    with pytest.raises(ValueError, match=r"bad.txt: 'image 3' is no path of an image"):
        ImageFolder(str(tmp_path), ann_file='bad.txt')
    with pytest.raises(FileNotFoundError, match=f'list of images {tmp_path}/no.txt does not'):
        ImageFolder(str(tmp_path), ann_file='no.txt')
    (tmp_path / 'empty.txt').write_text('\n')
    with pytest.raises(FileNotFoundError, match='No images listed'):
        ImageFolder(str(tmp_path), ann_file='empty.txt')


def test_missing_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, 'data/imagenet2012/x')
    monkeypatch.chdir(tmp_path)
    pattern = f'{tmp_path}/data/imagenet/train does not exist.*{tmp_path}/data, .*imagenet2012'
    with pytest.raises(FileNotFoundError, match=pattern):
        ImageFolder('data/imagenet', 'train')


def test_no_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, 'd/a.dcm', 'd/b/c.DCM', 'd/readme', 'd/.hidden.jpg')
    monkeypatch.chdir(tmp_path)
    pattern = rf'No images in or below {tmp_path}/d: .*\.jpeg.*2 x \.dcm, 1 x no extension'
    with pytest.raises(FileNotFoundError, match=pattern):
        ImageFolder('d')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='found instead: nothing'):
        ImageFolder('empty')


def test_remote_back_end(tmp_path: Path) -> None:
    touch(tmp_path, 'b.jpg', 'a/c.png', 'a/.d.png', 'e.txt')

    class Backend(LocalBackend):
        pass

    class Remote(Backend.__mro__[2]):  # BaseStorageBackend: not local, as for cloud storage
        def get(self, filepath: str) -> bytes:
            raise NotImplementedError

        get_text = get

        def join_path(self, path: str, *others: str) -> str:
            return '/'.join((path, *others))

        def list_dir_or_file(self, path: str, **options: bool) -> list[str]:
            return Backend().list_dir_or_file(path.removeprefix('clsa-folder://'), **options)

    register_backend('test-image-folder', Remote, prefixes='clsa-folder', force=True)
    dataset = ImageFolder(data_prefix=f'clsa-folder://{tmp_path}')
    found = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
    assert found == [f'clsa-folder://{tmp_path}/{name}' for name in ('a/c.png', 'b.jpg')]


def test_indices_and_subsets(tmp_path: Path) -> None:
    fill(tmp_path, 6, broken=(1,))
    first = ImageFolder(str(tmp_path), indices=3, pipeline=PIPELINE)
    assert [value(first[i]) for i in (0, 2)] == [0, 2] and len(first) == 3
    assert value(first[1]) in (0, 2)  # replaced by one of the subset
    some = ImageFolder(str(tmp_path), indices=[5, 0], pipeline=PIPELINE)
    assert [value(some[i]) for i in range(2)] == [5, 0]
    subset = ImageFolder(str(tmp_path), pipeline=PIPELINE).get_subset([1, 4])
    assert [value(subset[i]) for i in range(2)] == [4, 4] and subset.num_corrupt == 1
    subset.get_subset_([1])
    assert value(subset[0]) == 4 and subset.num_corrupt == 0


def test_lazy_init(tmp_path: Path) -> None:
    dataset = ImageFolder(str(tmp_path / 'later'), lazy_init=True, pipeline=PIPELINE)
    (tmp_path / 'later').mkdir()
    fill(tmp_path / 'later', 2)
    dataset.full_init()
    assert value(dataset[1]) == 1


def test_replacement_depends_on_the_index_alone(tmp_path: Path) -> None:
    broken = (2, 3, 5, 7)
    fill(tmp_path, 12, broken)
    forward = ImageFolder(str(tmp_path), pipeline=PIPELINE)
    backward = ImageFolder(str(tmp_path), pipeline=PIPELINE)
    np.random.seed(0)
    first = [value(forward[i]) for i in range(12)]
    np.random.seed(1)
    again = [value(forward[i]) for i in range(12)]  # now they are known to be broken
    other = [value(backward[i]) for i in reversed(range(12))][::-1]
    assert first == again == other
    assert all(a == i for i, a in enumerate(first) if i not in broken)
    assert not set(first) & set(broken)
    assert len({first[i] for i in broken}) > 1


def test_replacement_keeps_the_seed_key(tmp_path: Path) -> None:
    dataset = ImageFolder(str(fill(tmp_path, 4, (1,))), pipeline=PIPELINE)
    sample = dataset[SeededIndex(1, (8, 9, 1))]
    assert value(sample) != 1
    assert sample['sample_idx'] == value(sample) and sample['sample_idx'].seed_key == (8, 9, 1)


@pytest.mark.parametrize(
    ('workers', 'context', 'persistent'),
    [(0, None, False), (2, 'fork', False), (2, 'fork', True), (1, 'spawn', True)],
)
def test_a_warning_per_kind_and_a_count_over_workers_and_epochs(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    workers: int,
    context: str | None,
    persistent: bool,
) -> None:
    (tmp_path / 'images').mkdir()
    root = fill(tmp_path / 'images', 10, (2, 6))
    (root / '05.png').write_bytes(b'')
    dataset = ImageFolder(str(root), pipeline=PIPELINE, max_corrupt=3)
    # Forked workers inherit the logger of this process, spawned ones make one that writes to
    # the terminal.
    log = logging.FileHandler(tmp_path / 'log.txt')
    logger = MMLogger.get_current_instance()
    logger.addHandler(log)
    loader = DataLoader(
        dataset,
        batch_size=2,
        num_workers=workers,
        multiprocessing_context=context,
        persistent_workers=persistent,
        collate_fn=pseudo_collate,
    )
    try:
        for _ in range(2):
            assert sum(len(batch['img']) for batch in loader) == 10
            assert dataset.num_corrupt == 3
    finally:
        logger.removeHandler(log)
    output = ''.join(capfd.readouterr()) if context == 'spawn' else (tmp_path / 'log.txt').read_text()
    # Two workers may meet the first of a kind at the same time.
    assert output.count("the first of kind 'empty': ") == output.count('05.png') == 1
    assert 1 <= output.count("the first of kind 'damaged': ") <= (2 if workers == 2 else 1)
    assert '(limit 3, 10 images in all)' in output
    kinds = [(Path(path).name, kind) for path, kind in dataset.corrupt]
    assert kinds == [('02.png', 'damaged'), ('05.png', 'empty'), ('06.png', 'damaged')]


class Errors:
    """Return errors instead of raising them: torch waits for seconds for workers that raised."""

    def __init__(self, dataset: ImageFolder) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> str:
        try:
            self.dataset[index]
        except RuntimeError as error:
            return str(error)
        return ''


@pytest.mark.parametrize('workers', [0, 2])
def test_limit(tmp_path: Path, workers: int) -> None:
    # each of the two workers meets two broken files: fewer than the limit, four together
    dataset = ImageFolder(str(fill(tmp_path, 10, (2, 3, 6, 7))), pipeline=PIPELINE, max_corrupt=3)
    errors = [error for error in DataLoader(Errors(dataset), batch_size=None, num_workers=workers) if error]
    assert errors and dataset.num_corrupt == 4
    assert '4 of 10 images in' in errors[0] and 'limit is 3' in errors[0]
    assert f'{tmp_path}/02.png' in errors[0] and 'raise max_corrupt' in errors[0]


def test_default_limits(tmp_path: Path) -> None:
    fill(tmp_path, 12, tuple(range(11)))
    dataset = ImageFolder(str(tmp_path), pipeline=PIPELINE)
    with pytest.raises(RuntimeError, match='11 of 12 .* limit is 10'):
        for i in range(12):
            dataset[i]
    dataset = ImageFolder(str(tmp_path), pipeline=PIPELINE, indices=3)
    with pytest.raises(RuntimeError, match='3 of 3 images'):  # nothing left to show
        dataset[0]
    with pytest.raises(RuntimeError, match='1 of 12 .* limit is 0'):
        ImageFolder(str(tmp_path), pipeline=PIPELINE, max_corrupt=0)[0]


def test_vanished_file_is_skipped(tmp_path: Path) -> None:
    dataset = ImageFolder(str(fill(tmp_path, 3)), pipeline=PIPELINE)
    (tmp_path / '01.png').unlink()
    assert value(dataset[1]) != 1 and dataset.num_corrupt == 1


def test_test_mode_replaces_nothing(tmp_path: Path) -> None:
    dataset = ImageFolder(str(fill(tmp_path, 3, (1,))), pipeline=PIPELINE, test_mode=True)
    assert value(dataset[2]) == 2
    with pytest.raises(CorruptImageError, match='01.png'):
        dataset[1]


def test_errors_of_transforms_go_through(tmp_path: Path) -> None:
    def bug(results: dict) -> dict:
        raise ValueError('a bug')

    dataset = ImageFolder(str(fill(tmp_path, 3)), pipeline=[*PIPELINE, bug])
    with pytest.raises(ValueError, match='a bug'):
        dataset[0]
    assert dataset.num_corrupt == 0


def test_pipeline_that_drops_samples(tmp_path: Path) -> None:
    def even(results: dict) -> dict | None:
        return results if results['img'][0, 0, 0] % 2 == 0 else None

    dataset = ImageFolder(str(fill(tmp_path, 4)), pipeline=[*PIPELINE, even])
    assert all(value(dataset[i]) % 2 == 0 for i in range(4))
    nothing = ImageFolder(str(tmp_path), pipeline=[lambda results: None], max_refetch=5)
    with pytest.raises(RuntimeError, match='6 images tried in place of number 2'):
        nothing[2]


def test_warning_of_other_ranks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr('clsa_mm.datasets.corrupt_files.get_rank', lambda: 3)
    ImageFolder(str(fill(tmp_path, 3, (1,))), pipeline=PIPELINE)[1]
    assert '[rank 3] Skipped corrupt image 1' in capfd.readouterr().err
