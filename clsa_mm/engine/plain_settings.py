"""Keys of a config's dictionaries that have no type, by their place, and what reads them."""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from mmengine.dataset import BaseDataset
from mmengine.dist import utils as dist
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings
from mmengine.utils.dl_utils import set_multi_processing
from torch.utils.data import DataLoader

from clsa_mm.datasets.views.nearest_name import nearest

_LIBRARIES = (
    'clsa_mm', 'mmcls', 'mmcv', 'mmdet', 'mmengine', 'mmpretrain', 'mmselfsup', 'torch', 'torchvision',
)  # fmt: skip
# Keys that a builder, or in these libraries the class around, takes out of a dictionary before the call, and
# the places of such dictionaries, without the numbers of list entries.
_TAKEN_OUT = dict(
    type='',
    _scope_='',
    priority=r'(default|custom)_hooks(\.[^.]+)?$',
    convert_to_iter_based='param_scheduler$',
    requires_grad='norm_cfg$',
    fallback_on_stride='dcn$',
    postfix='(plugins|cfg)$',
    stages='plugins$',
    bg_cls_weight='loss_cls$',
    scale_factor='upsample_cfg$',
    upsample_kernel='upsample_cfg$',
    magnitude_key='policies$',
    magnitude_range='policies$',
    pretrained='(backbone|model)$',
)
_PARAMWISE = frozenset({
    'custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'flat_decay_mult',
    'dwconv_decay_mult', 'dcn_offset_lr_mult', 'bypass_duplicate',
})  # fmt: skip
_CUSTOM_KEYS = 'optim_wrapper.paramwise_cfg.custom_keys.'


def named_arguments(*functions: Callable) -> frozenset[str]:
    """Names by which functions, methods or classes take arguments, without those of ``**kwargs``."""
    parameters = [p for function in functions for p in inspect.signature(function).parameters.values()]
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return frozenset(p.name for p in parameters if p.kind in kinds) - {'self'}


_DATALOADER = named_arguments(DataLoader).union([
    'dataset', 'worker_init_fn', 'num_batch_per_epoch', 'disable_subprocess_warning',
])  # fmt: skip
_PLACES: dict[str, frozenset[str]] = {
    'train_dataloader': _DATALOADER,
    'val_dataloader': _DATALOADER,
    'test_dataloader': _DATALOADER,
    'randomness': named_arguments(Runner.set_randomness),
    'env_cfg': frozenset({'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'}),
    'env_cfg.mp_cfg': named_arguments(set_multi_processing) - {'distributed'},
    'env_cfg.dist_cfg': named_arguments(
        dist.init_dist, dist._init_dist_slurm, torch.distributed.init_process_group
    ).difference(['launcher']),
    'auto_scale_lr': frozenset({'enable', 'base_batch_size'}),
    'compile': named_arguments(torch.compile) - {'model'},
    'custom_imports': named_arguments(import_modules_from_strings),
    'optim_wrapper.paramwise_cfg': _PARAMWISE,  # of mmengine's DefaultOptimWrapperConstructor
}


def keys_of_place(name: str, node: Mapping[str, Any]) -> frozenset[str] | None:
    """What may stand in a dictionary that needs no type.

    Args:
        name: Its full name.
        node: The dictionary.

    Returns:
        The keys; None where its place does not tell.
    """
    if name == 'optim_wrapper.clip_grad':
        of_value = node.get('type') == 'value'
        clip = torch.nn.utils.clip_grad_value_ if of_value else torch.nn.utils.clip_grad_norm_
        return named_arguments(clip) - {'parameters'}
    if name.startswith(_CUSTOM_KEYS):
        # The rest goes to the optimizer's parameter groups.
        return frozenset(_and_unlike({'lr_mult', 'decay_mult'}, node))
    return _PLACES.get(name)


def is_of_a_library(call: Callable) -> bool:
    """Whether a class or function is none of the user's own, which may do with dictionaries what it likes."""
    return getattr(call, '__module__', '').partition('.')[0] in _LIBRARIES


def is_taken_out(key: str, name: str) -> bool:
    """Whether a key of a dictionary goes elsewhere than into the call of the dictionary's type.

    Args:
        key: The key.
        name: Full name of the dictionary.
    """
    return key in _TAKEN_OUT and re.search(_TAKEN_OUT[key], re.sub(r'\.\d+(?=\.|$)', '', name)) is not None


def keys_of_dataset(owner: type, key: str, part: Mapping[str, Any]) -> Collection[str] | None:
    """What a data set's class reads in its dictionaries: ``metainfo``, ``data_prefix``, ``filter_cfg``.

    Args:
        owner: The class.
        key: Its argument's name.
        part: The argument.

    Returns:
        The keys; None where any may be right.
    """
    if not (inspect.isclass(owner) and issubclass(owner, BaseDataset)):
        return None
    if key == 'metainfo':
        return _and_unlike({'classes', 'palette', *owner.METAINFO}, part)
    reader = dict(data_prefix='load_data_list', filter_cfg='filter_data').get(key)
    if reader is None or getattr(owner, reader) is getattr(BaseDataset, reader):
        return None  # the data set's file says which there are
    # mmdet's own configs give some data sets a `bbox_min_size` that they do not read, next to `min_size`.
    return _and_unlike(_words(owner, key), part, 0.8 if key == 'filter_cfg' else 0.75)


def _and_unlike(known: set[str], node: Mapping[str, Any], cutoff: float = 0.75) -> set[str]:
    """Known keys, and those of a dictionary that are no slip of them, where others may be right too."""
    return known.union(key for key in node if not nearest(key, known, cutoff))


def _words(owner: type, name: str) -> set[str]:
    """The strings and keywords in those functions of a class and its parents that speak of a name."""
    found: set[str] = set()
    for base in owner.__mro__[: owner.__mro__.index(BaseDataset)]:
        tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef) or name not in ast.unparse(function):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
                elif isinstance(node, ast.keyword) and node.arg:
                    found.add(node.arg)
    return {word for word in found if word.isidentifier()}
