"""Pretrain a backbone on a folder of images: ``python tools/pretrain.py FOLDER``; docs/pretrain.md.

python tools/pretrain.py photographs --out work_dirs/photographs --hours 8
"""

import argparse
import contextlib
import io
import warnings

# What the libraries say on import, of operations that are not needed here, is no news to who runs this.
with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
    warnings.simplefilter('ignore')
    import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

    from clsa_mm.pretraining import pretrain
    from clsa_mm.pretraining.rules import METHODS
    from clsa_mm.printable import printable


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('data', metavar='FOLDER', help='images, flat or nested; no labels needed')
    parser.add_argument('--out', default='work_dirs/pretrain', help='folder for all results (%(default)s)')
    parser.add_argument(
        '--model',
        default='',
        help="resnet18 to 152, one of mmpretrain's zoo (convnext-tiny), or timm/NAME; default: resnet50 on "
        'GPUs, resnet18 without',
    )
    parser.add_argument('--method', default='clsa', choices=METHODS)
    length = parser.add_mutually_exclusive_group()
    length.add_argument('--epochs', type=int, help='length; default: by the rules')
    length.add_argument('--hours', type=float, help='time for all of it, which the epochs are fitted to')
    parser.add_argument('--init', metavar='CHECKPOINT', help='start from the backbone of any checkpoint')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--dry-run', action='store_true', help='print the config and do nothing')
    return parser.parse_args()


def main() -> None:
    """Do it."""
    try:
        pretrain(**vars(parse_args()))
    except (ValueError, OSError, RuntimeError) as error:
        raise SystemExit('\n'.join(map(printable, str(error).splitlines()))) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == '__main__':
    main()
