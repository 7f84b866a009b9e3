"""Makes mmselfsup 1.0.0 work on the current stack, without touching its files.

In a config: ``custom_imports = dict(imports=['clsa_mm.integrations.mmselfsup'])``. Two things are
mended, in memory: mmselfsup and its mmcls refuse every mmcv from 2.1.0 on, although they work with it;
and mmselfsup's registries look for modules in places that do not exist, which stops the runner.
"""

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import mmcv
from mmengine.logging import print_log
from mmengine.registry import Registry
from mmengine.utils import digit_version

_LATEST_ACCEPTED = '2.0.1'


@contextmanager
def _accepted_mmcv() -> Iterator[None]:
    """Let mmcv pass for a version that mmselfsup and mmcls accept."""
    version = mmcv.__version__
    if digit_version(version) > digit_version(_LATEST_ACCEPTED):
        mmcv.__version__ = _LATEST_ACCEPTED
    try:
        yield
    finally:
        mmcv.__version__ = version


def _existing(location: str) -> str:
    """The module, or else the nearest package above it that exists."""
    while importlib.util.find_spec(location) is None:
        location = location.rpartition('.')[0]
    return location


def _mend_locations() -> list[str]:
    """Point mmselfsup's registries at modules that exist; returns the missing ones."""
    import mmselfsup.registry

    missing = set()
    for registry in vars(mmselfsup.registry).values():
        if isinstance(registry, Registry) and registry.scope == 'mmselfsup':
            existing = [_existing(location) for location in registry._locations]
            missing.update({*registry._locations} - {*existing})
            registry._locations = existing
    return sorted(missing)


try:
    with _accepted_mmcv():
        import mmcls  # noqa: F401
        import mmselfsup
except ModuleNotFoundError as error:
    if error.name not in ('mmselfsup', 'mmcls'):
        raise
    raise ImportError(
        f"configs of mmselfsup need {error.name}, which is not installed: pip install 'clsa_mm[mmselfsup]', "
        "or in a checkout pip install -e '.[onedl,mmselfsup]' -c requirements/lock.txt"
    ) from error

_missing = _mend_locations()
print_log(
    f'mmselfsup {mmselfsup.__version__}: its limit of mmcv < 2.1.0 is lifted (here is {mmcv.__version__}), '
    f'and its registries no longer look for {", ".join(_missing)}',
    logger='current',
    level=logging.INFO,
)
