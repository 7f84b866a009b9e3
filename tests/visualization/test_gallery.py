"""Pictures of augmentations: what is drawn, against PIL and against the views of a training."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from tool_modules import load_tool

from clsa_mm.datasets.transforms import MakeViews
from clsa_mm.visualization.gallery import draw_operations, draw_views, operation_examples, strong_view

CONFIG = Path(__file__).parents[2] / 'configs/clsa_r50_8xb32_200e.py'
SIZE = 40
TABLE_1 = dict(
    ShearX=(-0.3, 0.3), ShearY=(-0.3, 0.3), TranslateX=(-0.3, 0.3), TranslateY=(-0.3, 0.3), Rotate=(-30, 30),
    AutoContrast=None, Invert=None, Equalize=None, Solarize=(0, 256), Posterize=(4, 8), Contrast=(0.05, 0.95),
    Color=(0.05, 0.95), Brightness=(0.05, 0.95), Sharpness=(0.05, 0.95),
)  # fmt: skip


@pytest.fixture
def view():
    views = dict(key=dict(size=8, area=(0.2, 1)), strong=dict(size=SIZE, area=(0.1, 0.6), num_ops=5))
    return strong_view(MakeViews(views))


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (SIZE, SIZE + 20, 3), np.uint8)


def test_all_operations_of_table_1_from_end_to_end(view, image):
    examples = operation_examples(image, view, steps=3)
    ends = {
        name: pairs[0][0] if len(pairs) == 1 else (pairs[0][0], pairs[-1][0])
        for name, pairs in examples.items()
    }
    assert ends == TABLE_1
    assert [magnitude for magnitude, _ in examples['Posterize']] == [4, 6, 8]


def test_pictures_are_those_of_pil(view, image):
    """Of the image's middle, which has the view's size here."""
    examples = operation_examples(image, view, steps=3)
    middle = Image.fromarray(image[:, 10:-10])
    expected = dict(Invert=ImageOps.invert(middle), Posterize=ImageOps.posterize(middle, 4))
    for name, picture in expected.items():
        np.testing.assert_array_equal(examples[name][0][1], np.asarray(picture))
    moved = examples['TranslateX'][-1][1]
    shift = int(0.3 * SIZE)
    np.testing.assert_array_equal(moved[:, :-shift], image[:, 10 + shift : -10])
    assert not moved[:, -shift:].any()


def test_gallery(view, image):
    figure = draw_operations(image, view, steps=3)
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == 11 * 3 + 3
    titles = [axes.get_title('left') for axes in shown if axes.get_title('left')]
    assert sorted(titles) == sorted(TABLE_1)
    below = [text.get_text() for axes in shown for text in axes.texts]
    assert below.count('') == 3 and below.count('0.275') == 0 and below.count('0.05') == 4
    rgb = image[:, 10:-10, ::-1]
    (inverted,) = (axes.images[0].get_array() for axes in shown if axes.get_title('left') == 'Invert')
    np.testing.assert_array_equal(inverted, 255 - rgb)


def test_views_stand_beside_their_originals():
    pictures = [Image.new('RGB', size, colour) for size, colour in (((30, 20), 'red'), ((8, 8), 'lime'))]
    figure = draw_views(['original', '$strong$'], [('a.png', pictures), ('b.png', pictures)])
    shapes = [axes.images[0].get_array().shape for axes in figure.axes]
    assert shapes == [(20, 20, 3), (8, 8, 3)] * 2
    assert figure.axes[1].get_title() == r'\$strong\$'
    assert [axes.texts[0].get_text() for axes in figure.axes if axes.texts] == ['a.png', 'b.png']


def test_views_without_strong_operations():
    weak = dict(size=8, area=(0.2, 1))
    with pytest.raises(ValueError, match='No view .* has strong operations .*: give a config with `views`'):
        strong_view(MakeViews(dict(key=weak, weak=weak)))


def test_one_magnitude(view, image):
    with pytest.raises(ValueError, match='steps=1 must be a whole number of at least 2'):
        operation_examples(image, view, steps=1)


@pytest.fixture
def tool(monkeypatch):
    return load_tool('analysis_tools/plot_augmentations.py')


def test_tool(image, tmp_path, tool, monkeypatch):
    Image.fromarray(image).save(tmp_path / 'a.png')
    arguments = [
        str(CONFIG),
        '--image',
        str(tmp_path / 'a.png'),
        '--steps',
        '2',
        '--draws',
        '1',
        '--dpi',
        '50',
    ]
    monkeypatch.setattr(sys, 'argv', ['plot_augmentations.py', *arguments, '--out', str(tmp_path / 'out')])
    tool.main()
    names = [f'out_{name}.{kind}' for name in ('operations', 'views') for kind in ('png', 'svg')]
    assert sorted(path.name for path in tmp_path.glob('out*')) == names
    assert Image.open(tmp_path / 'out_operations.png').width == 358


def test_tool_without_the_photograph(tmp_path, tool, monkeypatch):
    monkeypatch.setattr(
        sys, 'argv', ['plot_augmentations.py', str(CONFIG), '--image', str(tmp_path / 'no.jpg')]
    )
    with pytest.raises(SystemExit, match='No such image: .*no.jpg.* Mend the paths'):
        tool.main()
