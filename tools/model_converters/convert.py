"""Convert a checkpoint from one library's layout to another's; docs/checkpoints.md has the table.

python tools/model_converters/convert.py work_dirs/.../epoch_200.pth clsa_r50.pkl --to detectron2
"""

import argparse
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

from clsa_mm.checkpoints import FORMATS, convert_file
from clsa_mm.checkpoints.read import CheckpointError, register_safe_loader


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('source', type=Path, help='checkpoint file; its layout is detected')
    parser.add_argument('destination', type=Path, help='file to write, .pkl for detectron2')
    parser.add_argument(
        '--to',
        required=True,
        choices=FORMATS,
        help="clsa: all that CLSA's pretraining has; mm: the bare backbone for mmpretrain and mmdet; "
        "official: the authors' and MoCo's .pth.tar",
    )
    parser.add_argument('--from', dest='source_format', choices=FORMATS, help='insist on this source layout')
    parser.add_argument('--force', action='store_true', help='replace an existing file')
    parser.add_argument('--trust-checkpoint', action='store_true', help='run code that is in a checkpoint')
    return parser.parse_args()


def main() -> None:
    """Write the file and print what is in it and what is not."""
    args = parse_args()
    register_safe_loader(args.trust_checkpoint)
    try:
        conversion = convert_file(args.source, args.destination, args.to, args.source_format, args.force)
    except (CheckpointError, OSError) as error:
        raise SystemExit(str(error)) from error
    print(f'{conversion}\nwritten: {args.destination}')


if __name__ == '__main__':
    main()
