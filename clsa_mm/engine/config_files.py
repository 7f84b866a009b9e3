"""What a config's files say: their top-level names, which of them nothing reads, and their bases."""

import ast
import re
import tempfile
from collections.abc import Iterator, Set
from pathlib import Path
from typing import NamedTuple

import mmengine
from mmengine.config import Config

# A base that says all of these is a whole config, as mmengine writes it to work dirs.
_WHOLE = {
    'model', 'train_dataloader', 'train_cfg', 'optim_wrapper', 'default_scope', 'default_hooks', 'env_cfg',
}  # fmt: skip
_BASE_IN_TEXT = re.compile(r'\{\{\s*_base_\.(\w+)')


class ConfigFile(NamedTuple):
    """A config file's top-level names, those that its lines read, its bases', and the bases."""

    assigned: list[str]
    used: set[str]
    used_of_bases: set[str]
    bases: list[str]


def read_config_file(path: Path) -> ConfigFile:
    """Read one file without its bases.

    Args:
        path: A config of any format of mmengine's.

    Returns:
        What it says, with the bases as written; of ``with read_base():``, paths of the files beside it.

    Raises:
        ValueError: For a ``_base_`` that mmengine cannot evaluate.
    """
    with tempfile.TemporaryDirectory() as folder:  # with {{ fileDirname }} and the like filled in
        filled = str(Path(folder, f'config{path.suffix}'))
        Config._substitute_predefined_vars(str(path), filled)
        Config._substitute_env_variables(filled, filled)
        try:
            bases = Config._get_base_files(filled)
        except NameError as error:
            raise ValueError(f'{path}: _base_ has to stand for itself, without variables: {error}') from None
        text = Path(filled).read_text(encoding='utf-8')
        if path.suffix != '.py':
            return ConfigFile(list(mmengine.load(filled)), set(), {*_BASE_IN_TEXT.findall(text)}, bases)
    tree = ast.parse(text)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    assigned = [node.id for node in names if isinstance(node.ctx, ast.Store) and node.id[0] != '_']
    to_itself = {id(node) for node in _reads_of_itself(tree)}
    used = {node.id for node in names if isinstance(node.ctx, ast.Load) and id(node) not in to_itself}
    used_of_bases = {*_names_of_bases(tree)}
    if Config._is_lazy_import(str(path)):
        bases, used_of_bases = list(_imported_bases(tree, path)), used
    return ConfigFile(assigned, used, used_of_bases, bases)


def unread_variables(path: Path, cfg: Config, read: Set[str], top: bool = True) -> Iterator[tuple[Path, str]]:
    """Top-level names of a file and the bases beside it which no line of theirs reads, nor anything else.

    Bases of a package, ``mmdet::...``, and whole configs that inherit nothing, as mmengine writes them to
    work dirs, have variables that have been used; those are left alone.

    Args:
        path: The file.
        cfg: All that it says with its bases.
        read: The names that something reads.
        top: Whether the file is no base of another. Defaults to True.

    Yields:
        File and name.
    """
    file = read_config_file(path)
    read = read | file.used_of_bases
    if file.bases or not (top or _WHOLE <= {*file.assigned}):
        yield from ((path, name) for name in file.assigned if name in cfg and name not in read | file.used)
    for base in file.bases:
        if '::' not in base:
            yield from unread_variables(path.parent / base, cfg, read, top=False)


def known_hooks(path: Path, top: bool = True) -> set[str]:
    """Names in ``default_hooks`` of a config and all that it inherits, of hooks switched off on the way too.

    Args:
        path: The config file. All hooks of a whole one, without bases, are known, switched off or not.
        top: Whether the file is no base of another. Defaults to True.
    """
    bases = read_config_file(path).bases
    hooks = Config.fromfile(path, import_custom_modules=False).get('default_hooks') or {}
    known = {name for name, hook in hooks.items() if hook is not None or top and not bases}
    return known.union(
        *(known_hooks(Path(Config._get_cfg_path(base, str(path))[0]), False) for base in bases)
    )


def _reads_of_itself(tree: ast.AST) -> Iterator[ast.Name]:
    """The right-hand name of ``x = x * 2``."""
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Assign):
            targets = {target.id for target in statement.targets if isinstance(target, ast.Name)}
            for node in ast.walk(statement.value):
                if isinstance(node, ast.Name) and node.id in targets:
                    yield node


def _names_of_bases(tree: ast.AST) -> Iterator[str]:
    """The x of ``_base_.x``, ``{{_base_.x}}`` and ``'{{ _base_.x }}'``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == '_base_':
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _BASE_IN_TEXT.findall(node.value)


def _imported_bases(tree: ast.AST, path: Path) -> Iterator[str]:
    """Files that ``with read_base(): from .x import *`` reads, but those of packages."""
    for block in ast.walk(tree):
        for node in block.body if isinstance(block, ast.With) else ():
            if isinstance(node, ast.ImportFrom) and node.level and node.module:
                yield str(path.resolve().parents[node.level - 1].joinpath(*node.module.split('.'))) + '.py'
            else:
                yield f'{getattr(node, "module", "")}::'
