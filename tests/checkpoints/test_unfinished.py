from pathlib import Path

import pytest

from clsa_mm.checkpoints.unfinished import unfinished


def test_a_folder_is_there_whole(tmp_path: Path) -> None:
    with unfinished(tmp_path / 'new' / 'a') as part:
        (part / 'b').mkdir(parents=True)
        assert not (tmp_path / 'new' / 'a').exists()
        part.replace(tmp_path / 'new' / 'a')
    assert list((tmp_path / 'new').iterdir()) == [tmp_path / 'new' / 'a']


@pytest.mark.parametrize('error', [KeyboardInterrupt, ValueError])
def test_what_fails_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), unfinished(tmp_path / 'new' / 'a') as part:
        (part / 'b').mkdir(parents=True)
        raise error
    assert not list(tmp_path.iterdir())


def test_errors_name_the_path_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('mine')
    with pytest.raises(OSError, match=r'file/a cannot be written: .*give another path'):
        with unfinished(tmp_path / 'file' / 'a'):
            pass
    assert (tmp_path / 'file').read_text() == 'mine'
