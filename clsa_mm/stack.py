"""The packages clsa_mm stands on: which versions are supported, what is here, what mends the rest.

Nothing but the standard library is imported with this module, since all else may be missing. Its
findings are shown by ``python -m clsa_mm`` and raised as :class:`StackError` by ``import clsa_mm``.
"""

import importlib
import importlib.util
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata


class StackError(ImportError):
    """A package that clsa_mm needs is missing, broken or of an unsupported version."""


def _release(version: str) -> tuple[int, ...]:
    """Numbers of a version without trailing zeros; pre-releases count as their release."""
    match = re.match(r'\d+(\.\d+)*', version)
    numbers = [int(number) for number in match[0].split('.')] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


@dataclass(frozen=True)
class Range:
    """Versions from ``minimum`` to below ``below``."""

    minimum: str
    below: str

    def __contains__(self, version: str) -> bool:
        return _release(self.minimum) <= _release(version) < _release(self.below)

    def __str__(self) -> str:
        return f'>={self.minimum},<{self.below}'


@dataclass(frozen=True)
class Package:
    """One line of the table of supported packages.

    Args:
        module: Name it is imported by.
        ranges: Supported versions by distribution name; the first one is the tested default.
        mend: Requirements, separated by spaces, that ``pip install`` takes to mend it; its own
            tested version first.
        needs: Modules without which its import is bound to fail.
        optional_for: What an optional package is needed for; empty for a required one.
        exclusive: Whether two of its distributions overwrite each other's files.
    """

    module: str
    ranges: Mapping[str, Range]
    mend: str
    needs: tuple[str, ...] = ()
    optional_for: str = ''
    exclusive: bool = True

    @property
    def tested(self) -> str:
        """The version that is tested: the first one in ``mend``."""
        return self.mend.split()[0].partition('==')[2]

    def supported(self, found: Iterable[str]) -> str:
        """Supported versions of the distribution that is here, else of the tested default."""
        default = next(iter(self.ranges))
        return str(self.ranges[next((name for name in found if name in self.ranges), default)])


_OPENCV = ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python')

# In the order of their imports. The truth about ranges, which setup.cfg repeats. torch at or above 2.14
# needs C++20, while mmcv's ops compile as C++17.
PACKAGES: tuple[Package, ...] = (
    Package('numpy', {'numpy': Range('1.26', '3')}, 'numpy==2.2.6'),
    Package('PIL', {'pillow': Range('9.4', '13')}, 'pillow==12.3.0'),
    Package('matplotlib', {'matplotlib': Range('3.7', '4')}, 'matplotlib==3.10.9', ('numpy',)),
    Package(
        'cv2',
        dict.fromkeys(_OPENCV, Range('4.5', '5')),
        # The headless build lacks nothing that is used, and loads where there is no libGL.
        'opencv-python-headless==4.12.0.88',
        ('numpy',),
        exclusive=False,
    ),
    Package('torch', {'torch': Range('2.5', '2.14')}, 'torch==2.11.0 torchvision==0.26.0'),
    Package(
        'torchvision',
        {'torchvision': Range('0.20', '0.29')},
        'torchvision==0.26.0 torch==2.11.0',
        ('torch', 'PIL'),
    ),
    Package(
        'mmengine',
        {'onedl-mmengine': Range('0.10.12', '0.11'), 'mmengine': Range('0.10.4', '0.11')},
        'onedl-mmengine==0.10.12',
        ('torch', 'cv2', 'matplotlib'),
    ),
    Package(
        'mmcv',
        {
            'onedl-mmcv': Range('2.3.6', '2.4'),
            'mmcv': Range('2.0.1', '2.2'),
            'mmcv-lite': Range('2.0.1', '2.2'),
        },
        'onedl-mmcv==2.3.6',
        ('torch', 'cv2', 'mmengine'),
    ),
    Package(
        'mmpretrain',
        {'onedl-mmpretrain': Range('1.3.6', '1.4'), 'mmpretrain': Range('1.2', '1.3')},
        'onedl-mmpretrain==1.3.6',
        ('torch', 'torchvision', 'cv2', 'mmengine', 'mmcv'),
    ),
    Package(
        'mmdet',
        {'onedl-mmdetection': Range('3.5.1', '3.6'), 'mmdet': Range('3.3', '3.4')},
        'onedl-mmdetection==3.5.1',
        optional_for='detection',
    ),
    Package(
        'mmselfsup',
        {'mmselfsup': Range('1.0.0', '1.0.1')},
        'mmselfsup==1.0.0 mmcls==1.0.0rc6 attrs future',
        optional_for='configs of mmselfsup',
    ),
    Package(
        'mmcls',
        {'mmcls': Range('1.0.0rc6', '1.1')},
        'mmcls==1.0.0rc6',
        optional_for='configs of mmselfsup',
    ),
)


@dataclass
class Finding:
    """What is here of one package.

    Args:
        name: Name it is imported by.
        supported: Supported versions.
        tested: Tested version or versions.
        found: Installed version by distribution name; empty when missing.
        optional_for: What an optional package is needed for; empty for a required one.
        problem: What is wrong; empty when nothing is.
        command: Shell command that mends the problem.
    """

    name: str
    supported: str
    tested: str
    found: dict[str, str] = field(default_factory=dict)
    optional_for: str = ''
    problem: str = ''
    command: str = ''

    def fail(self, problem: str, command: str) -> None:
        """Notes what is wrong and the command that mends it."""
        self.problem, self.command = problem, command


def _pip(arguments: str) -> str:
    return f'{shlex.quote(sys.executable)} -m pip {arguments}'


def _install(package: Package, found: Mapping[str, str]) -> str:
    """Command for a missing or unsupported package; it stays with the distribution that is here."""
    for name in found:
        if name in package.ranges and name != next(iter(package.ranges)) and package.exclusive:
            return _pip(f"install '{name}{package.ranges[name]}'")
    return _pip(f'install {package.mend}')


def _reinstall(package: Package, found: Mapping[str, str]) -> str:
    """Command for a package whose files are in doubt, whoever brought them."""
    if not package.exclusive:
        return _pip(f'install --force-reinstall --no-deps {package.mend}')
    names = [name for name in found if name in package.ranges]
    uninstall = f'{_pip("uninstall -y " + " ".join(names))} && ' if names else ''
    return uninstall + _pip(f'install {package.mend}')


def _installed(package: Package) -> dict[str, str]:
    """Versions of the package's distributions; of a source tree on the path, the module's own."""
    found = {}
    for name in package.ranges:
        try:
            found[name] = metadata.version(name) or 'unknown'
        except metadata.PackageNotFoundError:
            continue
    if not found:
        spec = importlib.util.find_spec(package.module)
        if spec is not None and spec.origin is not None:  # not a folder that only has the name
            try:
                version = getattr(importlib.import_module(package.module), '__version__', 'unknown')
            except Exception as error:  # reported by the import that follows
                version = f'unknown ({type(error).__name__})'
            found['source tree'] = str(version)
    return found


def _inspect(package: Package) -> Finding:
    """Judges a package by its metadata alone, unless it is a source tree that has none."""
    found = _installed(package)
    supported = package.supported(found)
    finding = Finding(package.module, supported, package.tested, found, package.optional_for)
    if not found:
        if not package.optional_for:
            finding.fail('not installed', _install(package, found))
    elif len(found) > 1 and package.exclusive:
        finding.fail(
            f'{" and ".join(found)} are both installed and overwrite each other',
            _reinstall(package, found),
        )
    else:
        for name, version in found.items():
            ranges = [package.ranges[name]] if name in package.ranges else package.ranges.values()
            if not any(version in range_ for range_ in ranges):
                finding.fail(
                    f'{name} {version} is installed, supported is {supported}',
                    _install(package, found),
                )
    return finding


def _inspect_import(package: Package, finding: Finding) -> None:
    try:
        importlib.import_module(package.module)
    except Exception as error:  # broken packages also fail by AssertionError, OSError, RuntimeError
        reason = ' '.join(str(error).split())
        finding.fail(
            f'is installed, but its import fails with {type(error).__name__}: {reason}',
            _reinstall(package, finding.found),
        )


def _inspect_python() -> Finding:
    version = '.'.join(map(str, sys.version_info[:3]))
    supported = Range('3.10', '3.13')
    finding = Finding('python', str(supported), '3.10-3.12', {'python': version})
    if version not in supported:
        command = 'make install && .venv/bin/python -m clsa_mm'
        finding.fail(f'Python {version}, supported is {supported}', command)
    return finding


def inspect_stack(optional: bool = True) -> list[Finding]:
    """Looks at Python and at all supported packages.

    Versions come from the metadata. Only a required package that passes so far, and whose own
    needs do, is imported: what an unfit one would say is no cause but a consequence. Optional
    packages are not imported: without compiled ops mmdet's import fails by design.

    Args:
        optional: Whether to look at the optional packages too.

    Returns:
        One finding for Python, then one per package, in the order of :data:`PACKAGES`.
    """
    packages = [package for package in PACKAGES if optional or not package.optional_for]
    findings = {package.module: _inspect(package) for package in packages}
    for package in packages:
        fit = not any(findings[name].problem for name in (package.module, *package.needs))
        if fit and not package.optional_for:
            _inspect_import(package, findings[package.module])
    return [_inspect_python(), *findings.values()]


def describe_problems(findings: Sequence[Finding]) -> str:
    """Gives two lines for each problem: what is wrong, and the command that mends it."""
    return '\n'.join(
        f'  {finding.name}: {finding.problem}\n    mend it with: {finding.command}'
        for finding in findings
        if finding.problem
    )


def check_stack() -> None:
    """Checks all that clsa_mm cannot work without.

    Raises:
        StackError: If Python or a required package is missing, broken or unsupported. The message
            lists every problem found and the exact command that mends it.
    """
    problems = describe_problems(inspect_stack(optional=False))
    if problems:
        raise StackError(
            'clsa_mm cannot work with the packages installed here:\n'
            f'{problems}\nAll that is installed is listed by: python -m clsa_mm'
        )
