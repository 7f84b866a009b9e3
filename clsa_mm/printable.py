"""Text that comes from files, made fit for a terminal or a log."""

import re


def markdown_cell(text: object) -> str:
    """Text for a cell of a Markdown table, which cannot end the cell, nor become a link or HTML.

    Args:
        text: Anything; ``str`` of it is taken.
    """
    return re.sub(r'([|<>`\[\]\\])', r'\\\1', printable(text))


def printable(text: object) -> str:
    r"""Escape what a terminal would act on and what no encoding can write.

    A file's name may hold line breaks, escape sequences and bytes that are no UTF-8 (which Python keeps as
    lone surrogates, PEP 383).

    Args:
        text: Anything; ``str`` of it is taken.

    Returns:
        One line of characters that show themselves; a line break is ``\n``, the byte 233 ``\udce9``.
    """
    text = str(text)
    if text.isprintable():
        return text
    return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode() for c in text)
