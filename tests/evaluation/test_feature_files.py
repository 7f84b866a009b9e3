import json
from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_images import TinyModel, loader_config, write_images
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from small_voc import labels_by_xml, make_voc
from torch.utils.data import DataLoader

from clsa_mm.evaluation import extract_features, load_features, save_features
from clsa_mm.evaluation.dataloaders import build_in_order
from clsa_mm.evaluation.feature_files import check_same_source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    init_default_scope('mmpretrain')
    return write_images(tmp_path / 'images', per_class=3)


def build_loader(config: dict, **changes) -> DataLoader:
    return Runner.build_dataloader(
        dict(config, sampler=dict(type='DefaultSampler', shuffle=False), **changes)
    )


def test_written_and_read_are_those_in_memory(folder: Path, tmp_path: Path) -> None:
    model, loader = TinyModel(), build_loader(loader_config(folder))
    out = save_features(model, loader, tmp_path / 'deep' / 'features', dict(split='train'))
    features, labels = extract_features(model, loader)
    read = load_features(out)
    assert isinstance(read.features, np.memmap) and not read.features.flags.writeable
    assert read.features.dtype == np.float32 and read.labels.dtype == np.int64
    np.testing.assert_array_equal(read.features, features.numpy())
    np.testing.assert_array_equal(np.load(out / 'features.npy'), features.numpy())
    assert read.labels.tolist() == labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [Path(path).parent.name for path in read.paths] == ['blue'] * 3 + ['green'] * 3 + ['red'] * 3
    assert read.meta['classes'] == ['blue', 'green', 'red'] and read.num_classes == 3
    assert (read.meta['split'], read.meta['images'], read.meta['dimensions']) == ('train', 9, 64)
    assert [path.name for path in (tmp_path / 'deep').iterdir()] == ['features']


def test_several_labels_and_difficult_ones(tmp_path: Path) -> None:
    init_default_scope('mmpretrain')
    root = make_voc(tmp_path, num_train=20, num_val=1, num_test=1)
    steps = [dict(type='LoadImage'), dict(type='Resize', scale=(32, 32))]
    pack = dict(type='PackInputs', meta_keys=('img_path', 'gt_label_difficult'))
    dataset = dict(type='VOC', data_root=str(root), split='train', pipeline=[*steps, pack])
    read = load_features(
        save_features(
            TinyModel(), build_loader(dict(batch_size=8, num_workers=0, dataset=dataset)), tmp_path / 'f'
        )
    )
    assert read.labels.shape == (20, 20) and read.meta['labels'] == 'multi'
    np.testing.assert_array_equal(read.labels, labels_by_xml(root, 'train', read.meta['classes']))
    assert (read.labels == -1).any() and (read.labels.astype(int).clip(0).sum(1) > 1).any()
    dataset['pipeline'][-1] = dict(type='PackInputs')
    with pytest.raises(ValueError, match='gt_label_difficult'):
        save_features(
            TinyModel(), build_loader(dict(batch_size=8, num_workers=0, dataset=dataset)), tmp_path / 'g'
        )


def test_images_without_labels(folder: Path, tmp_path: Path) -> None:
    config = loader_config(folder)
    config['dataset'] |= dict(type='ImageFolder', test_mode=True)
    model = TinyModel()
    read = load_features(save_features(model, build_loader(config), tmp_path / 'features'))
    features, _ = extract_features(model, build_loader(loader_config(folder)))
    assert read.labels is None and read.meta['classes'] is None and len(read.paths) == 9
    np.testing.assert_array_equal(read.features, features.numpy())
    with pytest.raises(ValueError, match='kind `none`'):
        check_same_source(read, read)


@pytest.mark.parametrize('loader', ['LoadImage', 'LoadImageFromFile'])
def test_images_that_cannot_be_read(folder: Path, tmp_path: Path, loader: str) -> None:
    """Features, labels and paths are those of the others; a whole batch is broken, and the last image."""
    names = ['blue/1.png', 'green/1.png', 'green/2.png', 'red/0.png', 'red/2.png']
    for path in (folder / name for name in names):
        path.write_bytes(path.read_bytes()[:60])
    config = loader_config(folder, batch_size=2)
    config['dataset']['pipeline'][0]['type'] = loader
    model = TinyModel()
    read = load_features(save_features(model, build_in_order(config), tmp_path / 'features'))
    for path in (folder / name for name in names):
        path.unlink()
    features, labels = extract_features(model, build_in_order(config))
    np.testing.assert_allclose(read.features, features.numpy(), rtol=1e-5, atol=1e-6)
    assert read.labels.tolist() == labels.tolist() == [0, 0, 1, 2]
    assert read.paths == sorted(map(str, folder.rglob('*.png')))
    assert (read.meta['images'], read.meta['unreadable']) == (4, 5)


def test_no_image_can_be_read(folder: Path, tmp_path: Path) -> None:
    for path in folder.rglob('*.png'):
        path.write_bytes(b'')
    message = r'None of the 9 images can be read. One of them: empty: .*0\.png'
    with pytest.raises(ValueError, match=message):
        save_features(TinyModel(), build_in_order(loader_config(folder)), tmp_path / 'features')
    assert not (tmp_path / 'features').exists()


def test_nothing_is_left_of_a_failure(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    with pytest.raises(ValueError, match='8 of 9 images'):
        save_features(TinyModel(), build_loader(loader_config(folder), drop_last=True), out / 'train')
    assert not out.exists()


def test_a_folder_that_exists_is_kept(folder: Path, tmp_path: Path) -> None:
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'note.txt').write_text('keep')
    with pytest.raises(FileExistsError, match='another folder'):
        save_features(TinyModel(), build_loader(loader_config(folder)), tmp_path / 'mine')
    assert (tmp_path / 'mine' / 'note.txt').read_text() == 'keep'


def test_wrong_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='extract_features.py --out .*takes the folder of one split'):
        load_features(tmp_path)
    out = save_features(
        TinyModel(), build_loader(loader_config(folder)), tmp_path / 'a', dict(checkpoint_sha256='1')
    )
    other = save_features(
        TinyModel(), build_loader(loader_config(folder)), tmp_path / 'b', dict(checkpoint_sha256='2')
    )
    with pytest.raises(ValueError, match='differ in `checkpoint_sha256`.*one command'):
        check_same_source(load_features(out), load_features(other))
    with pytest.raises(ValueError, match='`single`, and `multi` is needed'):
        check_same_source(load_features(out), load_features(out), labels='multi')
    meta = json.loads((out / 'meta.json').read_text())
    (out / 'meta.json').write_text(json.dumps(dict(meta, images=8)))
    with pytest.raises(ValueError, match='do not belong together'):
        load_features(out)


def test_labels_are_checked(folder: Path, tmp_path: Path) -> None:
    """A failure of one label ends in an error, and not in shifted rows."""
    loader = build_loader(loader_config(folder))
    loader.dataset.full_init()
    loader.dataset.pipeline.transforms[-1] = DropLastLabel(loader.dataset.pipeline.transforms[-1])
    with pytest.raises(ValueError, match='one class label per image'):
        save_features(TinyModel(), loader, tmp_path / 'features')


class DropLastLabel:
    def __init__(self, pack) -> None:
        self.pack = pack

    def __call__(self, results: dict) -> dict:
        packed = self.pack(results)
        if results['sample_idx'] == 8:
            del packed['data_samples'].gt_label
        assert isinstance(packed['inputs'], torch.Tensor)
        return packed
