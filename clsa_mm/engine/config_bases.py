"""Our configs by the package's name: ``_base_ = 'clsa_mm::clsa_r50_8xb32_200e.py'`` in a file anywhere.

mmengine knows such names of its own packages alone, and only in subfolders. Importing ``clsa_mm``, as the
tools do first, teaches it ours.
"""

from pathlib import Path

from mmengine.config import Config

PREFIX = 'clsa_mm::'


def config_folder() -> Path:
    """Where our configs are: in the package where it came by a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / '.mim' / 'configs'
    return installed if installed.is_dir() else package.parent / 'configs'


def register_config_bases() -> None:
    """Make ``Config.fromfile`` find bases that start with ``clsa_mm::``."""
    others = Config._get_cfg_path

    def path_and_scope(base: str, filename: str) -> tuple[str, str | None]:
        if not base.startswith(PREFIX):
            return others(base, filename)
        path = config_folder() / base.removeprefix(PREFIX)
        if not path.is_file():
            raise FileNotFoundError(
                f'{filename} inherits from {base}, but there is no {path}: take a file of {config_folder()}.'
            )
        return str(path), None

    Config._get_cfg_path = staticmethod(path_and_scope)
