"""What a look at a folder finds, in folders made for it."""

import numpy as np
import pytest
from PIL import Image

from clsa_mm.pretraining.folder import look_at_folder


def save(path, seed: int, size=(80, 60)) -> Image.Image:
    """A picture of smooth noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    picture.save(path)
    return picture


def test_sizes_corrupt_files_and_copies_are_counted(tmp_path):
    for i in range(6):
        save(tmp_path / f'{i}.png', seed=i)
    save(tmp_path / 'deep/large.png', seed=7, size=(300, 200))
    save(tmp_path / 'deep/small.png', seed=8, size=(50, 31))
    save(tmp_path / 'copy.jpg', seed=3)  # recompressed
    save(tmp_path / 'scaled.png', seed=4, size=(160, 120))
    (tmp_path / 'empty.jpg').touch()
    (tmp_path / 'text.jpg').write_text('no picture')
    found = look_at_folder(tmp_path, workers=2)
    assert (found.images, found.looked_at) == (12, 12)
    assert found.bad == {'empty': 1, 'no image': 1}
    assert found.near_duplicates == 2
    # shorter sides 31, 60 (7 times), 120, 200
    assert (found.short_side, found.smallest, found.largest) == (60, 31, 300)


def test_plain_pictures_are_no_copies_of_each_other(tmp_path):
    for i in range(4):
        Image.new('RGB', (64, 64), (60 * i, 0, 0)).save(tmp_path / f'{i}.png')
    assert look_at_folder(tmp_path, workers=1).near_duplicates == 0


def test_of_a_large_folder_a_part_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr('clsa_mm.pretraining.folder._LOOK_AT', 5)
    for i in range(8):
        save(tmp_path / f'{i}.png', seed=i)
    found = look_at_folder(tmp_path, workers=1)
    assert (found.images, found.looked_at) == (8, 5)


def test_a_folder_of_nothing_but_bad_files_is_refused(tmp_path):
    (tmp_path / 'a.jpg').touch()
    with pytest.raises(ValueError, match=r'none of the 1 images looked at can be decoded \(1 empty\)'):
        look_at_folder(tmp_path, workers=1)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / 'a.png').touch()
    with pytest.raises(FileNotFoundError, match='a.png is a file. The nearest folder'):
        look_at_folder(tmp_path / 'a.png', workers=1)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere'):
        look_at_folder(tmp_path / 'nowhere', workers=1)
