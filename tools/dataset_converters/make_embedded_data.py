"""Write the embedded picture world in the layouts of ImageNet, PASCAL VOC and COCO.

Example:
    python tools/dataset_converters/make_embedded_data.py data --layouts imagenet --num-train 2000
"""

import argparse
import sys

from clsa_mm.datasets.embedded import GENERATORS, EmbeddedDataError


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write a generated picture world as ImageNet, VOC and COCO. No download.'
    )
    parser.add_argument('root', help='folder that gets imagenet/, VOCdevkit/ and coco/')
    parser.add_argument(
        '--layouts', nargs='+', choices=tuple(GENERATORS), default=tuple(GENERATORS),
        help='what to write (default: all)',
    )  # fmt: skip
    for split in ('train', 'val'):
        parser.add_argument(
            f'--num-{split}', type=int, help=f"{split} images (default: the layout's own number)"
        )
    parser.add_argument('--num-test', type=int, help='test images of VOC2007')
    parser.add_argument('--image-size', type=int, help="longer side in pixels (default: the layout's own)")
    parser.add_argument('--seed', type=int, default=0, help='another seed, other images')
    parser.add_argument('--overwrite', action='store_true', help='replace data made with other parameters')
    return parser.parse_args()


def main() -> None:
    """Write what the command line asks for."""
    args = parse_args()
    sizes = ('num_train', 'num_val', 'num_test', 'image_size')
    given = {name: getattr(args, name) for name in sizes if getattr(args, name) is not None}
    for layout in args.layouts:
        options = {k: v for k, v in given.items() if k != 'num_test' or layout == 'voc'}
        try:
            folder = GENERATORS[layout](args.root, seed=args.seed, overwrite=args.overwrite, **options)
        except (EmbeddedDataError, ValueError) as error:
            sys.exit(f'error: {error}')
        print(f'{layout}: {folder}')


if __name__ == '__main__':
    main()
