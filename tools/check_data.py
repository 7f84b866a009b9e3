"""Find the bad images of folders before a training does, and list the good ones.

python tools/check_data.py data/imagenet/train --out data/checked
"""

import argparse
import os
import sys
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

from clsa_mm.checkpoints.unfinished import unfinished
from clsa_mm.datasets import ImageFolder
from clsa_mm.datasets.check import check_folder
from clsa_mm.datasets.corrupt_files import REPORT
from clsa_mm.datasets.transforms.decode_image import MAX_PIXELS
from clsa_mm.datasets.transforms.load_image import LoadImage
from clsa_mm.evaluation.corrupt_report import by_kind, write_report
from clsa_mm.printable import printable


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('folders', nargs='+', metavar='FOLDER', help='of images, flat or nested')
    parser.add_argument('--out', type=Path, required=True, help='folder for the lists')
    parser.add_argument('--list', default='', help='look at the files of this list alone (one folder)')
    parser.add_argument('--workers', type=int, default=os.cpu_count() or 1, help='processes (%(default)s)')
    parser.add_argument('--timeout', type=float, default=60.0, help='seconds for a file (%(default)s)')
    parser.add_argument(
        '--max-pixels', type=int, default=MAX_PIXELS, help='height x width that a file may have (%(default)s)'
    )
    parser.add_argument('--strict', action='store_true', help='exit with status 1 if any file is bad')
    args = parser.parse_args()
    names = [list_name(folder) for folder in args.folders]
    if len({*names}) < len(names):
        parser.error(f'two folders would write the same list: {", ".join(names)}; check them one by one')
    if args.list and len(args.folders) > 1:
        parser.error('--list goes with one folder')
    if args.workers < 1 or not args.timeout > 0:
        parser.error(f'--workers {args.workers} must be at least 1 and --timeout {args.timeout} above 0')
    return args


def list_name(folder: str) -> str:
    """What the list of a folder is called."""
    return f'{Path(folder).resolve().name}.txt'


def tell(line: str) -> None:
    """Show progress."""
    print(line, file=sys.stderr, flush=True)


def write_list(path: Path, names: list[str]) -> None:
    """Write a list as ``ImageFolder`` reads it; whole, or not at all."""
    with unfinished(path) as part:
        part.write_bytes(b''.join(os.fsencode(name) + b'\n' for name in names))
        part.replace(path)


def main() -> None:
    """Check the folders, write the lists, show a table."""
    args = parse_args()
    found = {}
    for folder in args.folders:
        try:
            dataset = ImageFolder(data_prefix=folder, ann_file=args.list)
            load = LoadImage(max_pixels=args.max_pixels)
        except (FileNotFoundError, ValueError) as error:
            raise SystemExit(printable(error)) from error
        good, bad = check_folder(dataset, load, args.workers, args.timeout, tell)
        path = args.out / list_name(folder)
        write_list(path, good)
        print(f'{printable(folder)}: {len(good)} good files, {len(bad)} bad ones')
        for kind, paths in by_kind(bad).items():
            print(f'  {kind:>21} {len(paths):>9}   first: {printable(paths[0])}')
        if bad:
            found[folder] = bad
        print(
            '  to train on the good ones: --cfg-options '
            f'train_dataloader.dataset.data_root={printable(folder)} '
            f'train_dataloader.dataset.ann_file={printable(path.resolve())}'
        )
    print(f'All bad files: {printable(write_report(args.out / REPORT, found))}')
    if args.strict and found:
        raise SystemExit(1)


if __name__ == '__main__':
    main()
