"""What configs and tools of detection import before anything of mmdet.

In a config: ``custom_imports = dict(imports=['clsa_mm', 'clsa_mm.integrations.mmdet'])``. mmcv's
compiled operations are used where they are installed, else a stand-in, as mmdet's import needs them.
"""

from clsa_mm.integrations.mmcv_ops import install_mmcv_ops

install_mmcv_ops()

try:
    import mmdet  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != 'mmdet':
        raise
    raise ImportError(
        "detection needs mmdet, which is not installed: pip install 'clsa_mm[detection]', or in a checkout "
        "pip install -e '.[onedl,detection]' -c requirements/lock.txt"
    ) from error

from clsa_mm.integrations import res5_extra_norm  # noqa: E402, F401  registers it
