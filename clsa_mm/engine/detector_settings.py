"""Which keys a detector reads in what takes any: mmdet's ``train_cfg``, ``test_cfg`` and samplers."""

import ast
import functools
import importlib
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from clsa_mm.engine.plain_settings import is_of_a_library, named_arguments

# The part of a detector that gets an entry of its ``train_cfg`` or ``test_cfg`` as its own.
_PART_OF = dict(rpn='rpn_head', rpn_proposal='rpn_head', rcnn='roi_head')
# Read outside of classes (mmdet.structures.mask), or said by mmdet's own configs for heads that read it not.
_ANYWHERE = frozenset({
    'mask_size', 'debug', 'score_voting', 'assigner', 'sampler', 'pos_weight', 'allowed_border',
})  # fmt: skip
# What mmcv's batched_nms takes out before it calls the operation, whose decorator renames `iou_thr`.
_OF_ANY_NMS = frozenset({'type', 'class_agnostic', 'split_thr', 'max_num', 'iou_thr'})
ClassesOf = Callable[[Mapping[str, Any]], Sequence[Callable]]


def unread_by_detector(
    node: object, name: str, model: Mapping[str, Any], classes_of: ClassesOf, mode: str
) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Find the keys that no part of a detector reads.

    Args:
        node: A ``train_cfg`` or ``test_cfg``, or its entry for a part.
        name: Its full name.
        model: The dictionary that it stands in, or the part's.
        classes_of: Gives what a dictionary with a type builds.
        mode: ``'train'`` or ``'test'``: which of the two it is used as.

    Yields:
        Full name of a key, the type of its model or part, and what that reads.
    """
    if isinstance(node, list | tuple):  # an entry for each stage
        for index, child in enumerate(node):
            yield from unread_by_detector(child, f'{name}.{index}', model, classes_of, mode)
    classes = [*_classes_below(model, classes_of)]
    if not isinstance(node, dict) or not all(map(is_of_a_library, classes)):
        return
    known = frozenset().union(*(_keys_read(one, mode) for one in classes))
    for key, child in node.items():
        full = f'{name}.{key}'
        if key not in known | _ANYWHERE:
            yield full, str(model['type']), known
        elif key in _PART_OF and (part := model.get(_PART_OF[key])):
            yield from unread_by_detector(child, full, part, classes_of, 'test' if 'prop' in key else mode)
        elif key == 'nms' and isinstance(child, dict) and (keys := _keys_of_nms(child)):
            yield from ((f'{full}.{word}', child.get('type', 'nms'), keys) for word in child.keys() - keys)


def is_box_sampler(one: type) -> bool:
    """Whether a class is a sampler of mmdet's: those take ``**kwargs``, and leave most of them alone."""
    return any(base.__module__ == 'mmdet.models.task_modules.samplers.base_sampler' for base in one.__mro__)


def keys_of_box_sampler(one: type) -> frozenset[str]:
    """Arguments of a sampler of mmdet's and all its bases, and those that they look up in ``**kwargs``.

    Args:
        one: The class.

    Returns:
        The names. A PseudoSampler reads none, but mmdet's own configs give it what its base takes.
    """
    known: frozenset[str] = frozenset()
    for init in (vars(base)['__init__'] for base in one.__mro__[:-1] if '__init__' in vars(base)):
        nodes = ast.walk(ast.parse(textwrap.dedent(inspect.getsource(init))))
        looked_up = {key for node in nodes for place, key in _reads(node) if place == 'kwargs'}
        known |= named_arguments(init) | looked_up
    return known


def _classes_below(node: object, classes_of: ClassesOf) -> Iterator[Callable]:
    """What a dictionary builds, and those in it but for parts that have settings of their own."""
    if isinstance(node, list | tuple):
        for child in node:
            yield from _classes_below(child, classes_of)
    elif isinstance(node, dict):
        yield from classes_of(node)
        for key, child in node.items():
            if key not in (*_PART_OF.values(), 'train_cfg', 'test_cfg'):
                yield from _classes_below(child, classes_of)


@functools.cache
def _keys_read(one: Callable, mode: str) -> frozenset[str]:
    """Keys that a class of mmdet reads in variables named ``train_cfg``, ``rcnn_test_cfg``, ``cfg``, ..."""
    other = dict(train='test', test='train')[mode]
    found: set[str] = set()
    for base in inspect.getmro(one) if inspect.isclass(one) else ():
        if base.__module__.partition('.')[0] != 'mmdet':
            continue
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(base)))):
            found |= {key for cfg, key in _reads(node) if cfg.endswith('cfg') and other not in cfg}
    return frozenset(found)


def _reads(node: ast.AST) -> Iterator[tuple[str, str]]:
    """The variable and the key of ``cfg.key``, ``cfg['key']``, ``cfg.get('key')`` and ``'key' in cfg``."""
    if isinstance(node, ast.Attribute) and not hasattr(dict, node.attr):
        yield ast.unparse(node.value), node.attr
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        yield ast.unparse(node.value), str(node.slice.value)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in ('get', 'pop') and node.args and isinstance(node.args[0], ast.Constant):
            yield ast.unparse(node.func.value), str(node.args[0].value)
    elif isinstance(node, ast.Compare) and isinstance(node.left, ast.Constant):
        yield from ((ast.unparse(right), str(node.left.value)) for right in node.comparators)


def _keys_of_nms(node: Mapping[str, Any]) -> frozenset[str]:
    """What the operation takes; empty where mmcv has none of the name."""
    operation = getattr(importlib.import_module('mmcv.ops.nms'), str(node.get('type', 'nms')), None)
    if operation is None:
        return frozenset()
    return _OF_ANY_NMS.union(inspect.signature(operation).parameters) - {'boxes', 'scores'}
