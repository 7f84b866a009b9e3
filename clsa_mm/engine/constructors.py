"""Which keys of a config's dictionaries no constructor takes.

A dictionary with a ``type`` becomes a call of what the registries hold under that name, so the signature
tells its other keys. Where a constructor passes ``**kwargs`` on to its parent, the parent's signature counts
too; where it does anything else with them, every key may be right and passes.
"""

import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from mmengine import registry
from mmengine.hooks import CheckpointHook
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import DefaultScope, Registry

from clsa_mm.datasets.views.nearest_name import nearest
from clsa_mm.datasets.views.recipes import RECIPES
from clsa_mm.engine.detector_settings import is_box_sampler, keys_of_box_sampler, unread_by_detector
from clsa_mm.engine.plain_settings import (
    is_of_a_library,
    is_taken_out,
    keys_of_dataset,
    keys_of_place,
    named_arguments,
)

_MODELS = (registry.MODELS, registry.TASK_UTILS, registry.WEIGHT_INITIALIZERS, registry.OPTIMIZERS)
_DATA = (registry.DATASETS, registry.DATA_SAMPLERS, registry.TRANSFORMS)
_METRICS = (registry.METRICS, registry.EVALUATOR)
# What the runner builds, and where the types in it are looked up.
BUILT: dict[str, tuple[Registry, ...]] = dict(
    model=_MODELS,
    data_preprocessor=_MODELS,
    model_wrapper_cfg=(registry.MODEL_WRAPPERS,),
    train_dataloader=_DATA,
    val_dataloader=_DATA,
    test_dataloader=_DATA,
    val_evaluator=_METRICS,
    test_evaluator=_METRICS,
    train_cfg=(registry.LOOPS,),
    val_cfg=(registry.LOOPS,),
    test_cfg=(registry.LOOPS,),
    optim_wrapper=(registry.OPTIM_WRAPPERS, registry.OPTIMIZERS),
    param_scheduler=(registry.PARAM_SCHEDULERS,),
    default_hooks=(registry.HOOKS, *_DATA),
    custom_hooks=(registry.HOOKS, *_DATA, *_MODELS),
    visualizer=(registry.VISUALIZERS, registry.VISBACKENDS),
    log_processor=(registry.LOG_PROCESSORS,),
    env_cfg=(),
    randomness=(),
    auto_scale_lr=(),
    compile=(),
    custom_imports=(),
)

# Full names of what any training builds by its type alone, which so has to be registered. Data sets have not:
# a library may leave out those whose packages are missing, and a tool builds one at most.
_CONSTRUCTOR = 'optim_wrapper.constructor'
_REGISTERED = (
    r'model|optim_wrapper(\.optimizer|\.constructor)?|visualizer|param_scheduler(\.\d+)?'
    r'|train_cfg|(default|custom)_hooks\.[^.]+'
)

Arguments = frozenset[str]


def unknown_arguments(cfg: Mapping[str, Any]) -> Iterator[tuple[str, str, Arguments]]:
    """Find the keys that no constructor takes, in all that a runner builds; in the config's default scope.

    Args:
        cfg: A whole config.

    Yields:
        A key's full name, what it was given to, and what that takes.
    """
    for name in BUILT:
        node = cfg.get(name)
        # A constructor of another's reads keys of its own, in the optimizer's dictionary too.
        if name != 'optim_wrapper' or constructors_of(node) == [DefaultOptimWrapperConstructor]:
            yield from _unknown(node, name)


def _unknown(node: object, name: str) -> Iterator[tuple[str, str, Arguments]]:
    if isinstance(node, list | tuple):
        for index, child in enumerate(node):
            yield from _unknown(child, f'{name}.{index}')
    elif isinstance(node, dict):
        calls = _called(node, name)
        if not all(map(is_of_a_library, calls)):
            return  # a class of the user's own may do with its arguments' dictionaries what it likes
        known = _arguments_in_runner(name, node) or _common_arguments(calls)
        owner = str(node.get('type', name))
        for key, child in node.items():
            full = f'{name}.{key}'
            if known is not None and key not in known and not is_taken_out(key, name):
                yield full, owner, known
            elif isinstance(child, dict) and (keys := _keys_of_part(calls, node, key, name)):
                yield from ((f'{full}.{part}', owner, keys) for part in child.keys() - keys)
            else:
                if key in ('train_cfg', 'test_cfg') and calls and calls[0].__module__.startswith('mmdet.'):
                    called = functools.partial(_called, name=name)
                    yield from unread_by_detector(child, full, node, called, key.removesuffix('_cfg'))
                yield from _unknown(child, full)


def _keys_of_part(
    calls: Sequence[Callable], node: Mapping[str, Any], key: str, name: str
) -> Arguments | None:
    """What a class reads in an argument that is a dictionary without a type."""
    if len(calls) != 1:
        return None
    if getattr(calls[0], '__name__', '') == 'KNNHook' and key in ('train', 'test'):  # parts of its data set
        return _common_arguments(_called(node.get('dataset') or {}, name))
    keys = keys_of_dataset(calls[0], key, node[key])
    return keys and frozenset(keys)


def constructors_of(node: object) -> Sequence[Callable]:
    """What the constructor of an ``optim_wrapper`` stands for, mmengine's own where it names none."""
    constructor = isinstance(node, dict) and node.get('constructor', DefaultOptimWrapperConstructor)
    return _called({'type': constructor or DefaultOptimWrapperConstructor}, _CONSTRUCTOR)


def remedy_for_type(node: Mapping[str, Any], name: str) -> str | None:
    """What to write in place of a dictionary's type that nothing is registered as.

    Args:
        node: The dictionary.
        name: Its full name, or that of the constructor of an ``optim_wrapper``.

    Returns:
        The remedy; None where the type is registered, or where none may have to be and it is like no other.
    """
    kind = node.get('type')
    if not isinstance(kind, str) or '.' in kind or _called(node, name):
        return None
    # Recipes of views are types too.
    names = frozenset(RECIPES.module_dict).union(*map(_names, _registries(name)))
    if kind in names:
        return None
    certain = re.fullmatch(_REGISTERED, name)
    near = nearest(kind, names, 0.8) or _transposed(kind, names) or certain and nearest(kind, names)
    if near:
        return f'Did you mean {near}?'
    return 'custom_imports.imports names the modules that register more.' if certain else None


def _transposed(kind: str, names: Collection[str]) -> str | None:
    """The name of the same letters: a slip that leaves a short one little alike."""
    return next((name for name in sorted(names) if sorted(name) == sorted(kind)), None)


def _registries(name: str) -> tuple[Registry, ...]:
    if name == _CONSTRUCTOR:
        return (registry.OPTIM_WRAPPER_CONSTRUCTORS,)
    if name.endswith('dataloader.collate_fn'):
        return (registry.FUNCTIONS,)
    return BUILT[name.partition('.')[0]]


def _names(registry: Registry) -> set[str]:
    return {*registry.module_dict}.union(*map(_names, registry.children.values()))


def _arguments_in_runner(name: str, node: Mapping[str, Any]) -> Arguments | None:
    """What the runner takes in dictionaries that need no type, or have more keys than the type's."""
    if (known := keys_of_place(name, node)) is not None:
        return known
    loop = 'EpochBasedTrainLoop' if node.get('by_epoch', True) else 'IterBasedTrainLoop'
    types = dict(
        train_cfg=loop, val_cfg='ValLoop', test_cfg='TestLoop', optim_wrapper='OptimWrapper',
        log_processor='LogProcessor', model_wrapper_cfg='MMDistributedDataParallel',
    )  # fmt: skip
    if name not in types:
        return None
    known = _common_arguments(_called({'type': types[name], **node}, name))
    more = dict(train_cfg=['by_epoch'], optim_wrapper=['optimizer', 'paramwise_cfg', 'constructor'])
    return known and known.union(more.get(name, ()))


def _common_arguments(calls: Sequence[Callable]) -> Arguments | None:
    arguments = [arguments_of(call) for call in calls]
    return None if not arguments or None in arguments else frozenset().union(*arguments)


def _called(node: Mapping[str, Any], name: str) -> Sequence[Callable]:
    """All that the type of a dictionary of this full name may stand for."""
    kind = node.get('type')
    if isinstance(kind, str) and '.' not in kind and _registries(name) == (registry.FUNCTIONS,):
        function = registry.FUNCTIONS.get(kind)  # in no scope, as the runner does
        return [function] if function else []
    if isinstance(kind, str):
        scope = node.get('_scope_') or DefaultScope.get_current_instance().scope_name
        return _registered(kind, scope, _registries(name))
    return [kind] if callable(kind) else []


@functools.cache
def _registered(kind: str, scope: str, registries: tuple[Registry, ...]) -> Sequence[Callable]:
    prefix, _, name = kind.rpartition('.')
    if '.' in prefix:  # a class by its path, which is not imported for a check
        return []
    found = []
    for root in registries:
        with root.switch_scope_and_registry(prefix or scope) as place:
            place.import_from_location()
            while place is not None and name not in place.module_dict:
                place = place.parent
            if place is not None:
                found.append(place.module_dict[name])
    return found


@functools.cache
def arguments_of(call: Callable) -> Arguments | None:
    """Names of a function's or a class's arguments.

    Args:
        call: What is called with keywords.

    Returns:
        The names; None where any may be right.
    """
    if not inspect.isclass(call):
        return None if _rest(call) else named_arguments(call)
    if is_box_sampler(call):
        return keys_of_box_sampler(call)
    known: Arguments = frozenset()
    for base in call.__mro__:
        if '__new__' in vars(base) and base is not object:
            return None
        init = vars(base).get('__init__')
        if init is None:
            continue
        if base is object:
            return known
        if base is CheckpointHook:  # the rest goes to Runner.save_checkpoint, most of whose arguments it sets
            return known | named_arguments(init) | {'meta'}
        if not inspect.isfunction(init) or hasattr(init, '__wrapped__'):  # a decorator may rename arguments
            return None
        known |= named_arguments(init)
        rest = _rest(init)
        if rest is None:
            return known
        if not _only_passed_on(init, rest, base.__name__):
            return None
    return known


def _rest(function: Callable) -> str | None:
    """The name of a function's ``**kwargs``."""
    return next(
        (p.name for p in inspect.signature(function).parameters.values() if p.kind is p.VAR_KEYWORD), None
    )


def _only_passed_on(init: Callable, rest: str, owner: str) -> bool:
    """Whether a constructor's ``**kwargs`` go whole to ``super().__init__`` and nowhere else."""
    try:
        nodes = list(ast.walk(ast.parse(textwrap.dedent(inspect.getsource(init)))))
    except (OSError, SyntaxError):
        return False
    uses = sum(isinstance(node, ast.Name) and node.id == rest for node in nodes)
    looks = sum(
        isinstance(node, ast.Attribute) and ast.unparse(node) in (f'{rest}.get', f'{rest}.setdefault')
        or isinstance(node, ast.Subscript) and ast.unparse(node.value) == rest
        and not isinstance(node.ctx, ast.Del)
        for node in nodes
    )  # fmt: skip
    passed_on = sum(
        ast.unparse(node.func) in ('super().__init__', f'super({owner}, self).__init__')
        and any(word.arg is None and ast.unparse(word.value) == rest for word in node.keywords)
        for node in nodes
        if isinstance(node, ast.Call)
    )
    return 0 < passed_on == uses - looks
