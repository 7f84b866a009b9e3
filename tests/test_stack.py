"""The check of the stack and the doctor, against fake packages in a folder of their own.

Every case runs in a fresh interpreter without site-packages (``-S``), so that nothing but the
standard library, clsa_mm and the fakes can be found.
"""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from clsa_mm.stack import Range, StackError

ROOT = Path(__file__).resolve().parents[1]
PIP = f'{shlex.quote(sys.executable)} -m pip'
GOOD = {
    'numpy': ('numpy', '2.2.6'),
    'PIL': ('pillow', '12.3.0'),
    'matplotlib': ('matplotlib', '3.10.9'),
    'cv2': ('opencv-python', '4.12.0.88'),
    'torch': ('torch', '2.11.0+cpu'),
    'torchvision': ('torchvision', '0.26.0'),
    'mmengine': ('onedl-mmengine', '0.10.12'),
    'mmcv': ('onedl-mmcv', '2.3.6'),
    'mmpretrain': ('onedl-mmpretrain', '1.3.6'),
}
FAKE_TORCH = """
class version: cuda = None
class cuda: is_available = staticmethod(lambda: False)
"""


class FakeSite:
    """A folder that holds fake packages with metadata."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for module, (distribution, version) in GOOD.items():
            self.add(module, distribution, version, FAKE_TORCH if module == 'torch' else '')

    def add(self, module: str, distribution: str, version: str, code: str = '') -> None:
        (self.folder / module).mkdir(exist_ok=True)
        (self.folder / module / '__init__.py').write_text(f"__version__ = '{version}'\n{code}\n")
        self.add_metadata(distribution, version)

    def add_metadata(self, distribution: str, version: str) -> None:
        info = self.folder / f'{distribution.replace("-", "_")}-{version}.dist-info'
        info.mkdir()
        (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n')

    def remove(self, module: str) -> None:
        self.remove_metadata(module)
        (self.folder / module / '__init__.py').unlink()

    def remove_metadata(self, module: str) -> None:
        for info in self.folder.glob(f'{GOOD[module][0].replace("-", "_")}-*.dist-info'):
            (info / 'METADATA').unlink()
            info.rmdir()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, '-S', *arguments],
            env={'PYTHONPATH': f'{self.folder}:{ROOT}', 'PYTHONDONTWRITEBYTECODE': '1'},
            cwd=self.folder,
            capture_output=True,
            text=True,
        )

    def doctor(self) -> subprocess.CompletedProcess[str]:
        return self.run('-m', 'clsa_mm')

    def assert_wrong(self, problem: str, command: str) -> None:
        """Both ``import clsa_mm`` and the doctor name this problem and no other."""
        lines = f'  {problem}\n    mend it with: {command}\n'
        doctor = self.doctor()
        assert f'\nWrong:\n{lines}' in doctor.stdout, doctor.stdout + doctor.stderr
        assert doctor.stdout.endswith(lines)
        assert doctor.returncode == 1
        imported = self.run('-c', 'import clsa_mm')
        assert 'StackError: clsa_mm cannot work with' in imported.stderr
        assert f':\n{lines}All that is installed' in imported.stderr
        assert imported.returncode == 1


@pytest.fixture
def site(tmp_path: Path) -> FakeSite:
    return FakeSite(tmp_path)


def row(output: str, package: str) -> str:
    """The doctor's line on a package."""
    return next(line for line in output.splitlines() if line.startswith(f'{package} '))


def test_all_good(site: FakeSite) -> None:
    result = site.doctor()
    assert result.returncode == 0, result.stdout + result.stderr
    assert row(result.stdout, 'mmcv').split() == [
        *('mmcv', '2.3.6', '(onedl-mmcv)', '>=2.3.6,<2.4', '2.3.6', 'ok')
    ]
    assert 'not installed, optional (for detection)' in row(result.stdout, 'mmdet')
    assert 'compiled ops of mmcv: no (pretraining and evaluation need none)' in result.stdout
    assert 'GPU: none usable (CPU-only torch)' in result.stdout
    assert result.stdout.endswith('Nothing is wrong.\n')
    checked = site.run("-c", "import sys; sys.argv = ['-m']; sys.orig_argv = ['x', '-m', 'clsa_mm']"
                       "\nimport clsa_mm.stack\nclsa_mm.stack.check_stack()")  # fmt: skip
    assert checked.returncode == 0, checked.stderr


def test_compiled_ops_and_gpu_are_reported(site: FakeSite) -> None:
    (site.folder / 'mmcv' / '_ext.py').touch()
    (site.folder / 'torch' / '__init__.py').write_text(
        "class version: cuda = '13.0'\n"
        'class cuda:\n'
        '    is_available = staticmethod(lambda: True)\n'
        '    device_count = staticmethod(lambda: 2)\n'
        "    get_device_name = staticmethod('GPU-{}'.format)\n"
    )
    output = site.doctor().stdout
    assert 'compiled ops of mmcv: yes\n' in output
    assert 'GPU: 2: GPU-0, GPU-1 (torch built for CUDA 13.0)\n' in output
    (site.folder / 'mmcv' / '_ext.py').write_text("raise ImportError('undefined symbol')")
    assert 'compiled ops of mmcv: broken: ImportError: undefined symbol' in site.doctor().stdout


def test_missing(site: FakeSite) -> None:
    site.remove('mmpretrain')
    site.assert_wrong('mmpretrain: not installed', f'{PIP} install onedl-mmpretrain==1.3.6')


def test_consequences_of_a_missing_package_are_not_reported(site: FakeSite) -> None:
    site.remove('torch')
    for module in ('torchvision', 'mmengine', 'mmcv', 'mmpretrain'):
        (site.folder / module / '__init__.py').write_text('import torch')
    site.assert_wrong('torch: not installed', f'{PIP} install torch==2.11.0 torchvision==0.26.0')
    output = site.doctor().stdout
    assert row(output, 'mmcv').endswith('  import not tried')
    assert row(output, 'numpy').endswith('  ok')
    assert 'GPU: unknown' in output


def test_all_missing(site: FakeSite) -> None:
    for module in GOOD:
        site.remove(module)
    result = site.doctor()
    assert result.returncode == 1
    for module in GOOD:
        assert f'  {module}: not installed\n    mend it with: {PIP} install ' in result.stdout


@pytest.mark.parametrize('version', ['2.3.5', '2.4.0', '3'])
def test_out_of_range(site: FakeSite, version: str) -> None:
    site.remove('mmcv')
    site.add('mmcv', 'onedl-mmcv', version)
    site.assert_wrong(
        f'mmcv: onedl-mmcv {version} is installed, supported is >=2.3.6,<2.4',
        f'{PIP} install onedl-mmcv==2.3.6',
    )


def test_classic_distribution(site: FakeSite) -> None:
    site.remove('mmcv')
    site.add('mmcv', 'mmcv', '2.1.0')
    assert site.doctor().returncode == 0
    site.remove_metadata('mmcv')
    (site.folder / 'mmcv-2.1.0.dist-info' / 'METADATA').unlink()
    (site.folder / 'mmcv-2.1.0.dist-info').rmdir()
    site.add('mmcv', 'mmcv', '2.2.0')
    site.assert_wrong(
        'mmcv: mmcv 2.2.0 is installed, supported is >=2.0.1,<2.2',
        f"{PIP} install 'mmcv>=2.0.1,<2.2'",
    )


def test_broken_import(site: FakeSite) -> None:
    init = site.folder / 'mmcv' / '__init__.py'
    init.write_text("assert False, 'MMCV is\\n used but incompatible'")
    site.assert_wrong(
        'mmcv: is installed, but its import fails with AssertionError: MMCV is used but incompatible',
        f'{PIP} uninstall -y onedl-mmcv && {PIP} install onedl-mmcv==2.3.6',
    )


def test_metadata_without_a_package(site: FakeSite) -> None:
    (site.folder / 'mmengine' / '__init__.py').unlink()
    (site.folder / 'mmengine').rmdir()
    site.assert_wrong(
        "mmengine: is installed, but its import fails with ModuleNotFoundError: No module named 'mmengine'",
        f'{PIP} uninstall -y onedl-mmengine && {PIP} install onedl-mmengine==0.10.12',
    )


def test_opencv_without_libgl(site: FakeSite) -> None:
    message = 'libGL.so.1: cannot open shared object file: No such file or directory'
    (site.folder / 'cv2' / '__init__.py').write_text(f"raise ImportError('{message}')")
    site.assert_wrong(
        f'cv2: is installed, but its import fails with ImportError: {message}',
        f'{PIP} install --force-reinstall --no-deps opencv-python-headless==4.12.0.88',
    )


def test_both_distributions(site: FakeSite) -> None:
    site.add('mmcv', 'mmcv', '2.1.0')
    site.assert_wrong(
        'mmcv: onedl-mmcv and mmcv are both installed and overwrite each other',
        f'{PIP} uninstall -y onedl-mmcv mmcv && {PIP} install onedl-mmcv==2.3.6',
    )


def test_two_builds_of_opencv_are_fine(site: FakeSite) -> None:
    site.add_metadata('opencv-python-headless', '4.12.0.88')
    assert site.doctor().returncode == 0


def test_source_tree_without_metadata(site: FakeSite) -> None:
    site.remove_metadata('mmpretrain')
    result = site.doctor()
    assert '1.3.6 (source tree)' in row(result.stdout, 'mmpretrain')
    assert result.returncode == 0
    (site.folder / 'mmpretrain' / '__init__.py').write_text("__version__ = '0.25.0'")
    site.assert_wrong(
        'mmpretrain: source tree 0.25.0 is installed, supported is >=1.3.6,<1.4',
        f'{PIP} install onedl-mmpretrain==1.3.6',
    )


def test_folder_of_the_same_name_is_no_package(site: FakeSite) -> None:
    site.remove('mmcv')  # leaves the folder, as a clone in the working directory would
    site.assert_wrong('mmcv: not installed', f'{PIP} install onedl-mmcv==2.3.6')


def test_wrong_optional_package_is_no_failure(site: FakeSite) -> None:
    site.add('mmdet', 'onedl-mmdetection', '3.4.0', "raise ImportError('never imported')")
    result = site.doctor()
    assert result.stdout.endswith(
        'Wrong:\n  mmdet: onedl-mmdetection 3.4.0 is installed, supported is >=3.5.1,<3.6\n'
        f'    mend it with: {PIP} install onedl-mmdetection==3.5.1\n'
    )
    assert result.returncode == 0


def test_unsupported_python(site: FakeSite) -> None:
    code = (
        "import sys; sys.version_info = (3, 13, 0); sys.argv = ['-m']\n"
        "sys.orig_argv = ['python', '-m', 'clsa_mm']\n"
        'from clsa_mm.stack import check_stack\ncheck_stack()'
    )
    assert (
        '  python: Python 3.13.0, supported is >=3.10,<3.13\n'
        '    mend it with: make install && .venv/bin/python -m clsa_mm\n'
    ) in site.run('-c', code).stderr


@pytest.mark.parametrize('arguments', [['-mclsa_mm'], ['-X', 'utf8', '-m', 'clsa_mm', 'extra']])
def test_doctor_runs_on_a_broken_stack_however_it_is_called(site: FakeSite, arguments: list[str]) -> None:
    site.remove('mmcv')
    result = site.run(*arguments)
    assert 'mmcv: not installed' in result.stdout
    assert result.stderr == ''


def test_other_modules_run_with_m_are_checked(site: FakeSite) -> None:
    site.remove('mmcv')
    (site.folder / 'user').mkdir()
    (site.folder / 'user' / '__init__.py').write_text('import clsa_mm')
    (site.folder / 'user' / '__main__.py').touch()
    for arguments in (['-m', 'user'], ['-m', 'user', '-m', 'clsa_mm'], ['-m', 'clsa_mm.version']):
        assert 'StackError' in site.run(*arguments).stderr


def test_error_is_an_import_error() -> None:
    assert issubclass(StackError, ImportError)


@pytest.mark.parametrize(
    ('version', 'inside'),
    [
        ('2.5', True),
        ('2.5.0', True),
        ('2.13.9+cu130', True),
        ('2.14', False),
        ('2.14.0', False),
        ('2.4.99', False),
        ('2', False),
        ('unknown', False),
    ],
)
def test_range(version: str, inside: bool) -> None:
    assert (version in Range('2.5', '2.14')) is inside
