"""One look of all figures, fit for print, and their files."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from clsa_mm.checkpoints.unfinished import unfinished
from clsa_mm.given_numbers import check_numbers
from clsa_mm.printable import printable

# Colours that the colour-blind tell apart: Okabe and Ito, "Color Universal Design", 2008; the yellow, which
# is faint on white, left out and the black last.
PALETTE = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00', '#000000')
GREY = '#737373'  # of what is no measurement: chance levels, hints
LINE_STYLES = ('-', (0, (4, 1.5)), (0, (1, 1.2)), (0, (4, 1.2, 1, 1.2)))

# Inches: the columns of IEEE's two-column journals, which CVPR's differ from by little.
ONE_COLUMN = 3.5
TWO_COLUMNS = 7.16

STYLE = {
    'axes.grid': True,
    'axes.labelsize': 8,
    'axes.linewidth': 0.6,
    'axes.prop_cycle': matplotlib.cycler(color=PALETTE),
    'axes.spines.right': False,
    'axes.spines.top': False,
    'axes.titlesize': 8,
    'figure.constrained_layout.use': True,
    'figure.dpi': 200,
    'font.family': 'DejaVu Sans',  # comes with matplotlib, so that it is there everywhere
    'font.size': 8,
    'grid.alpha': 0.35,
    'grid.linewidth': 0.4,
    'legend.fontsize': 7,
    'legend.edgecolor': 'none',  # a curve behind a legend is seen through it, and the names can be read
    'legend.framealpha': 0.75,
    'lines.linewidth': 1.2,
    'lines.markersize': 3.5,
    'mathtext.fontset': 'dejavusans',
    'pdf.fonttype': 42,  # TrueType, which publishers ask for
    'ps.fonttype': 42,
    'savefig.dpi': 'figure',
    'svg.fonttype': 'path',  # no font is needed to look at it
    'svg.hashsalt': 'clsa_mm',  # the same names in each file of the same content
    'xtick.labelsize': 7,
    'ytick.labelsize': 7,
}
_WITHOUT_TIME = dict(png={'Software': None}, svg={'Date': None}, pdf={'CreationDate': None})
_LONGEST = 40

# Around what draws or saves: the caller's settings of matplotlib play no part, and stay as they are.
styled = matplotlib.style.context(STYLE, after_reset=True)


def new_figure(rows: int, columns: int, width: float, panel_height: float) -> tuple[Figure, np.ndarray]:
    """A figure of equal panels, outside pyplot's books.

    Args:
        rows: Of panels.
        columns: Of panels.
        width: Of the figure, inches: ``ONE_COLUMN`` or ``TWO_COLUMNS``.
        panel_height: Of one row, inches.

    Returns:
        The figure, and its axes of shape (rows, columns).
    """
    figure = Figure(figsize=(width, rows * panel_height))
    return figure, figure.subplots(rows, columns, squeeze=False)


def label(text: object) -> str:
    """A name from a file, a config or a user as a text that matplotlib draws as it stands.

    Args:
        text: Anything; ``str`` of it is taken. What is long loses its middle.
    """
    text = printable(text)
    if len(text) > _LONGEST:
        text = f'{text[: _LONGEST // 2]}\N{HORIZONTAL ELLIPSIS}{text[1 - _LONGEST // 2 :]}'
    # A formula is what stands between dollars; a legend leaves out what begins with an underscore.
    text = text.replace('$', r'\$')
    return f'\N{NO-BREAK SPACE}{text}' if text.startswith('_') else text


def add_legend(axes: Axes, handles: Sequence | None = None) -> None:
    """Put a legend where it covers least, if there is anything to tell apart."""
    handles = axes.get_legend_handles_labels()[0] if handles is None else handles
    if len(handles) > 1:
        axes.legend(handles=handles)


@styled
def save_figure(
    figure: Figure, path: str | Path, dpi: int | None = None, colours: int | None = None
) -> list[Path]:
    """Write a figure as PNG and SVG, each file whole or not at all, the same bytes for the same figure.

    Args:
        figure: A figure.
        path: Where to, with or without one of the extensions; with ``.pdf`` a PDF is written too. The folder
            is made where there is none.
        dpi: Pixels of the PNG to an inch, at least 10. Defaults to those of the style, 200.
        colours: As many in the PNG at most, 2 to 256, which makes that of a photograph small. Defaults to
            None: all.

    Returns:
        The files.

    Raises:
        OSError: If the system refuses; names the file and the remedy.
        ValueError: If a number is not as above.
    """
    check_numbers('save_figure', whole=True, low=10, dpi=dpi)
    check_numbers('save_figure', whole=True, low=2, colours=colours)
    path = Path(path)
    formats = ['png', 'svg', 'pdf'] if path.suffix == '.pdf' else ['png', 'svg']
    if path.suffix in ('.png', '.svg', '.pdf'):
        path = path.with_suffix('')
    files = []
    for kind in formats:
        file = path.with_name(f'{path.name}.{kind}')
        with unfinished(file) as part:
            figure.savefig(part, format=kind, metadata=_WITHOUT_TIME[kind], dpi=dpi or 'figure')
            if kind == 'png' and colours is not None:
                _reduce_colours(part, colours)
            part.replace(file)
        files.append(file)
    return files


def _reduce_colours(file: Path, colours: int) -> None:
    with Image.open(file) as picture:
        reduced = picture.convert('RGB').quantize(colours, dither=Image.Dither.NONE)
    reduced.save(file, format='png', optimize=True)
