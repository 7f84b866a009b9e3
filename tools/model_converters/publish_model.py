"""Make a checkpoint ready to give away: weights, config, versions, and its hash in its name.

python tools/model_converters/publish_model.py work_dirs/.../epoch_200.pth clsa_r50_8xb32_200e
"""

import argparse
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

from clsa_mm.checkpoints.publish import publish_checkpoint
from clsa_mm.checkpoints.read import CheckpointError, register_safe_loader


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('source', type=Path, help='training checkpoint')
    parser.add_argument('destination', type=Path, help='name of the new file, up to the hash')
    parser.add_argument('--backbone-only', action='store_true', help='keep the backbone alone')
    parser.add_argument('--config', type=Path, help='the config, where the checkpoint holds none')
    parser.add_argument('--trust-checkpoint', action='store_true', help='run code that is in a checkpoint')
    return parser.parse_args()


def main() -> None:
    """Write the file and print its name."""
    args = parse_args()
    register_safe_loader(args.trust_checkpoint)
    try:
        path, left_out = publish_checkpoint(args.source, args.destination, args.backbone_only, args.config)
    except (CheckpointError, OSError) as error:
        raise SystemExit(str(error)) from error
    if left_out:
        print(f'left out: {", ".join(left_out)}')
    print(f'written: {path}')


if __name__ == '__main__':
    main()
