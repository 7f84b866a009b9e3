"""Names from files do nothing to terminals, logs and tables."""

import os

import pytest

from clsa_mm.printable import markdown_cell, printable


@pytest.mark.parametrize(
    ('text', 'shown'),
    [
        ('plain name.jpg', 'plain name.jpg'),
        ('ß 图.jpg', 'ß 图.jpg'),
        ('\x1b[2Jgone\r\n', r'\x1b[2Jgone\r\n'),
        ('\u202egpj.exe', r'\u202egpj.exe'),  # right to left
        (os.fsdecode(b'\xe9.jpg'), r'\udce9.jpg'),
        (7, '7'),
    ],
)
def test_what_is_shown(text: object, shown: str) -> None:
    assert printable(text) == shown
    shown.encode()


def test_cells() -> None:
    name = 'a|b <img src=x> [c](http://d) `e`\n'
    assert markdown_cell(name) == r'a\|b \<img src=x\> \[c\](http://d) \`e\`\\n'
    assert markdown_cell('clsa_r50-8xb32') == 'clsa_r50-8xb32'
