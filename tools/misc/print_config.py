"""Print a config as a run takes it: bases, options and all that follows from them merged.

python tools/misc/print_config.py configs/cifar10/clsa_r18_1xb256_200e_cifar10.py
python tools/misc/print_config.py my_config.py --diff --cfg-options model.head.beta=0.5
"""

import argparse

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

from mmengine.config import Config

from clsa_mm.engine.options import OptionsAction
from clsa_mm.engine.settings import holds_settings, load_bases, load_config, settings


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        '--diff', action='store_true', help='print only what the file and the options change in its bases'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, help='override the config: key=value'
    )
    return parser.parse_args()


def changes(base: Config, cfg: Config) -> list[str]:
    """A line for each setting that a config has not as its bases have it: - what was, + what is."""
    old, new = (
        {name: value for name, value in settings(part) if not holds_settings(value)} for part in (base, cfg)
    )
    lines = []
    for name in dict.fromkeys([*old, *new]):
        if name not in new or name in old and old[name] != new[name]:
            lines.append(f'- {name} = {old[name]!r}')
        if name not in old or name in new and old[name] != new[name]:
            lines.append(f'+ {name} = {new[name]!r}')
    return lines


def main() -> None:
    """Print it."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    print('\n'.join(changes(load_bases(args.config), cfg)) if args.diff else cfg.pretty_text)


if __name__ == '__main__':
    main()
