"""CLSA, contrastive learning with stronger augmentations, for the OpenMMLab stack.

Importing this package registers all it holds in mmengine's root registries.
"""

import sys

from clsa_mm.stack import check_stack
from clsa_mm.version import __version__

# `python -m clsa_mm` imports this file on its way to the doctor in __main__.py, which has to run
# when the stack is broken: it checks by itself. Until it starts, Python leaves "-m" in sys.argv[0].
_is_doctor = sys.argv[:1] == ['-m'] and sys.orig_argv[-len(sys.argv)] in (
    __name__,
    f'-m{__name__}',
)

if _is_doctor:
    __all__ = ['__version__']
else:
    check_stack()

    from clsa_mm import datasets, engine, evaluation, models
    from clsa_mm.checkpoints.backbone import load_backbone

    __all__ = ['__version__', 'datasets', 'engine', 'evaluation', 'load_backbone', 'models', 'pretrain']


def __getattr__(name: str) -> object:
    """Import :func:`clsa_mm.pretraining.pretrain` when it is asked for: trainings do without."""
    if name == 'pretrain':
        from clsa_mm.pretraining import pretrain

        return pretrain
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
