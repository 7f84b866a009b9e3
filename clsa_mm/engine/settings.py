"""Loading a config so that what is set takes effect, or is refused with the name that does.

mmengine merges whatever it is given: a variable of a base file that is set anew, or a misspelt key, changes
nothing and says nothing. All tools load their config by :func:`load_config`.
"""

import difflib
import inspect
import os.path as osp
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from clsa_mm.datasets.views.nearest_name import nearest
from clsa_mm.datasets.views.settings import build_views
from clsa_mm.engine.config_files import known_hooks, read_config_file, unread_variables
from clsa_mm.engine.constructors import BUILT, remedy_for_type, unknown_arguments
from clsa_mm.engine.options import merge_options
from clsa_mm.evaluation.dataloaders import find_hook
from clsa_mm.given_numbers import check_numbers

# Top-level names that something reads: the runner, mmengine's config, tools/benchmarks/transfer.py (metric).
READ = {*inspect.signature(Runner.__init__).parameters} - {'self', 'cfg'} | {
    'activation_checkpointing', 'compile', 'custom_imports', 'efficient_conv_bn_eval',
    'find_unused_parameters', 'metric', 'model_wrapper_cfg', 'sync_bn',
}  # fmt: skip
# The hooks that mmengine itself puts there: it removes them where the config says None, and fails at others.
OWN_TO_MMENGINE = {'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint'}


def load_config(path: str | Path, options: Mapping[str, Any] | None = None) -> Config:
    """Load a config and merge options into it, refuse what nothing reads, and fill in what follows.

    Args:
        path: The config file, anywhere; its bases may be ours, ``clsa_mm::...``.
        options: Dotted name to value, as of ``--cfg-options``. Defaults to None.

    Returns:
        The config that a run uses. Another data set's ``data_root`` or ``metainfo`` that is None has become
        the training set's, and so have the views of a KNNHook with augmented images that gives none; a COCO
        metric's ``ann_file`` has become that of its data set.

    Raises:
        ValueError: For a top-level name of the file, or an option, that nothing reads; for an argument that
            a constructor does not have. The message holds the nearest right name. For a schedule that begins
            when the training has ended.
    """
    read_config_file(Path(path))  # names the file where mmengine's error on its _base_ does not
    cfg = Config.fromfile(path)
    read = READ - _unread_here(cfg)
    for file, name in unread_variables(Path(path), cfg, read):
        raise ValueError(f'{file}: nothing reads `{name}`, so that it changes nothing. {_advice(name, cfg)}')
    for name in options or {}:
        if name.partition('.')[0] not in read - {'metric'}:  # which is read in the file
            raise ValueError(f'--cfg-options {name}: nothing reads it. {_advice(name, cfg)}')
        if name.partition('.')[0] == 'custom_imports':
            raise ValueError(
                f'--cfg-options {name}: an option runs no code, and importing a module does. Name modules in '
                'a config file that inherits from this one: custom_imports = dict(imports=[...]).'
            )
    merge_options(cfg, options or {})
    _check(cfg)
    _check_schedules(cfg)
    _check_switched_off(cfg, Path(path))
    return _completed(cfg)


def default_work_dir(path: str | Path) -> str:
    """Folder of a run's logs and checkpoints, of its own for each config.

    Args:
        path: The config file.

    Returns:
        ``work_dirs/`` with the file's path below the last folder that is named ``configs``, or else with its
        name alone, without the extension.
    """
    parts = Path(path).resolve().with_suffix('').parts
    below = parts[len(parts) - parts[::-1].index('configs') :] if 'configs' in parts[:-1] else parts[-1:]
    return osp.join('work_dirs', *below)


def load_bases(path: str | Path) -> Config:
    """Load what a config inherits, without what it says itself; :func:`load_config` has the rest.

    Args:
        path: The config file.

    Returns:
        The bases merged, empty if there is none.
    """
    folder = Path(path).resolve().parent
    bases = [base if '::' in base else str(folder / base) for base in read_config_file(Path(path)).bases]
    cfg = Config.fromstring(f'_base_ = {bases}', '.py') if bases else Config()
    return _completed(cfg)


def settings(node: Mapping | Sequence, name: str = '') -> Iterator[tuple[str, object]]:
    """All full names in a config, with their values.

    Args:
        node: A config or a part of it.
        name: Full name of the part. Defaults to '': the whole.

    Yields:
        Name and value of each entry, of dictionaries and of lists of dictionaries too.
    """
    for key, child in enumerate(node) if isinstance(node, list | tuple) else node.items():
        full = f'{name}.{key}' if name else str(key)
        yield full, child
        if holds_settings(child):
            yield from settings(child, full)


def holds_settings(value: object) -> bool:
    """Whether a value is a dictionary or a list that holds some, and not a setting itself."""
    if isinstance(value, list | tuple):
        return any(holds_settings(child) for child in value)
    return isinstance(value, dict) and bool(value)


def _unread_here(cfg: Config) -> set[str]:
    """Names that something reads in other configs, but not in this one."""
    dataset = next(_data_sets(cfg.get('train_dataloader')), {})
    unread = set() if dataset.get('type') == 'published_dataset' else {'metric'}
    # The runner gives this to a model that has none.
    return unread | ({'data_preprocessor'} if 'data_preprocessor' in (cfg.get('model') or {}) else set())


def _advice(name: str, cfg: Config) -> str:
    """The settings that a wrong name may have meant: the same last name, a word of it, or a typo away."""
    wrong = name.partition('.')[0]
    built = {key: cfg[key] for key in BUILT if cfg.get(key) is not None and key != wrong}
    last = {full: full.rpartition('.')[2] for full, _ in settings(built)}
    known = set(last.values())
    parts = [part for part in reversed(name.split('.')) if not part.isdecimal()]
    meant = [part for part in parts if part in known][:1]
    if not meant and wrong == 'train_pipeline':  # mmpretrain's
        return 'Views are set in train_dataloader.dataset.views.'
    meant = meant or [near for part in parts for near in known if near in part.split('_')]
    meant = meant or [near for part in parts for near in known if part in near.split('_')]
    meant = meant or [near for part in parts if (near := nearest(part, known, 0.7))]
    found = [full for full in last if last[full] in meant]
    found.sort(key=lambda full: (-difflib.SequenceMatcher(None, name, full).ratio(), full))
    if found:
        return f'Did you mean {" or ".join(found[:3])}?'
    return (
        'Settings have full names, such as train_cfg.max_epochs: tools/misc/print_config.py shows them all.'
    )


def _check(cfg: Config) -> None:
    """Refuse what no constructor takes, impossible views, and hooks without a type."""
    for name in BUILT:
        if name != 'compile' and not isinstance(cfg.get(name), dict | list | tuple | None):
            raise ValueError(
                f'{name} is {cfg[name]!r}, but holds settings: set one of them by its full name, {name}.NAME.'
            )
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):
        for name, owner, known in unknown_arguments(cfg):
            place, hint = name.rpartition('.')[0], _nearest(name, known)
            if place in ('train_cfg', 'val_cfg', 'test_cfg') or not hint.startswith('Did you mean'):
                hint += f' If it is inherited, `_delete_=True` in {place} leaves out all that is.'
            raise ValueError(f'{name}: {owner} has no such setting. {hint}')
        for name, node in settings({key: cfg[key] for key in BUILT if key in cfg}):
            typed = {'type': node} if name == 'optim_wrapper.constructor' else node
            if isinstance(typed, dict) and (remedy := remedy_for_type(typed, name)):
                place = name if typed is not node else f'{name}.type'
                raise ValueError(f'{place}: nothing is registered as {typed["type"]}. {remedy}')
    for dataset in _data_sets(cfg.get('train_dataloader')):
        if dataset.get('views') is not None:
            build_views(dataset.views)
    for place in ('default_hooks', 'custom_hooks'):
        hooks = cfg.get(place) or {}
        for key, hook in hooks.items() if isinstance(hooks, dict) else enumerate(hooks):
            if isinstance(hook, dict) and 'type' not in hook:
                known = [name for name in hooks if name != key] if isinstance(hooks, dict) else []
                raise ValueError(
                    f'{place}.{key} is no hook: it has no type. {_nearest(f"{place}.{key}", known)}'
                )


def _check_schedules(cfg: Config) -> None:
    """Refuse a training that is over before a schedule begins, such as the one after a warm-up."""
    schedules = cfg.get('param_scheduler') or ()
    for number, schedule in enumerate([schedules] if isinstance(schedules, dict) else schedules):
        length = 'max_epochs' if schedule.get('by_epoch', True) else 'max_iters'
        total, begin = (cfg.get('train_cfg') or {}).get(length), schedule.get('begin', 0)
        check_numbers('train_cfg', whole=True, low=1, **{length: total})
        if total is not None and 'end' not in schedule and begin >= total:
            name = 'param_scheduler' if isinstance(schedules, dict) else f'param_scheduler.{number}'
            raise ValueError(
                f'{name}.begin={begin}, but train_cfg.{length}={total} ends the training within the warm-up '
                f'before it: set train_cfg.{length} above {begin}, {name}.begin below {total} (with the end '
                'of the warm-up), or param_scheduler=None for a constant learning rate.'
            )


def _check_switched_off(cfg: Config, path: Path) -> None:
    """Refuse None for a hook that is there neither in the config file nor in its bases."""
    off = {name for name, hook in (cfg.get('default_hooks') or {}).items() if hook is None} - OWN_TO_MMENGINE
    if not off or Config._is_lazy_import(str(path)):
        return
    there = known_hooks(path) | OWN_TO_MMENGINE
    for name in sorted(off - there):
        full = f'default_hooks.{name}'
        raise ValueError(f'{full}: there is no such hook to switch off. {_nearest(full, there)}')


def _nearest(name: str, known: Iterable[str]) -> str:
    place, _, last = name.rpartition('.')
    near = nearest(last, known)
    meant = f'Did you mean {place}.{near}? ' if near else ''
    return f'{meant}There is {", ".join(sorted(known)) or "none"}.'


def _completed(cfg: Config) -> Config:
    """Put the training set's values in place of the None of other data sets, and mend what has to agree."""
    train = list(_data_sets(cfg.get('train_dataloader')))
    loaders = {split: cfg.get(f'{split}_dataloader') for split in ('train', 'val', 'test')}
    for dataset in _data_sets([*loaders.values(), cfg.get('default_hooks'), cfg.get('custom_hooks')]):
        for key in ('data_root', 'metainfo'):
            if key in dataset and dataset[key] is None:
                dataset[key] = next((other[key] for other in train if other.get(key) is not None), None)
    hook = find_hook(cfg, 'KNNHook') or {}
    if hook.get('augmented') and not hook.get('views'):
        hook.views = next((dataset.views for dataset in train if dataset.get('views')), None)
    for split in ('val', 'test'):
        evaluators = cfg.get(f'{split}_evaluator') or ()
        for metric in evaluators if isinstance(evaluators, list | tuple) else [evaluators]:
            dataset = next(_data_sets(loaders[split]), {})
            if metric.get('ann_file', '') is None and str(dataset.get('ann_file')).endswith('.json'):
                metric.ann_file = osp.join(dataset.get('data_root') or '', dataset.ann_file)
    for loader in filter(None, loaders.values()):
        if not loader.get('num_workers'):  # torch refuses these without workers
            loader.persistent_workers = False
            loader.pop('prefetch_factor', None)
    hooks = cfg.get('default_hooks') or {}
    for name in [name for name, hook in hooks.items() if hook is None and name not in OWN_TO_MMENGINE]:
        del hooks[name]
    return cfg


def _data_sets(node: object, inside: bool = False) -> Iterator[ConfigDict]:
    """The data sets of a part of a config, without wrappers around them."""
    if isinstance(node, list | tuple):
        for child in node:
            yield from _data_sets(child, inside)
    elif isinstance(node, dict):
        inner = [
            node[key] for key in ('dataset', 'datasets') if isinstance(node.get(key), list | tuple | dict)
        ]
        if inner:
            yield from _data_sets(inner, inside=True)
        elif inside:
            yield node
        else:
            yield from _data_sets(list(node.values()))
