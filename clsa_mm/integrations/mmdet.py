"""What configs and tools of detection import before anything of mmdet.

In a config: ``custom_imports = dict(imports=['clsa_mm', 'clsa_mm.integrations.mmdet'])``. mmcv's
compiled operations are used where they are installed, else a stand-in, as mmdet's import needs them.
"""

import sys

import mmengine.registry
from mmengine.registry import Registry

from clsa_mm.integrations.mmcv_ops import install_mmcv_ops


def _forget_half_imported_mmdet() -> None:
    """Make the coming import of mmdet a first one.

    mmpretrain imports mmdet where it is installed. Without compiled operations that fails halfway and
    leaves modules behind in which errors stand for the operations.
    """
    if 'mmdet' not in sys.modules or 'mmdet.models' in sys.modules:
        return
    for name in [name for name in sys.modules if name.split('.')[0] == 'mmdet']:
        del sys.modules[name]
    for registry in vars(mmengine.registry).values():
        if isinstance(registry, Registry):
            registry.children.pop('mmdet', None)
            for name, module in list(registry.module_dict.items()):
                if module.__module__.split('.')[0] == 'mmdet':
                    del registry.module_dict[name]


install_mmcv_ops()
_forget_half_imported_mmdet()

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
