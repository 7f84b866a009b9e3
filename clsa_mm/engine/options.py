"""``--cfg-options``: how the tools read them, and what they can set in a config."""

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.config.utils import MODULE2PACKAGE

_SCOPES = {'mmengine', 'mmcv', *MODULE2PACKAGE}  # what a registered name may begin with
# Where a value, or an entry of a list, starts as a dictionary; 'epoch_{}.pth' has braces too.
_DICTIONARY = re.compile(r'(^|[\[(,])\s*[\'"]?(dict\(|\{)')


class OptionsAction(DictAction):
    """mmengine's action, which reads ``key=value``, with a word on values that it does not read."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Add options to those of the namespace; the parser exits at one that is no plain value."""
        for option in values or ():
            name, equals, value = option.partition('=')
            if not (name and equals):
                parser.error(f'{option_string} {option}: write name=value, without blanks around =')
            if _DICTIONARY.search(value):
                parser.error(
                    f'{option_string} {name}: options take plain values and lists of them, no dictionaries. '
                    f'Set its keys singly, such as {name}.type=..., or write a config that inherits this one'
                )
            try:
                super().__call__(parser, namespace, [option], option_string)
            except (AssertionError, RecursionError):
                parser.error(f'{option_string} {option}: the brackets are not those of a list or a tuple')


def merge_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Merge options as mmengine does, but say what to write where it cannot.

    Args:
        cfg: What they are merged into.
        options: Dotted name to value.

    Raises:
        ValueError: For an entry of a list that is not there, a part of a plain value, a setting of a
            validation or test that the config does not have, or a type that is not one of a registry.
    """
    for name, value in options.items():
        _check_place(cfg, name)
        _check_type(name, value)
    cfg.merge_from_dict(dict(options))
    for name, value in options.items():
        if value is not None:
            _check_evaluated(cfg, name)


def _check_place(cfg: Config, name: str) -> None:
    node, place = cfg, ''
    for part in name.split('.'):
        if isinstance(node, list) and any(isinstance(child, dict | list) for child in node):
            if not (part.isdecimal() and int(part) < len(node)):
                raise ValueError(
                    f'--cfg-options {name}: {place} has entries 0 to {len(node) - 1}, no {part}.'
                )
            node = node[int(part)]
        elif not isinstance(node, Config | dict):
            remedy = f'Set it as a whole: {place}=...'
            if node is None:
                remedy = 'A config that inherits this one can give it.'
            raise ValueError(
                f'--cfg-options {name}: {place} is {node!r}, of which one cannot set a part. {remedy}'
            )
        elif part in node:
            node = node[part]
        else:
            absent = f'{place}.{part}'.removeprefix('.')
            if re.match(r'\.\d+(\.|$)', name.removeprefix(absent)):
                raise ValueError(
                    f'--cfg-options {name}: there is no list {absent} of which to set an entry. '
                    'A config that inherits this one can give it.'
                )
            break
        place = f'{place}.{part}'.removeprefix('.')


def _check_type(name: str, value: object) -> None:
    """Refuse the path of a Python object, which mmengine imports and calls: any function of any module."""
    scope, dot, rest = str(value).partition('.')
    if name.rpartition('.')[2] in ('type', 'constructor') and dot:
        if '.' in rest or scope not in _SCOPES:
            raise ValueError(
                f'--cfg-options {name}={value}: options name what is registered, such as ResNet or '
                'mmpretrain.ResNet. What is to be imported by its path is named in a config file.'
            )


def _check_evaluated(cfg: Config, name: str) -> None:
    """Refuse a setting of a validation or a test where there is none, for it would change nothing."""
    of = re.match(r'(?:train_cfg\.)?(val|test)_', name)
    if not of:
        return
    split = of[1]
    parts = [f'{split}_{part}' for part in ('dataloader', 'cfg', 'evaluator')]
    missing = [part for part in parts if cfg.get(part) is None]
    if missing:
        raise ValueError(
            f'--cfg-options {name}: the config has no {dict(val="validation", test="test")[split]}. '
            f'{", ".join(parts)} belong together; missing: {", ".join(missing)}. A config that '
            'inherits this one can give all three.'
        )
