"""requirements/audit.py finds what was changed in an environment, and nothing in a whole one."""

import base64
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

AUDIT = Path(__file__).parents[1] / 'requirements/audit.py'


def install(site: Path, name: str, version: str, files: dict[str, str]) -> None:
    """What pip leaves of a wheel."""
    info = f'{name}-{version}.dist-info'
    files = {**files, f'{info}/METADATA': f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n'}
    lines = []
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')
        lines.append(f'{path},sha256={digest},{len(text)}')
    lines += [f'{info}/RECORD,,', f'{name}/__pycache__/a.cpython-311.pyc,,']
    (site / info / 'RECORD').write_text('\n'.join(lines))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / 'lock.txt').write_text('Some.Thing==1.0\nother==2.0\nunused==3.0\n')
    install(tmp_path / 'site', 'some_thing', '1.0', {'some_thing/a.py': 'a = 1\n', 'both.py': 'one\n'})
    install(tmp_path / 'site', 'other', '2.0+cpu', {'other/b.py': 'b = 2\n', 'both.py': 'two\n'})
    return tmp_path / 'site'


def audit(site: Path) -> tuple[int, list[str]]:
    command = [sys.executable, str(AUDIT), '--lock', str(site.parent / 'lock.txt'), '--path', str(site)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()


def test_a_whole_environment(site: Path) -> None:
    assert audit(site) == (0, ['2 distributions, 0 differences'])


def test_what_differs(site: Path) -> None:
    install(site, 'stranger', '0.1', {'stranger.py': ''})
    install(site, 'unused', '3.1', {'unused.py': ''})
    (site / 'some_thing/a.py').write_text('a = 2\n')
    (site / 'other/b.py').unlink()
    (site / 'evil.pth').write_text('import os\n')
    (site / 'both.py').write_text('three\n')
    status, lines = audit(site)
    assert status == 1 and lines[-1] == f'4 distributions, {len(lines) - 1} differences'
    assert sorted(lines[:-1]) == sorted(
        [
            'stranger 0.1: not in the lock',
            'unused 3.1: the lock has 3.0',
            f'some_thing: {site}/some_thing/a.py is not as it was installed',
            f'other: {site}/other/b.py is gone',
            f'{site}/evil.pth is of no distribution',
            next(line for line in lines if 'both.py is not as it was installed' in line),
        ]
    )
