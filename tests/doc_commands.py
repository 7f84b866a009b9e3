"""The commands of the documentation, and a small world to run them in."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md'))]
_BLOCK = re.compile(r'^```(\w+)\n(.*?)^```', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """A command line, or a block of Python."""

    page: str
    line: int
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text, comments=True)

    def __str__(self) -> str:
        return f'{self.page}:{self.line}'


def blocks(language: str) -> Iterator[Snippet]:
    """All fenced blocks of a language."""
    for page in PAGES:
        text = page.read_text()
        for match in _BLOCK.finditer(text):
            if match[1] == language:
                line = text[: match.start()].count('\n') + 2
                yield Snippet(str(page.relative_to(ROOT)), line, match[2])


def commands() -> Iterator[Snippet]:
    """All commands of the bash blocks, with continued lines joined."""
    for block in blocks('bash'):
        lines, start = [], 0
        for number, line in enumerate(block.text.splitlines()):
            start = start if lines else number
            lines.append(line.removesuffix('\\'))
            text = '\n'.join(lines).strip()
            open_quote = text.count("'") % 2 and not text.startswith('#')
            if line.endswith('\\') or open_quote:
                continue
            if text and not text.startswith('#'):
                yield Snippet(block.page, block.line + start, text)
            lines = []
        assert not lines, f'{block}: the last command does not end'
