"""A small run of tests/fuzz_images.py, and that it would find what it looks for."""

import os
from pathlib import Path

import pytest
from fuzz_images import damaged, fields, fuzz, mend_checksums, whole_files

from clsa_mm.datasets.transforms import LoadImage


def test_damaged_files_are_decoded_or_refused(tmp_path: Path) -> None:
    found, bad = fuzz(range(300), seed=1, workers=1, timeout=30.0, out=tmp_path)
    assert not bad and not [*tmp_path.iterdir()]
    found.pop(('any', 'slow'))
    assert found.total() == 300 and {kind for kind, _ in found} == {'JPEG', 'PNG', 'WEBP', 'TIFF', 'GIF'}
    results = {result for _, result in found}
    assert (
        {'decoded', 'damaged', 'no image'}
        <= results
        <= {'decoded', 'damaged', 'no image', 'too large', 'empty'}
    )


def test_the_same_number_is_the_same_file() -> None:
    assert damaged(7, 0) == damaged(7, 0) != damaged(8, 0)


@pytest.mark.parametrize('index', range(0, len(whole_files()) // 2, 3))
def test_whole_files_load_and_have_fields(index: int, tmp_path: Path) -> None:
    kind, data = whole_files()[index]
    (tmp_path / 'a').write_bytes(data)
    assert LoadImage().transform(dict(img_path=str(tmp_path / 'a')))['img'].shape[0] in (80, 120)
    assert len(fields(kind, data)) >= 3
    if kind == 'PNG':
        assert mend_checksums(bytearray(data)) == data


@pytest.mark.parametrize(
    ('fault', 'told'), [('crash', 'CRASH (3)'), ('hang', 'HANG (2.0)'), ('fault', 'FAULT')]
)
def test_it_finds(fault: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def transform(self: LoadImage, results: dict) -> dict:
        if fault == 'crash':
            os._exit(3)
        while fault == 'hang':
            pass
        raise TypeError('of ours')

    monkeypatch.setattr(LoadImage, 'transform', transform)
    found, bad = fuzz(range(5, 6), seed=0, workers=1, timeout=0.2, out=tmp_path)
    (path,) = tmp_path.iterdir()
    assert bad == 1 and path.stem == '5' and path.read_bytes() == damaged(5, 0)[1]
    assert [result for _, result in found if told in result]
