"""Draw what runs have logged, with bands over seeds: PNG and SVG.

    python tools/analysis_tools/plot_curves.py CLSA=work_dirs/clsa/0 CLSA=work_dirs/clsa/1 \
        "MoCo v2=work_dirs/mocov2/0" --figures loss_contrastive loss_ddm knn/top1 --out figures/curves

Runs of the same name are seeds of one curve: mean, and sample standard deviation as a band.
"""

import argparse
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

from clsa_mm.printable import printable
from clsa_mm.visualization.curves import SCORE_FIGURES, draw_curves, lacking, read_named_runs
from clsa_mm.visualization.style import save_figure


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'runs', nargs='+', metavar='NAME=RUN', help='work dirs, each with the name of its curve'
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        '--figures', nargs='+', default=['loss_contrastive', 'knn/top1'], metavar='FIGURE',
        help='what to draw, a panel each (default: loss_contrastive knn/top1)',
    )  # fmt: skip
    which.add_argument(
        '--scores', action='store_true', help='draw mean and variance of positive and negative scores'
    )
    parser.add_argument('--over', choices=['iteration', 'epoch'], default='iteration', help='the x axis')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/curves'), help='file, .png and .svg')
    return parser.parse_args()


def main() -> None:
    """Write the figure."""
    args = parse_args()
    figures = SCORE_FIGURES if args.scores else args.figures
    try:
        runs = read_named_runs(args.runs)
        figure = draw_curves(runs, figures, args.over)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    for name, missing in lacking(runs, figures).items():
        print(f'{printable(name)} has logged no {", ".join(missing)}: no line of it there')
    print('Written: ' + ', '.join(map(str, save_figure(figure, args.out))))


if __name__ == '__main__':
    main()
