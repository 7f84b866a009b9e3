"""A page as its elements, read by html.parser, and as a browser takes it."""

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

VOID = {'br', 'img', 'input', 'meta', 'wbr'}


class Page(HTMLParser):
    """Texts of elements by tag, attributes of all; every element has to be closed where it belongs.

    Attributes:
        elements: Tag, attributes and text of each element, in the order in which they end.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict, str]] = []
        self._open: list[tuple[str, dict, list[str]]] = []
        self.feed(text)
        self.close()
        assert not self._open, f'{self._open[-1][0]} is never closed'

    def handle_starttag(self, tag, attrs):
        if tag in VOID:
            self.elements.append((tag, dict(attrs), ''))
        else:
            self._open.append((tag, dict(attrs), []))

    def handle_endtag(self, tag):
        name, attributes, text = self._open.pop()
        assert name == tag, f'</{tag}> ends <{name}>'
        self.elements.append((name, attributes, ''.join(text)))
        if self._open:
            self._open[-1][2].append(' ' + ''.join(text))

    def handle_data(self, data):
        self._open[-1][2].append(data) if self._open else None

    def all(self, tag):
        """Attributes and text of the elements of a tag."""
        return [(attributes, text) for name, attributes, text in self.elements if name == tag]

    def rows(self):
        """Texts of the cells of all tables' rows, by the first; of equal ones the first row's."""
        found, row = {}, []
        for name, _, text in self.elements:
            if name in ('th', 'td'):
                row.append(text.strip())
            elif name == 'tr':
                found.setdefault(row[0], row[1:])
                row = []
        return found


def browser_complaints(page: Path, profile: Path) -> list[str]:
    """What chromium says of a page on its console, of what it refused to load among others.

    Skips the test where there is none.
    """
    chromium = shutil.which('chromium') or shutil.which('chromium-browser')
    if chromium is None:
        pytest.skip('there is no chromium to load the page in')
    done = subprocess.run(
        [chromium, '--headless', '--no-sandbox', '--disable-gpu', f'--user-data-dir={profile}',
         '--enable-logging=stderr', '--v=0', '--dump-dom', page.resolve().as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert '</html>' in done.stdout, done.stderr[-2000:]
    return [line for line in done.stderr.splitlines() if 'CONSOLE' in line]
