"""HTML and SVG put together so that whatever is not markup already is escaped."""

import base64
import html
import io
from collections.abc import Iterable, Sequence
from numbers import Real

from PIL import Image

from clsa_mm.printable import printable

_VOID = {'br', 'img', 'input', 'meta', 'wbr'}
_PIXELATED = 64  # pixels; smaller pictures are enlarged with their pixels as squares


class Markup(str):
    """Text that is HTML already. Only the functions of this module make it of other text."""


def escaped(value: object) -> Markup:
    r"""Make any text safe in an element or a quoted attribute.

    Args:
        value: Markup stays as it is. Of anything else, ``str`` of it is taken, what does not show itself is
            written out (``\n``, ``\udce9`` for a byte of a file name that is no UTF-8), and ``&<>"'`` become
            references.
    """
    return value if isinstance(value, Markup) else Markup(html.escape(printable(value)))


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """Make an element.

    Args:
        name: Of the element; not escaped, it is never a text of others.
        *children: Markup, or text to escape; None is left out.
        **attributes: Names with ``_`` for ``-``, a trailing one dropped (``class_``). None leaves one
            out, True gives no value.
    """
    written = ''
    for key, value in attributes.items():
        key = key.rstrip('_').replace('_', '-')
        if value is True:
            written += f' {key}=""'
        elif value is not None and value is not False:
            written += f' {key}="{escaped(value)}"'
    if name in _VOID:
        return Markup(f'<{name}{written}>')
    return Markup(f'<{name}{written}>{joined(children)}</{name}>')


def joined(parts: Iterable[object]) -> Markup:
    """Escape parts and put them one after the other; None is left out."""
    return Markup(''.join(escaped(part) for part in parts if part is not None))


def breakable(text: str) -> Markup:
    """A name whose line may end after each of its underscores."""
    return joined([part for word in text.split('_') for part in ('_', tag('wbr'), word)][2:])


def section(name: str, title: str, *children: object) -> Markup:
    """A part of the page with a heading that links can name."""
    heading = tag('h2', title, id=f'{name}-title')
    return tag('section', heading, *children, id=name, aria_labelledby=f'{name}-title')


def folded(summary: object, *children: object, is_open: bool = False) -> Markup:
    """What shows on demand."""
    return tag('details', tag('summary', summary), *children, open=is_open)


def number(value: object) -> str:
    """A number in four digits, whole ones below a billion in full; other things as ``str`` has them."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e9:
        return f'{int(value):,}'
    return f'{value:.4g}'


def table(caption: str, head: Sequence[object], rows: Iterable[Sequence[object]]) -> Markup:
    """A table that scrolls inside itself where it is wider than the page.

    Args:
        caption: What it shows.
        head: Of the columns.
        rows: The first cell heads the row; numbers are written by :func:`number`.
    """
    body = [
        tag(
            'tr',
            tag('th', row[0], scope='row'),
            *(
                tag('td', cell if isinstance(cell, Markup) else number(cell), class_=_kind(cell))
                for cell in row[1:]
            ),
        )
        for row in rows
    ]
    inner = tag(
        'table',
        tag('caption', caption),
        tag('thead', tag('tr', *(tag('th', cell, scope='col') for cell in head))),
        tag('tbody', *body),
    )
    return tag('div', inner, class_='scroll', tabindex='0', role='region', aria_label=caption)


def picture(image: Image.Image, alt: str, **attributes: object) -> Markup:
    """An image inside the page.

    Args:
        image: RGB or RGBA.
        alt: What stands for it where it is not seen.
        **attributes: Of the element.
    """
    small = max(image.size) <= _PIXELATED
    file = io.BytesIO()
    image.save(file, 'WEBP', lossless=small, quality=82, method=4)
    data = base64.b64encode(file.getvalue()).decode()
    attributes.setdefault('class_', 'pixels' if small else None)
    source = f'data:image/webp;base64,{data}'
    return tag('img', src=source, alt=alt, width=image.width, height=image.height, **attributes)


def _kind(cell: object) -> str | None:
    return 'number' if isinstance(cell, Real) and not isinstance(cell, bool) else None
