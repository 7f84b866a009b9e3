"""Write a report on runs, one HTML page that needs no network.

python tools/analysis_tools/report.py work_dirs/cifar10/clsa_r18_1xb256_200e_cifar10
python tools/analysis_tools/report.py work_dirs/a work_dirs/b --out comparison.html   # side by side
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

from clsa_mm.checkpoints.read import register_safe_loader
from clsa_mm.printable import printable
from clsa_mm.reports import write_report


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('runs', nargs='+', type=Path, metavar='RUN', help='work dirs')
    parser.add_argument('--out', type=Path, help='file to write (default: report.html in the first work dir)')
    parser.add_argument(
        '--images', type=int, default=1000, help='images that each checkpoint looks at (default 1000)'
    )
    parser.add_argument('--no-features', action='store_true', help='leave out what needs the checkpoint')
    parser.add_argument(
        '--seconds', type=float, default=300, help='time for the images of each run (default 300)'
    )
    parser.add_argument('--data', type=Path, help='folder of images, in place of those that the runs name')
    parser.add_argument(
        '--seed', type=int, default=0, help='of the choice of images, views and maps (default 0)'
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write it and say where."""
    args = parse_args(argv)
    register_safe_loader()
    try:
        path = write_report(
            args.runs,
            args.out or args.runs[0] / 'report.html',
            images=args.images,
            features=not args.no_features,
            seconds=args.seconds,
            seed=args.seed,
            data=args.data,
        )
    except (OSError, ValueError) as error:
        raise SystemExit(printable(error)) from None
    print(f'{printable(path)} ({path.stat().st_size / 1e6:.1f} MB)')


if __name__ == '__main__':
    main()
