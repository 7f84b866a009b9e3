"""Charts as SVG: curves, histograms and maps of points, in colours that the page's style gives."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clsa_mm.reports.markup import Markup, joined, number, tag

Point = tuple[float, float]

STYLES = 7
"""Numbers of a style: a colour of Okabe and Ito's palette in the page's style sheet."""
DASHES = ('none', '7 3', '2 2.5', '9 3 2 3', '12 4', '5 2 1 2 1 2', '1 3')
"""Of the lines of the styles, so that colour is not all that tells them apart."""
# Outlines of some 6 units around the origin: circle, square, triangle, diamond, cross.
_SHAPES = (
    'm-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0',
    'm-2.7-2.7h5.4v5.4h-5.4z',
    'm0-3.6l3.4 6h-6.8z',
    'm0-3.8l3.8 3.8l-3.8 3.8l-3.8-3.8z',
    'm-1.2-3.4h2.4v2.2h2.2v2.4h-2.2v2.2h-2.4v-2.2h-2.2v-2.4h2.2z',
)
_WIDTH, _HEIGHT = 400, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 12, 12, 36
_MOST_POINTS, _MARKED = 300, 24
_LINE = 14  # of text, in the picture's units
# What is larger is not drawn, and smaller differences are none: sums, means and ticks stay finite.
_LARGEST, _SMALLEST = 1e100, 1e-100


@dataclass(frozen=True)
class Series:
    """A line of a chart.

    Attributes:
        name: For the legend.
        points: (x, y) in the order of x; what is not finite, or beyond 1e100, is left out.
        style: Colour and dash, >= 0.
        is_area: Whether it is filled down to 0.
    """

    name: str
    points: Sequence[Point]
    style: int
    is_area: bool = False


def chart(
    title: str,
    series: Sequence[Series],
    x_label: str,
    references: Mapping[str, float] | None = None,
    note: object = None,
    x_range: Point | None = None,
) -> Markup:
    """A figure of one or more lines, with its legend.

    Args:
        title: What it shows.
        series: The lines. Of more than 300 points, means of neighbours are drawn.
        x_label: Of the horizontal axis.
        references: Name -> a level to draw across. Defaults to none.
        note: Said below. Defaults to None.
        x_range: Of the horizontal axis. Defaults to None: that of the points.
    """
    shown = [(line, _thinned(line.points)) for line in series]
    references = {name: level for name, level in (references or {}).items() if _is_drawable(level)}
    every = [point for _, points in shown for point in points]
    if not every:
        return tag('figure', tag('figcaption', title), tag('p', 'No finite value.', class_='note'))
    xs = [*(x_range or ()), *(x for x, _ in every)]
    ys = [*references.values(), *(y for _, y in every)]
    floor = [0.0] if any(line.is_area for line in series) else []
    margin = 0.09 if references else 0.06  # so that the name of a level at the top finds room above it
    axes = _Axes(_range(xs, 0), _range(ys + floor, margin, bool(floor)))
    marks = [axes.drawing(x_label)]
    for name, level in references.items():
        y = axes.place(0, level)[1]
        marks.append(tag('path', d=f'M{_LEFT} {y}H{_WIDTH - _RIGHT}', class_='reference'))
        above = y > _TOP + 14
        place = dict(x=_WIDTH - _RIGHT - 3, y=y - 4 if above else y + 13, text_anchor='end')
        marks.append(tag('text', f'{name} {number(level)}', class_='tick', **place))
    marks += [_line(axes, line, points) for line, points in shown]
    return _figure(title, marks, _described(title, shown, references), legend(series), note)


def scatter(
    title: str, points: Sequence[Point], groups: Sequence[str], note: object = None, most: int = 12
) -> Markup:
    """A map of points in the colours and shapes of their groups, whose names stand at their medians.

    Args:
        title: What it shows.
        points: (x, y), finite.
        groups: The group of each.
        note: Said below. Defaults to None.
        most: Groups that get a look of their own, the largest; the others share one. Defaults to 12.
    """
    sizes = sorted(set(groups), key=lambda name: (-groups.count(name), name))
    names = sorted(sizes[:most])
    xs, ys = zip(*points, strict=True)
    axes = _Axes(_range(xs, 0.04), _range(ys, 0.04), square=True)
    marks, labels = [], []
    for name in [None, *names]:
        own = [p for p, g in zip(points, groups, strict=True) if (g if g in names else None) == name]
        if not own:
            continue
        look = 'other' if name is None else f'dot s{names.index(name) % STYLES}'
        shape = _SHAPES[0 if name is None else (names.index(name) // STYLES * 2 + names.index(name)) % 5]
        outline = ''.join('M{} {}{}'.format(*axes.place(*point), shape) for point in own)
        count = f'{name or "others"}: {len(own)}'
        marks.append(tag('path', tag('title', count), d=outline, class_=look))
        if name is not None:
            middle = [sorted(values)[len(own) // 2] for values in zip(*own, strict=True)]
            labels.append((name[:24], *axes.place(*middle)))
    others = f' and {len(sizes) - most} smaller ones' if len(sizes) > most else ''
    described = f'{title}: {len(points)} points in {len(names)} groups{others}: {", ".join(names)}'
    return _figure(title, [*marks, *_labels(labels)], described, None, note, 'map')


def _labels(places: Sequence[tuple[str, float, float]]) -> list[Markup]:
    """Texts at places, each moved down until it covers none above it."""
    kept: list[tuple[str, float, float]] = []
    for name, x, y in sorted(places, key=lambda place: place[2]):
        for other, left, top in kept:
            if abs(x - left) < 3.6 * (len(name) + len(other)) and abs(y - top) < _LINE:
                y = top + _LINE
        kept.append((name, x, round(y, 1)))
    return [tag('text', name, x=x, y=y, class_='label', text_anchor='middle') for name, x, y in kept]


def legend(series: Sequence[Series]) -> Markup | None:
    """What the lines of a chart are called; None for one alone."""
    if len(series) < 2:
        return None
    entries = []
    for line in series:
        sample = tag('path', d='M1 6H33', class_=f'line s{line.style % STYLES}', **_dash(line))
        swatch = tag('svg', sample, viewBox='0 0 34 12', width=34, height=12, aria_hidden='true')
        entries.append(tag('li', swatch, line.name))
    return tag('ul', *entries, class_='legend')


def histogram(values: Sequence[float], low: float, high: float, bins: int) -> list[Point]:
    """Share of values in each bin, at the bins' middles.

    Args:
        values: What lies outside counts at the ends.
        low: Lower end of the first bin.
        high: Upper end of the last.
        bins: Their number.
    """
    counts = [0] * bins
    width = (high - low) / bins
    for value in values:
        counts[min(max(int((value - low) / width), 0), bins - 1)] += 1
    return [(low + (i + 0.5) * width, count / len(values)) for i, count in enumerate(counts)]


class _Axes:
    """From values to places in the picture."""

    def __init__(self, x: Point, y: Point, square: bool = False) -> None:
        self.x, self.y = x, y
        self.left, self.right, self.bottom = (4, 4, 4) if square else (_LEFT, _RIGHT, _BOTTOM)

    def place(self, x: float, y: float) -> Point:
        width, height = _WIDTH - self.left - self.right, _HEIGHT - _TOP - self.bottom
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return round(self.left + across * width, 1), round(_TOP + (1 - up) * height, 1)

    def drawing(self, x_label: str) -> Markup:
        """Grid, ticks and the label of the horizontal axis."""
        bottom, marks = _HEIGHT - _BOTTOM, []
        for value in ticks(*self.y):
            y = self.place(0, value)[1]
            marks.append(tag('path', d=f'M{_LEFT} {y}H{_WIDTH - _RIGHT}', class_='grid'))
            marks.append(tag('text', _tick(value), x=_LEFT - 6, y=y + 4, class_='tick', text_anchor='end'))
        for value in ticks(*self.x, count=4):
            x = self.place(value, 0)[0]
            marks.append(tag('path', d=f'M{x} {bottom}v4', class_='axis'))
            marks.append(tag('text', _tick(value), x=x, y=bottom + 16, class_='tick', text_anchor='middle'))
        marks.append(tag('path', d=f'M{_LEFT} {bottom}H{_WIDTH - _RIGHT}', class_='axis'))
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        marks.append(tag('text', x_label, x=middle, y=_HEIGHT - 4, class_='tick', text_anchor='middle'))
        return joined(marks)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers, 1, 2 or 5 times a power of ten apart, within a range.

    Args:
        low: Its lower end.
        high: Its upper end, above.
        count: About so many. Defaults to 5.
    """
    unit = 10.0 ** math.floor(math.log10((high - low) / count))
    step = next(unit * factor for factor in (1, 2, 5, 10) if (high - low) / (unit * factor) <= count)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12 - math.floor(math.log10(step))) for i in range(first, last + 1)]


def _tick(value: float) -> str:
    return f'{value:,.0f}' if abs(value) >= 1000 and abs(value) < 1e6 else f'{value:.4g}'


def _range(values: Sequence[float], margin: float, from_zero: bool = False) -> Point:
    low, high = min(values), max(values)
    if high - low <= max(1e-9 * max(abs(low), abs(high)), _SMALLEST):
        spare = abs(high) * 0.02 or 0.5
        return low - spare, high + spare
    spare = margin * (high - low)
    return (low if from_zero else low - spare), high + spare


def _is_drawable(value: float) -> bool:
    return math.isfinite(value) and abs(value) <= _LARGEST


def _thinned(points: Sequence[Point]) -> list[Point]:
    finite = [point for point in points if all(map(_is_drawable, point))]
    size = math.ceil(len(finite) / _MOST_POINTS)
    parts = [finite[i : i + size] for i in range(0, len(finite), size or 1)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]


def _line(axes: _Axes, line: Series, points: Sequence[Point]) -> Markup:
    placed = [axes.place(*point) for point in points]
    look, path = f's{line.style % STYLES}', 'M' + 'L'.join(f'{x} {y}' for x, y in placed)
    parts = []
    if line.is_area and placed:
        bottom = axes.place(0, 0)[1]
        parts.append(tag('path', d=f'{path}V{bottom}H{placed[0][0]}z', class_=f'area {look}'))
    if len(placed) > 1:
        parts.append(tag('path', tag('title', line.name), d=path, class_=f'line {look}', **_dash(line)))
    if len(placed) <= _MARKED and not line.is_area:
        for (x, y), value in zip(placed, points, strict=True):
            said = tag('title', f'{line.name}: {number(value[1])} at {number(value[0])}')
            parts.append(tag('circle', said, cx=x, cy=y, r=3, class_=f'dot {look}'))
    return joined(parts)


def _dash(line: Series) -> dict[str, str]:
    return dict(stroke_dasharray=DASHES[line.style % STYLES])


def _described(title: str, shown: Sequence[tuple[Series, list[Point]]], references: Mapping) -> str:
    """The chart in words: where each line starts and ends."""
    if any(line.is_area for line, _ in shown):
        peaks = [(line.name, max(points, key=lambda p: p[1])[0]) for line, points in shown if points]
        return f'{title}. ' + '; '.join(f'{name} peaks at {number(peak)}' for name, peak in peaks)
    lines = [
        f'{line.name} from {number(points[0][1])} to {number(points[-1][1])}'
        for line, points in shown
        if points
    ]
    return f'{title}. ' + '; '.join(lines + [f'{name} {number(v)}' for name, v in references.items()])


def _figure(
    title: str, marks: Sequence[Markup], alt: str, names: Markup | None, note: object, kind: str = 'chart'
) -> Markup:
    size = dict(viewBox=f'0 0 {_WIDTH} {_HEIGHT}', role='img', aria_label=alt)
    caption = tag('figcaption', title)
    below = None if note is None else tag('p', note, class_='note')
    return tag('figure', caption, tag('svg', *marks, **size), names, below, class_=kind)
