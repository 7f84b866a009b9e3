"""Imports inside the package run one way, by their full names, and never in a circle."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1] / 'clsa_mm'
# Each may import what stands before it; the data sets and what has no folder stand beside them all.
LAYERS = {'datasets': 0, 'models.losses': 1, 'models': 2, 'checkpoints': 3, 'evaluation': 4}
LAYERS |= {'engine': 5, 'integrations': 5, 'visualization': 6, 'reports': 7, 'pretraining': 8}
BESIDE = {'durations', 'given_names', 'given_numbers', 'printable', 'stack', 'version'}


def module_name(path: Path) -> str:
    """The name below ``clsa_mm``; of its ``__init__.py`` the empty one."""
    return '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('__init__').removesuffix('.')


MODULES = {module_name(path): path for path in ROOT.rglob('*.py')}


def imported(path: Path) -> Iterator[str]:
    """The package's modules that a file imports; its top and what is relative as the empty name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f'{node.module}.{alias.name}' for alias in node.names]
            if node.level or node.module == 'clsa_mm':
                names = ['clsa_mm']
        else:
            continue
        for name in names:
            if name.partition('.')[0] == 'clsa_mm':
                name = name[len('clsa_mm.') :]
                yield name if name in MODULES else name.rpartition('.')[0]


def layer(module: str) -> str:
    return next((name for name in ('models.losses', module.partition('.')[0]) if module.startswith(name)), '')


def test_imports_run_one_way() -> None:
    inner = {module: path for module, path in MODULES.items() if layer(module) in LAYERS}
    assert len(inner) > 40 and {layer(module) for module in inner} == set(LAYERS)
    for module, path in inner.items():
        for target in imported(path):
            assert target, f'{path} imports the top of the package, or relatively'
            own, other = layer(module), layer(target)
            below = other in BESIDE or LAYERS[other] < LAYERS[own]
            assert own == other or below, f'{path} imports {target}, which stands above it or beside it'


def test_no_circles() -> None:
    graph = {module: set(imported(path)) - {module} for module, path in MODULES.items()}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(graph)
