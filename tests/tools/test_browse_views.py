"""browse_views.py: what it draws, where, and what it says when it cannot."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image
from torch.utils.data import DataLoader

from clsa_mm.datasets import SeededSampler

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools' / 'analysis_tools' / 'browse_views.py'
CONFIG = ROOT / 'configs' / 'clsa_r50_8xb32_200e.py'

spec = importlib.util.spec_from_file_location('browse_views', TOOL)
browse_views = importlib.util.module_from_spec(spec)
spec.loader.exec_module(browse_views)


@pytest.fixture(autouse=True)
def _keep_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tool set a default scope without changing that of other tests."""
    monkeypatch.setattr(browse_views, 'init_default_scope', lambda scope: None)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images of different sizes, red, green and blue."""
    for channel, (name, size) in enumerate([('a', (300, 200)), ('b', (120, 260)), ('c', (40, 40))]):
        colour = tuple(220 * (c == channel) for c in range(3))
        Image.new('RGB', size, colour).save(tmp_path / f'{name}.png')
    return tmp_path


def run(*arguments: object) -> None:
    browse_views.main([str(a) for a in arguments])


def plain_config(path: Path, folder: Path) -> Path:
    """A config whose views are plain resizes: 32x32 key, 16x16 strong."""
    path.write_text(
        f"""
train_dataloader = dict(dataset=dict(type='RepeatDataset', times=2, dataset=dict(
    type='ImageFolder', data_root={str(folder)!r}, pipeline=[
        dict(type='LoadImage'),
        dict(type='SeededMultiView', num_views=[1, 1], roles=['key', 'strong'], transforms=[
            [dict(type='Resize', scale=(32, 32))], [dict(type='Resize', scale=(16, 16))]]),
        dict(type='PackViews')])))
"""
    )
    return path


def views_config(path: Path, folder: Path) -> Path:
    """A config with the views of CLSA-Single as settings."""
    weak = dict(size=224, area=(0.2, 1.0))
    views = dict(key=weak, weak=weak, strong=dict(size=96, area=(0.086, 0.429), num_ops=5))
    dataset = dict(type='ImageFolder', data_root=str(folder), views=views)
    path.write_text(f'train_dataloader = dict(dataset={dataset!r})')
    return path


def count(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((picture == colour).all(-1).sum())


@pytest.mark.parametrize('zoom', [1, 3])
def test_pictures_of_all_images_stand_in_the_grid(tmp_path: Path, folder: Path, zoom: int) -> None:
    """Of each colour as many pixels as original (shrunk to 32), key and strong view have."""
    config, out = plain_config(tmp_path / 'config.py', folder), tmp_path / 'new' / 'views.png'
    run(config, '--num', 3, '--zoom', zoom, '--out', out)
    picture = np.asarray(Image.open(out))
    views = 32 * 32 + 16 * 16
    assert count(picture, (220, 0, 0)) == (32 * 21 + views) * zoom**2  # 300x200
    assert count(picture, (0, 220, 0)) == (15 * 32 + views) * zoom**2  # 120x260
    assert count(picture, (0, 0, 220)) == (32 * 32 + views) * zoom**2  # 40x40
    assert not (picture[:, -1] == (220, 0, 0)).all(-1).any()  # nothing is cut off


def test_draws_and_num_make_rows(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture) -> None:
    config, out = plain_config(tmp_path / 'config.py', folder), tmp_path / 'views.png'
    run(config, '--num', 2, '--draws', 3, '--out', out)
    assert '6 rows of original, key 32x32, strong 16x16 (zoom 5)' in capsys.readouterr().out
    picture = np.asarray(Image.open(out))
    # Evenly spaced: the first and the last image.
    assert count(picture, (220, 0, 0)) and count(picture, (0, 0, 220))
    assert not count(picture, (0, 220, 0))


def test_views_have_titles_and_sizes(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture) -> None:
    config, out = views_config(tmp_path / 'config.py', folder), tmp_path / 'views.png'
    run(config, '--image', folder / 'a.png', folder / 'b.png', '--out', out)
    titles = '2 rows of original, key 224x224, weak 224x224, strong 96x96 (zoom 1)'
    assert titles in capsys.readouterr().out
    first = out.read_bytes()
    torch.rand(3), np.random.rand()  # draws elsewhere do not matter
    run(config, '--image', folder / 'a.png', folder / 'b.png', '--out', out)
    assert out.read_bytes() == first
    run(config, '--image', folder / 'a.png', folder / 'b.png', '--out', out, '--seed', 1)
    assert out.read_bytes() != first


def test_make_views_in_the_pipeline_shows_the_same(tmp_path: Path, folder: Path) -> None:
    """And transforms before it have their effect: a mirrored image has other views."""
    config = views_config(tmp_path / 'config.py', folder)
    dataset = Config.fromfile(config).train_dataloader.dataset.to_dict()
    views = dataset.pop('views')
    Image.effect_noise((60, 50), 90).convert('RGB').save(folder / 'a.png')
    pictures = []
    for flip in ([], [dict(type='RandomFlip', prob=1.0)]):
        spelt = [dict(type='LoadImage'), *flip, dict(type='MakeViews', views=views), dict(type='PackViews')]
        other = tmp_path / 'other.py'
        other.write_text(f'train_dataloader = dict(dataset={dict(dataset, pipeline=spelt)!r})')
        run(other, '--image', folder / 'a.png', '--out', tmp_path / 'views.png')
        pictures.append((tmp_path / 'views.png').read_bytes())
    run(config, '--image', folder / 'a.png', '--out', tmp_path / 'views.png')
    assert (tmp_path / 'views.png').read_bytes() == pictures[0] != pictures[1]


def test_views_are_those_of_training(tmp_path: Path, folder: Path) -> None:
    """Epoch by epoch the same as the config's dataset and sampler yield in a loader."""
    dataset_cfg = Config.fromfile(views_config(tmp_path / 'config.py', folder)).train_dataloader.dataset
    samples = browse_views.find_samples(dataset_cfg, [], num=3)
    loading, make_views = browse_views.split_pipeline(dataset_cfg)
    _, rows = browse_views.make_rows(samples, loading, make_views, seed=5, draws=2)
    assert [caption for caption, _ in rows][:3] == ['a.png, epoch 0', 'a.png, epoch 1', 'b.png, epoch 0']

    dataset = DATASETS.build(dataset_cfg)
    sampler = SeededSampler(dataset, shuffle=True, seed=5)
    loader = DataLoader(dataset, sampler=sampler, collate_fn=pseudo_collate)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        for batch in loader:
            name = Path(batch['data_samples'][0].img_path).name
            [pictures] = [p for caption, p in rows if caption == f'{name}, epoch {epoch}']
            trained = [view[0] for views in batch['inputs'].values() for view in views]
            for picture, view in zip(pictures[1:], trained, strict=True):
                bgr = view.permute(1, 2, 0).numpy()
                np.testing.assert_array_equal(np.asarray(picture), bgr[..., ::-1])


def test_config_without_views(tmp_path: Path, folder: Path) -> None:
    config = tmp_path / 'config.py'
    config.write_text(
        f"""
train_dataloader = dict(dataset=dict(type='ImageFolder', data_root={str(folder)!r}, pipeline=[
    dict(type='LoadImage'), dict(type='Resize', scale=(32, 32)), dict(type='PackInputs')]))
"""
    )
    with pytest.raises(SystemExit, match='neither `views` nor MakeViews.*pretraining config'):
        run(config, '--out', tmp_path / 'views.png')


def test_missing_image(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match='No such image: .*nothing.png.*Mend the paths'):
        run(CONFIG, '--image', tmp_path / 'nothing.png')


def test_wrong_number(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        run(CONFIG, '--num', 0)
    assert '--num must be at least 1' in capsys.readouterr().err
