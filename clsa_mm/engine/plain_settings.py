"""Keys of a config's dictionaries that have no type, by their place, and what reads them."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from mmengine.dataset import BaseDataset
from mmengine.dist import utils as dist
from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing

from clsa_mm.datasets.views.nearest_name import nearest

_LIBRARIES = (
    'clsa_mm', 'mmcls', 'mmcv', 'mmdet', 'mmengine', 'mmpretrain', 'mmselfsup', 'torch', 'torchvision',
)  # fmt: skip
# Keys that a builder, or in these libraries the class around, takes out of a dictionary before the call, and
# the last names of the dictionaries' places; any where that is empty.
_TAKEN_OUT: dict[str, tuple[str, ...]] = dict(
    type=(),
    _scope_=(),
    priority=('default_hooks', 'custom_hooks'),
    convert_to_iter_based=('param_scheduler',),
    requires_grad=('norm_cfg',),
    fallback_on_stride=('dcn',),
    postfix=('plugins', 'cfg'),
    stages=('plugins',),
    bg_cls_weight=('loss_cls',),
    scale_factor=('upsample_cfg',),
    upsample_kernel=('upsample_cfg',),
    magnitude_key=('policies',),
    magnitude_range=('policies',),
    pretrained=('backbone', 'model'),
)
_PARAMWISE = frozenset({
    'custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'flat_decay_mult',
    'dwconv_decay_mult', 'dcn_offset_lr_mult', 'bypass_duplicate',
})  # fmt: skip
_CUSTOM_KEYS = 'optim_wrapper.paramwise_cfg.custom_keys.'


def _named(*functions: Callable) -> frozenset[str]:
    parameters = [p for function in functions for p in inspect.signature(function).parameters.values()]
    return frozenset(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))


_PLACES: dict[str, frozenset[str]] = {
    'randomness': _named(Runner.set_randomness) - {'self'},
    'env_cfg': frozenset({'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'}),
    'env_cfg.mp_cfg': _named(set_multi_processing) - {'distributed'},
    'env_cfg.dist_cfg': _named(
        dist.init_dist, dist._init_dist_slurm, torch.distributed.init_process_group
    ).difference(['launcher']),
    'auto_scale_lr': frozenset({'enable', 'base_batch_size'}),
    'compile': _named(torch.compile) - {'model'},
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
        return _named(clip) - {'parameters'}
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
    if key not in _TAKEN_OUT:
        return False
    places = _TAKEN_OUT[key]
    parts = [part for part in name.split('.') if not part.isdecimal()]
    return (
        not places or parts[-1].endswith(places) or parts[-2:-1] and parts[-2] in places and key == 'priority'
    )


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
