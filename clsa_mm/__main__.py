"""The doctor: ``python -m clsa_mm`` shows what is installed and what mends the rest."""

import importlib
import importlib.util
import sys

from clsa_mm.stack import Finding, describe_problems, inspect_stack
from clsa_mm.version import __version__

_TITLES = ('package', 'found', 'supported', 'tested', 'state')
_UNKNOWN = 'unknown (its package could not be imported)'


def _row(finding: Finding) -> tuple[str, ...]:
    found = ', '.join(
        version if name == finding.name else f'{version} ({name})' for name, version in finding.found.items()
    )
    if finding.problem:
        state = 'WRONG'
    elif not finding.found:
        state = f'not installed, optional (for {finding.optional_for})'
    elif finding.optional_for or finding.name in {'python', *sys.modules}:
        state = 'ok'
    else:
        state = 'import not tried'
    return finding.name, found or '-', finding.supported, finding.tested, state


def _table(findings: list[Finding]) -> str:
    rows = [_TITLES, *map(_row, findings)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ('  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return '\n'.join(line.rstrip() for line in lines)


def _compiled_ops() -> str:
    """Says whether mmcv has compiled ops, which is no condition for anything but detection."""
    if importlib.util.find_spec('mmcv._ext') is None:
        return (
            'no (pretraining and evaluation need none); detection takes torchvision instead, '
            '`make ops` compiles them'
        )
    try:
        importlib.import_module('mmcv._ext')
    except Exception as error:  # built for another torch
        return f'broken: {type(error).__name__}: {error} (pretraining and evaluation need none)'
    return 'yes'


def _gpus() -> str:
    """Names the GPUs that torch sees and the CUDA version it was built for."""
    import torch

    built = f'torch built for CUDA {torch.version.cuda}' if torch.version.cuda else 'CPU-only torch'
    if not torch.cuda.is_available():
        return f'none usable ({built}); everything runs on the CPU, with gloo between processes'
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return f'{len(names)}: {", ".join(names)} ({built})'


def main() -> int:
    """Prints the table of packages, the machine's abilities, and each problem with its remedy.

    Returns:
        Exit status: 1 if something required is wrong, else 0.
    """
    findings = inspect_stack()
    print(f'clsa_mm {__version__}\n\n{_table(findings)}\n')
    print('compiled ops of mmcv:', _compiled_ops() if 'mmcv' in sys.modules else _UNKNOWN)
    print('GPU:', _gpus() if 'torch' in sys.modules else _UNKNOWN)
    if not any(finding.problem for finding in findings):
        print('\nNothing is wrong.')
        return 0
    print(f'\nWrong:\n{describe_problems(findings)}')
    return int(any(finding.problem and not finding.optional_for for finding in findings))


if __name__ == '__main__':
    raise SystemExit(main())
