"""Cost of a training step of pretraining configs, absolute and relative to MoCo v2's with the same backbone.

A row for each config: sizes in pixels of the views that go forward through an encoder without a backward pass
(the key encoder's) and of those that go forward and backward; floating-point operations for one image, a
multiplication and an addition being two; and how many times a step of MoCo v2 that is. Counted on the model.

    python tools/analysis_tools/get_cost.py configs/clsa*_r50_8xb32_200e.py
"""

import argparse
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported


from clsa_mm.engine.options import OptionsAction
from clsa_mm.engine.settings import load_config
from clsa_mm.engine.step_cost import moco_v2_of, step_cost
from clsa_mm.printable import markdown_cell


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', nargs='+', help='paths of pretraining configs')
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, help='override the configs: key=value'
    )
    return parser.parse_args()


def main() -> None:
    """Print a table in Markdown."""
    args = parse_args()
    print('| config | forward | forward and backward | GFLOPs | of MoCo v2 |')
    print('|---|---|---|---|---|', flush=True)
    for path in args.config:
        cfg = load_config(path, args.cfg_options)
        cost, baseline = step_cost(cfg), step_cost(moco_v2_of(cfg))
        sizes = (' '.join(map(str, cost.sizes(backward))) for backward in (False, True))
        columns = [*sizes, f'{cost.flops / 1e9:.1f}', f'{cost.flops / baseline.flops:.2f}']
        print(f'| {markdown_cell(Path(path).stem)} | {" | ".join(columns)} |', flush=True)


if __name__ == '__main__':
    main()
