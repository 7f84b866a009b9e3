"""The backbone of a config that came with a checkpoint, built without running or importing what it names."""

import ast
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec

import torch
from mmengine.registry import MODELS, DefaultScope, Registry
from mmpretrain.models.backbones import TIMMBackbone
from torch import nn
from torch.nn.modules import module as module_hooks

from clsa_mm.checkpoints.read import CheckpointError

# Modules of layers that are built from numbers alone: others can be told by a config to fetch weights.
_KNOWN_LAYERS = re.compile(
    r'(torch\.nn|mmcv\.cnn|clsa_mm)\.'
    r'|mmpretrain\.models\.(backbones\.(?!timm)|utils\.(attention|clip_generator_helper|norm|sparse_modules)\.)'
    r'|mmpretrain\.models\.selfsup\.mocov3\.MoCoV3ViT$'
)
# Of a backbone's config: where its weights came from, what a training froze, and the library that it was
# written for.
_TRAINING_ARGUMENTS = (
    'init_cfg',
    'frozen_stages',
    'norm_eval',
    'requires_grad',
    'stop_grad_conv1',
    '_scope_',
)
# Of a timm model's: what makes timm read or fetch weights.
_TIMM_WEIGHTS = re.compile(r'pretrained|checkpoint_path|cache_dir')
# Of a config's text, which has some ten thousand characters, and of the numbers that a backbone has.
_LONGEST, _LARGEST = 1_000_000, 100_000
# What parsing raises; of a list in a set TypeError, of a complex number's size OverflowError.
_UNREADABLE = (SyntaxError, RecursionError, MemoryError, ValueError, TypeError, OverflowError)
_building = threading.Lock()
_DICTIONARIES = (ast.Call, ast.Dict)
# The way out of errors.
BY_HAND = (
    'Build the backbone yourself and load the weights with '
    'clsa_mm.checkpoints.backbone.load_backbone_weights.'
)


def backbone_config(text: str) -> dict | None:
    """Find the ``model.backbone`` of a config's text, which is parsed and not run.

    Args:
        text: What mmengine's ``Config.pretty_text`` wrote.

    Returns:
        The backbone's config, or None if the text names none.

    Raises:
        CheckpointError: If the backbone is not plain data.
    """
    try:
        if len(text) > _LONGEST:
            raise ValueError(f'it has {len(text)} characters, and at most {_LONGEST} are read')
        for statement in ast.parse(text).body:
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == 'model':
                for entry in getattr(statement.value, 'keywords', ()):
                    if entry.arg == 'backbone':
                        return _literal(entry.value)
    except _UNREADABLE as error:
        raise CheckpointError(
            f'The config in the checkpoint is not the plain data that mmengine writes: {error}'
        ) from error
    return None


def settings_of(text: str) -> dict[str, object]:
    """All settings of a config's text, which is parsed and not run, by their full names.

    Args:
        text: What mmengine's ``Config.pretty_text`` wrote; '' has no settings.

    Returns:
        Values by names as ``--cfg-options`` takes them; an entry of a list of dictionaries has its number for
        a name. Of what is no literal, its text.

    Raises:
        CheckpointError: If the text is no Python, or absurdly long.
    """
    if len(text) > _LONGEST:
        raise CheckpointError(f'The saved config has {len(text)} characters: it is not read.')
    try:
        statements = [node for node in ast.parse(text).body if isinstance(node, ast.Assign)]
        settings: dict[str, object] = {}
        for statement in statements:
            _add_settings(settings, ast.unparse(statement.targets[0]), statement.value)
    except _UNREADABLE as error:
        raise CheckpointError(f'The saved config cannot be read: {error}') from error
    return settings


def _add_settings(settings: dict[str, object], name: str, node: ast.expr) -> None:
    if isinstance(node, ast.Call) and ast.unparse(node.func) == 'dict' and len(node.args) == 1:
        node = node.args[0]  # a dictionary some of whose keys are no names
    if isinstance(node, ast.Call) and ast.unparse(node.func) == 'dict' and not node.args:
        entries = [(entry.arg, entry.value) for entry in node.keywords]
    elif isinstance(node, ast.Dict):
        entries = [(_literal(key), value) for key, value in zip(node.keys, node.values, strict=True)]
    elif isinstance(node, ast.List | ast.Tuple) and any(isinstance(v, _DICTIONARIES) for v in node.elts):
        entries = list(enumerate(node.elts))
    else:
        try:
            settings[name] = _literal(node)
        except ValueError:
            settings[name] = ast.unparse(node)
        return
    for key, value in entries:
        _add_settings(settings, f'{name}.{key}', value)


def build_backbone(config: dict, most: int | None = None) -> nn.Module:
    """Build a backbone of mmpretrain from plain data of unknown origin; nothing is imported, read or fetched.

    Args:
        config: What :func:`backbone_config` returned. What belongs to a training is left out.
        most: How many numbers its parameters and buffers may have. Defaults to any.

    Raises:
        CheckpointError: If it asks for anything but known backbones and layers, or cannot be built.
    """
    config = _from_mmselfsup(_without_training(config))
    try:
        with DefaultScope.overwrite_default_scope('mmpretrain'), _known_layers_only(), _at_most(most):
            return _build_timm(config) if config.get('type') == 'TIMMBackbone' else MODELS.build(config)
    except CheckpointError:
        raise
    except Exception as error:  # a constructor can raise anything
        raise CheckpointError(
            f"The backbone of the checkpoint's config cannot be built: {error!r}. {BY_HAND}"
        ) from error


def _build_timm(config: dict) -> nn.Module:
    """Build a model that timm itself defines, with random weights; its name can also be an address."""
    arguments = {
        key: value for key, value in config.items() if key != 'type' and not _TIMM_WEIGHTS.match(key)
    }
    name = arguments.get('model_name')
    if find_spec('timm') is None:
        raise CheckpointError(
            f'The backbone is the model {name!r} of timm, which is not installed: install it.'
        )
    import timm  # optional, and slow to import

    if not (isinstance(name, str) and re.fullmatch(r'[\w.]+', name) and timm.is_model(name)):
        raise CheckpointError(
            f"The checkpoint's config asks for {name!r} of `TIMMBackbone`, which this timm has not. {BY_HAND}"
        )
    return TIMMBackbone(**arguments)


def _literal(node: ast.expr) -> object:
    """Evaluate constants, lists, tuples, dicts and `dict(key=...)`, and nothing else."""
    if isinstance(node, ast.Call):
        plain = all(entry.arg for entry in node.keywords) and not node.args
        if not (isinstance(node.func, ast.Name) and node.func.id == 'dict' and plain):
            raise ValueError(f'`{ast.unparse(node)[:80]}` is no literal')
        return {entry.arg: _literal(entry.value) for entry in node.keywords}
    if isinstance(node, ast.Dict) and all(node.keys):
        return {_literal(k): _literal(v) for k, v in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.List | ast.Tuple):
        values = [_literal(value) for value in node.elts]
        return tuple(values) if isinstance(node, ast.Tuple) else values
    value = ast.literal_eval(node)
    if isinstance(value, int | float | complex) and abs(value) > _LARGEST:
        raise ValueError(f'{ast.unparse(node)[:40]} is larger than any number of a backbone')
    return value


def _without_training(config: object) -> object:
    """Copy a backbone's config less what belongs to a training, in its layers too."""
    if isinstance(config, list | tuple):
        return type(config)(_without_training(value) for value in config)
    if not isinstance(config, dict):
        return config
    return {key: _without_training(value) for key, value in config.items() if key not in _TRAINING_ARGUMENTS}


def _from_mmselfsup(config: dict) -> dict:
    """Count stages as mmpretrain does: mmselfsup calls the stem 0, and so the last stage 4."""
    indices = config.get('out_indices')
    if config.get('type') == 'ResNet' and isinstance(indices, list | tuple) and 4 in indices:
        return config | dict(out_indices=tuple(index - 1 for index in indices))
    return config


@contextmanager
def _at_most(most: int | None) -> Iterator[None]:
    """Stop a module of this thread that is being built before its parameters and buffers get too large."""
    thread, left = threading.get_ident(), most

    def count(module: nn.Module, name: str, value: torch.Tensor | None) -> None:
        nonlocal left
        if value is None or threading.get_ident() != thread:
            return
        left -= value.numel()
        if left < 0:
            raise CheckpointError(
                f"The checkpoint's config asks for a backbone of more than {most} numbers, and it has "
                f'fewer. {BY_HAND}'
            )

    with ExitStack() as stack:
        if most is not None:
            stack.callback(module_hooks.register_module_parameter_registration_hook(count).remove)
            stack.callback(module_hooks.register_module_buffer_registration_hook(count).remove)
        yield


@contextmanager
def _known_layers_only() -> Iterator[None]:
    """Let no registry give this thread anything but a known layer.

    Any argument of a layer can end in ``Registry.get`` (``conv_type``, ``norm_cfg``, ...), which takes a name
    that it does not know for a module's attribute, or its first part for a package, and imports it.
    """
    with MODELS.switch_scope_and_registry('mmpretrain') as registry:
        registry.import_from_location()
        layers = {**MODELS.module_dict, **registry.module_dict}
    thread = threading.get_ident()

    def get(self: Registry, key: str) -> type:
        if threading.get_ident() != thread:
            return unguarded(self, key)
        layer = layers.get(str(key).removeprefix('mmpretrain.'))
        is_layer = isinstance(layer, type) and issubclass(layer, nn.Module)
        if not (is_layer and _KNOWN_LAYERS.match(f'{layer.__module__}.{layer.__name__}')):
            raise CheckpointError(
                f"The checkpoint's config asks for `{key}`, which is not among the backbones and "
                f'layers that are built from a file. {BY_HAND}'
            )
        return layer

    with _building:
        unguarded, Registry.get = Registry.get, get
        try:
            yield
        finally:
            Registry.get = unguarded
