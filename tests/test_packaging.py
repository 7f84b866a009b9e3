"""setup.cfg, the lock, the table of the stack and the install script agree with each other."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from clsa_mm.stack import PACKAGES

ROOT = Path(__file__).resolve().parents[1]
BASH = shutil.which('bash')


def read_lock() -> dict[str, str]:
    lines = (ROOT / 'requirements/lock.txt').read_text().split()
    assert all(re.fullmatch(r'[\w.-]+==[\w.]+', line) for line in lines)
    return {canonicalize_name(name): version for name, version in (x.split('==') for x in lines)}


def read_requirements() -> dict[str, list[Requirement]]:
    """Requirements of each extra, those of the package itself under ''."""
    config = configparser.ConfigParser()
    config.read(ROOT / 'setup.cfg')
    texts = {'': config['options']['install_requires'], **config['options.extras_require']}
    return {extra: [Requirement(line) for line in text.split('\n') if line] for extra, text in texts.items()}


def read_hashes() -> dict[str, list[str]]:
    """Pinned requirement to its hashes."""
    text = (ROOT / 'requirements/hashes.txt').read_text().replace('\\\n', '')
    rows = (line.split() for line in text.splitlines() if not line.startswith('#'))
    return {name: [word.removeprefix('--hash=') for word in words] for name, *words in rows}


LOCK = read_lock()
REQUIREMENTS = read_requirements()


def test_extras() -> None:
    expected = {'', 'onedl', 'openmmlab', 'report', 'detection', 'mmselfsup', 'docs', 'dev', 'base', 'all'}
    assert set(REQUIREMENTS) == expected
    (everything,), (base,) = REQUIREMENTS['all'], REQUIREMENTS['base']
    assert everything.extras == expected - {'', 'openmmlab', 'base', 'all'}
    assert base.extras == {'onedl', 'report'}


@pytest.mark.parametrize('extra', ['', 'onedl', 'report', 'detection', 'mmselfsup', 'docs', 'dev'])
def test_lock_pins_every_requirement_within_its_range(extra: str) -> None:
    assert REQUIREMENTS[extra]
    for requirement in REQUIREMENTS[extra]:
        version = LOCK[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), requirement


def test_everything_in_the_lock_has_hashes() -> None:
    hashes = read_hashes()
    assert [*hashes] == (ROOT / 'requirements/lock.txt').read_text().split()
    for found in hashes.values():
        assert found and all(re.fullmatch('sha256:[0-9a-f]{64}', text) for text in found)


def test_lock_pins_what_builds_the_packages() -> None:
    assert {'pip', 'setuptools'} <= set(LOCK)


def test_table_mends_with_locked_versions() -> None:
    for package in PACKAGES:
        requirements = [Requirement(text) for text in package.mend.split()]
        for requirement in requirements:
            version = LOCK[canonicalize_name(requirement.name)]
            assert str(requirement.specifier) in ('', f'=={version}')
        assert requirements[0].name in package.ranges
        assert package.tested in package.ranges[requirements[0].name]


def test_setup_cfg_has_the_ranges_of_the_table() -> None:
    ranges = {name: range_ for package in PACKAGES for name, range_ in package.ranges.items()}
    compared = 0
    for extra in ('', 'onedl', 'openmmlab', 'detection', 'mmselfsup'):
        for requirement in REQUIREMENTS[extra]:
            if requirement.name not in ranges:
                continue
            compared += 1
            bounds = {clause.operator: clause.version for clause in requirement.specifier}
            if '==' in bounds:
                assert bounds['=='] in ranges[requirement.name]
            else:
                assert f'>={bounds[">="]},<{bounds["<"]}' == str(ranges[requirement.name])
    assert compared == 16


class Checkout:
    """The files that the install script needs, and a PATH with only the Pythons of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / 'checkout'
        self.bin = folder / 'bin'
        self.bin.mkdir()
        shutil.copytree(ROOT / 'requirements', self.folder / 'requirements')
        for name in ('setup.cfg', 'pyproject.toml'):
            shutil.copy(ROOT / name, self.folder)
        for tool in ('dirname', 'rm', 'mv'):
            (self.bin / tool).symlink_to(str(shutil.which(tool)))

    @property
    def stamp(self) -> Path:
        return self.folder / '.venv/.clsa_mm_installed'

    def add_script(self, name: str, body: str) -> None:
        path = self.bin / name
        path.write_text(f'#!{BASH}\n{body}\n')
        path.chmod(0o755)

    def add_python(self, name: str, version: str, has_venv: bool = True, venv: str = '') -> None:
        """A fake interpreter that judges the script's version test by the given version.

        Its `-m venv --clear FOLDER` runs the commands in ``venv``, with FOLDER as $4.
        """
        tested = f'import sys; sys.version_info = ({version.replace(".", ", ")}, 0)'
        self.add_script(
            name,
            f"""case "$*" in
            "-c import ensurepip"*) exit {int(not has_venv)} ;;
            -c*) exec {sys.executable} -S -c "{tested}; ${{2#*; }}" ;;
            --version) echo "Python {version}.0" ;;
            "-m venv"*) {venv or 'echo cannot make it >&2; exit 9'} ;;
            esac""",
        )

    def install(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BASH), 'requirements/install.sh', *arguments],
            cwd=self.folder,
            env={'PATH': str(self.bin), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_python_picker_rejects_unsupported_versions(checkout: Checkout) -> None:
    checkout.add_python('python3', '3.13')
    checkout.add_python('python3.11', '3.9')
    checkout.add_script('python3.12', "echo 'pyenv: python3.12: command not found' >&2; exit 127")
    result = checkout.install()
    assert result.returncode == 1
    assert 'error: no Python 3.10, 3.11 or 3.12 found (tried python3.12, ' in result.stderr
    assert 'make install PYTHON=/path/to/python3.12' in result.stderr
    assert not checkout.stamp.parent.exists()


@pytest.mark.parametrize('version', ['3.10', '3.11', '3.12'])
def test_python_picker_takes_one_that_runs(checkout: Checkout, version: str) -> None:
    checkout.add_script('python3.12', 'exit 127')
    checkout.add_python('python3.11', '3.11', has_venv=False)
    checkout.add_python('python3', version)
    result = checkout.install()
    assert f'creating .venv with Python {version}.0 (python3)' in result.stdout
    assert result.returncode == 9


def test_python_without_venv_is_named(checkout: Checkout) -> None:
    checkout.add_python('python3.11', '3.11', has_venv=False)
    assert 'apt-get install python3.11-venv' in checkout.install().stderr


def test_named_python_is_checked(checkout: Checkout) -> None:
    checkout.add_python('python3.11', '3.11')
    checkout.add_python('mine', '3.9')
    assert 'error: PYTHON=mine does not run or is not' in checkout.install(PYTHON='mine').stderr
    checkout.add_python('mine', '3.12')
    assert 'with Python 3.12.0 (mine)' in checkout.install(PYTHON='mine').stdout


def fake_venv(checkout: Checkout) -> None:
    """Lets `-m venv` make an environment whose pip notes its calls, and fails if told to."""
    pip = f"""case "$*" in
    "-m pip install"*) echo "$*" >>"$CALLS"; exit "$PIP_STATUS" ;;
    "-m pip --version"|"-c import cv2") ;;
    *) exec {sys.executable} "$@" ;;
    esac"""
    checkout.add_script('venv_python', pip)
    for tool in ('mkdir', 'cp'):
        (checkout.bin / tool).symlink_to(str(shutil.which(tool)))
    make = f'mkdir -p "$4/bin"; cp {checkout.bin}/venv_python "$4/bin/python"'
    checkout.add_python('python3.11', '3.11', venv=make)


def test_second_run_installs_nothing_and_an_interrupted_one_leaves_no_stamp(
    checkout: Checkout, tmp_path: Path
) -> None:
    fake_venv(checkout)
    calls = tmp_path / 'calls'

    def install(status: int) -> tuple[int, list[str]]:
        calls.write_text('')
        result = checkout.install(CALLS=str(calls), PIP_STATUS=str(status))
        return result.returncode, calls.read_text().splitlines()

    assert install(1)[0] == 1
    assert not checkout.stamp.exists()
    code, first = install(0)
    assert code == 0
    own = [line for line in first if line.endswith(' --no-deps --no-build-isolation --editable .')]
    assert len(own) == 1 and len(first) == 3
    assert all(' --require-hashes ' in line for line in first if line not in own)
    assert sum(' --constraint requirements/hashes.txt ' in line for line in first) == 1
    assert checkout.stamp.exists()
    assert install(1) == (0, [])

    for name in ('requirements/lock.txt', 'requirements/hashes.txt', 'setup.cfg', 'pyproject.toml'):
        with open(checkout.folder / name, 'a') as file:
            file.write('\n')
        code, again = install(1)
        assert code == 1
        assert again
        assert not checkout.stamp.exists()
        assert install(0)[0] == 0


def test_all_holds_what_base_needs_and_not_the_other_way(checkout: Checkout, tmp_path: Path) -> None:
    fake_venv(checkout)
    calls = tmp_path / 'calls'
    calls.touch()

    def installed(extra: str) -> list[str]:
        before = len(calls.read_text().splitlines())
        result = checkout.install('.venv', extra, CALLS=str(calls), PIP_STATUS='0')
        assert result.returncode == 0, result.stderr
        return calls.read_text().splitlines()[before:]

    assert len(installed('base')) == 3
    assert installed('base') == []
    assert len(installed('all')) == 3
    assert installed('base') == installed('all') == []


@pytest.mark.parametrize(
    ('target', 'extra', 'command'),
    [
        ('demo', 'base', 'tools/demo.py -x'),
        ('test', 'all', "-m 'not slow' -x"),
        ('test-all', 'all', '-m pytest -q -n logical --dist loadfile --no-loadscope-reorder -x'),
        ('lint', 'all', '-m ruff check .'),
    ],
)
def test_make_installs_before_it_goes_on(target: str, extra: str, command: str) -> None:
    lines = subprocess.run(
        ['make', '--dry-run', '--no-print-directory', target, 'ARGS=-x'],
        cwd=ROOT,
        env={'PATH': os.environ['PATH']},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert lines[0] == f'bash requirements/install.sh .venv {extra}'
    assert lines[1].endswith(f' {command}')


@pytest.mark.parametrize('failing', ['lint', 'test-all', None])
def test_ci_runs_lint_and_all_tests_and_fails_with_them(checkout: Checkout, failing: str | None) -> None:
    (checkout.folder / '.ci').mkdir()
    shutil.copy(ROOT / '.ci/run', checkout.folder / '.ci/run')
    checkout.add_script('make', f'echo "made $1 in $PWD"; [[ $1 != "{failing}" ]]')
    result = subprocess.run(
        [str(BASH), str(checkout.folder / '.ci/run')],
        cwd='/',
        env={'PATH': str(checkout.bin), 'CI': 'true'},
        capture_output=True,
        text=True,
    )
    assert (result.returncode == 0) is (failing is None)
    assert f'made lint in {checkout.folder}\n' in result.stdout
    assert (f'made test-all in {checkout.folder}\n' in result.stdout) is (failing != 'lint')
