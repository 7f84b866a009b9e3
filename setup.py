"""Puts configs, tools and the model index into wheels, where mim looks for them; metadata: setup.cfg."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


def copy_mim(folder: Path) -> None:
    """Fill ``folder/.mim`` anew; nothing of an earlier build stays."""
    mim = folder / '.mim'
    shutil.rmtree(mim, ignore_errors=True)
    for name in ('configs', 'tools'):
        shutil.copytree(ROOT / name, mim / name, ignore=shutil.ignore_patterns('__pycache__', '*.py[cod]'))
    shutil.copy(ROOT / 'model-index.yml', mim)


class BuildPy(build_py):
    """In a wheel they lie in ``clsa_mm/.mim``; an editable install finds them in the checkout's root."""

    def run(self) -> None:
        """Build the package and its ``.mim``."""
        super().run()
        if not self.editable_mode:
            copy_mim(Path(self.build_lib) / 'clsa_mm')


class BdistWheel(bdist_wheel):
    """A wheel with a second copy in its ``.dist-info``.

    onedl-mim 0.5.1 takes the folder of the first installed file for the package's. pip sorts the files, and
    ``clsa_mm-0.1.0.dist-info/`` comes before ``clsa_mm/``, as for every package named like its module.
    """

    def write_wheelfile(self, wheelfile_base: str, *args, **kwargs) -> None:
        """Write the tags, and the copy unless this is an editable wheel."""
        super().write_wheelfile(wheelfile_base, *args, **kwargs)
        if Path(wheelfile_base).parent == Path(self.bdist_dir):
            copy_mim(Path(wheelfile_base))


setup(cmdclass={'build_py': BuildPy, 'bdist_wheel': BdistWheel})
