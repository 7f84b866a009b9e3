"""Files of figures, and texts of strangers in them."""

import re

import matplotlib
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_rgb
from PIL import Image

from clsa_mm.visualization.style import ONE_COLUMN, PALETTE, label, new_figure, save_figure, styled


@styled
def draw(title: str = 'a'):
    figure, axes = new_figure(1, 1, ONE_COLUMN, 2)
    axes[0, 0].plot([1, 2], [3, 4], label=title)
    axes[0, 0].legend()
    axes[0, 0].set_title(title)
    return figure


@pytest.mark.parametrize('name', ['curves', 'curves.png', 'curves.svg'])
def test_both_files_whatever_the_extension(tmp_path, name):
    files = save_figure(draw(), tmp_path / 'new' / name)
    assert [file.name for file in files] == ['curves.png', 'curves.svg']
    assert sorted(path.name for path in (tmp_path / 'new').iterdir()) == ['curves.png', 'curves.svg']
    assert Image.open(files[0]).size == (700, 400)  # inches times 200
    assert files[1].read_text().startswith('<?xml')


def test_size_and_colours_of_the_png(tmp_path):
    png, _ = save_figure(draw(), tmp_path / 'a', dpi=100, colours=7)
    picture = Image.open(png)
    assert picture.size == (350, 200) and len(picture.getcolors()) <= 7
    png, _ = save_figure(draw(), tmp_path / 'b')
    assert len(Image.open(png).convert('RGB').getcolors(70000)) > 7


def test_a_dot_in_a_name_is_no_extension(tmp_path):
    assert [file.name for file in save_figure(draw(), tmp_path / 'v1.2')] == ['v1.2.png', 'v1.2.svg']


def test_fonts_are_in_the_files(tmp_path):
    files = save_figure(draw(), tmp_path / 'a.pdf')
    assert '<text' not in files[1].read_text()  # letters are paths
    assert b'/FontFile2' in files[2].read_bytes() and b'/Type3' not in files[2].read_bytes()


def test_the_same_figure_is_the_same_bytes(tmp_path):
    contents = [[file.read_bytes() for file in save_figure(draw(), tmp_path / f'{i}.pdf')] for i in (1, 2)]
    assert contents[0] == contents[1]
    assert b'date' not in contents[0][1] and b'Date' not in contents[0][2]


def test_what_fails_leaves_nothing(tmp_path):
    (tmp_path / 'a.svg').mkdir()
    with pytest.raises(OSError, match='a.svg cannot be written: .*another path'):
        save_figure(draw(), tmp_path / 'a')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.png', 'a.svg']


def test_settings_and_figures_of_the_caller_stay(tmp_path):
    with matplotlib.rc_context({'font.size': 33, 'axes.facecolor': 'red', 'figure.figsize': (1, 1)}):
        before = dict(matplotlib.rcParams)
        figure = draw()
        save_figure(figure, tmp_path / 'a')
        assert dict(matplotlib.rcParams) == before
    assert figure.axes[0].get_facecolor() == (1, 1, 1, 1)
    assert not pyplot.get_fignums()


def test_palette_is_okabe_and_itos():
    """The values of their page, 0 to 255."""
    published = [(0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (230, 159, 0)]
    assert [tuple(round(255 * c) for c in to_rgb(colour)) for colour in PALETTE] == [*published, (0, 0, 0)]


@pytest.mark.parametrize('name', ['$x^2$', '$', '_hidden', 'a\nb', r'\frac{$1$', 'x' * 300, '<b>&amp;'])
def test_names_are_drawn_as_they_stand(tmp_path, name):
    figure = draw(label(name))
    save_figure(figure, tmp_path / 'a')
    (text,) = figure.axes[0].get_legend().get_texts()
    shown, is_formula = text._preprocess_math(text.get_text())
    assert not is_formula
    expected = name.replace('\n', r'\n') if len(name) < 300 else 'x' * 20 + '…' + 'x' * 19
    assert shown.strip('\N{NO-BREAK SPACE}') == expected


def test_a_tick_has_the_size_of_the_style(tmp_path):
    """Ticks are made when a figure is drawn."""
    with matplotlib.rc_context({'xtick.labelsize': 30}):
        figure = draw()
        save_figure(figure, tmp_path / 'a')
    assert {tick.get_fontsize() for tick in figure.axes[0].get_xticklabels()} == {7}
    assert re.search(r'width="2', (tmp_path / 'a.svg').read_text())
