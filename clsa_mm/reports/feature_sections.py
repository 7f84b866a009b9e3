"""What a report shows of a checkpoint: neighbours of images, maps, and how views score."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from clsa_mm.reports.charts import Series, chart, histogram, scatter
from clsa_mm.reports.features import Encoder, Looked
from clsa_mm.reports.markup import Markup, breakable, joined, picture, table, tag
from clsa_mm.reports.neighbourhoods import chance_of_same_class, clusters, maps, nearest, same_class
from clsa_mm.reports.run_facts import RunFacts
from clsa_mm.reports.scores import Scores
from clsa_mm.reports.verdict import Neighbours

_QUERIES, _NEIGHBOURS, _CLUSTERS = 8, 8, 8
_CELL, _COLUMNS, _ROWS = 44, 26, 17
_BINS = 60


def neighbour_scores(looked: Looked) -> Neighbours | None:
    """How often the nearest neighbour is of the same class; None where there are no classes."""
    labels = looked.images.labels
    if labels is None:
        return None
    random = None if looked.untrained is None else same_class(looked.untrained, labels)
    trained, chance = same_class(looked.features, labels), chance_of_same_class(labels)
    return Neighbours(trained, random, chance, len(labels))


def neighbours(looked: Looked) -> Markup:
    """Some images, each with the images that are nearest to it."""
    labels = looked.images.labels
    places, cosines = nearest(looked.features, _NEIGHBOURS)
    strips = []
    for query in _queries(labels, len(looked.features)):
        shown = [_thumbnail(looked, query, 'query', 'query')]
        for place, cosine in zip(places[query], cosines[query], strict=True):
            same = labels is not None and labels[place] == labels[query]
            said = f'{cosine:.3f}{" ✓" if same else ""}'
            shown.append(_thumbnail(looked, place, said, 'same' if same else None))
        name = f'Nearest neighbours of {looked.images.paths[query]}'
        strips.append(tag('div', *shown, class_='strip', tabindex='0', role='group', aria_label=name))
    marked = '' if labels is None else ' A ring and ✓ mark the class of the image on the left.'
    among = (
        f'Among {len(looked.features)} images of {looked.images.folder}, by the cosine of backbone features'
    )
    note = tag('p', f'{among}, which stands below each.{marked}', class_='note')
    return joined([note, tag('div', *strips, class_='neighbours')])


def feature_maps(looked: Looked, seed: int) -> Markup:
    """The images in the plane, as points and as pictures."""
    labels = looked.images.labels
    groups = labels or clusters(looked.features, _CLUSTERS, seed)
    coloured = 'by class' if labels else f'by {len(set(groups))} clusters of k-means, as there are no classes'
    figures = []
    for method, places in maps(looked.features, seed).items():
        points = [(float(x), float(y)) for x, y in places]
        figures.append(scatter(f'Features by {method}', points, groups, f'Coloured {coloured}.'))
        board = picture(
            _board(places, looked.thumbnails), f'The same map by {method}, of the images themselves'
        )
        note = tag('p', 'At each place the image that is nearest to it.', class_='note')
        figures.append(tag('figure', tag('figcaption', f'Images by {method}'), board, note, class_='wide'))
    return tag('div', *figures, class_='charts maps')


def score_charts(scores: Mapping[str, Scores], encoder: Encoder) -> Markup:
    """Distributions of the scores of positives and negatives, for weak and strong views."""
    figures = []
    low = min(math.floor(10 * each.min()) / 10 for found in scores.values() for each in found)
    for kind, title in (('positive', 'Positives: the own image'), ('negative', 'Negatives: other images')):
        lines = [
            Series(role, histogram(getattr(found, kind).ravel().tolist(), low, 1.0, _BINS), i, is_area=True)
            for i, (role, found) in enumerate(scores.items())
        ]
        figures.append(chart(title, lines, 'cosine of query and key'))
    rows = [
        (
            role,
            float(found.positive.mean()),
            float(found.negative.mean()),
            float(found.negative.var(axis=1).mean()),
            float((found.positive[:, None] > found.negative).mean() * 100),
        )
        for role, found in scores.items()
    ]
    head = [
        'queries',
        'mean positive',
        'mean negative',
        'variance of negatives',
        'positive above negative (%)',
    ]
    projected = encoder.keys.projection is not None
    of = 'projections' if projected else 'backbone features, as the neck is not MoCo v2’s'
    by = 'keys by the key encoder' if encoder.keys is not encoder.queries else 'keys as queries'
    count = len(next(iter(scores.values())).positive)
    note = f'Of {count} images, one draw of each view; cosines of {of}, {by}, BatchNorm as in testing.'
    parts = [tag('p', note, class_='note'), tag('div', *figures, class_='charts'), table('Means', head, rows)]
    return joined(parts)


def linear_tables(run: RunFacts) -> list[Markup]:
    """The results of a run's linear evaluations, a table for each file."""
    tables = []
    for name, found in run.linear.items():
        rows = found['results']
        scores = dict.fromkeys(key for row in rows for key in row['scores'])
        settings = dict.fromkeys(key for row in rows for key in row if key != 'scores')
        cells = [
            (
                ', '.join(f'{key} {row.get(key)}' for key in settings),
                *(row['scores'].get(key, '') for key in scores),
            )
            for row in rows
        ]
        size = f'{found.get("epochs", "?")} epochs on {found.get("images", "?")} images'
        title = f'{run.name}, {name}: {size}'
        tables.append(table(title, ['setting', *scores], cells))
    return tables


def _queries(labels: Sequence[str] | None, number: int) -> list[int]:
    """Places of images to ask for, of different classes as far as there are."""
    spread = np.linspace(0, number - 1, min(_QUERIES, number)).astype(int).tolist()
    if labels is None:
        return spread
    firsts = {label: labels.index(label) for label in sorted(set(labels))}
    names = list(firsts)
    chosen = np.linspace(0, len(names) - 1, min(_QUERIES, len(names))).astype(int)
    return [firsts[names[i]] for i in chosen] if len(names) > 2 else spread


def _thumbnail(looked: Looked, place: int, said: str, look: str | None) -> Markup:
    labels, path = looked.images.labels, looked.images.paths[place]
    label = '' if labels is None else f', {labels[place]}'
    image = picture(looked.thumbnails[place], f'{path}{label}', title=path)
    below = said if labels is None else joined([breakable(labels[place][:24]), tag('br'), said])
    return tag('figure', image, tag('figcaption', below), class_=look)


def _board(places: np.ndarray, thumbnails: Sequence[Image.Image]) -> Image.Image:
    """Thumbnails on a grid over a map: in each cell the point's that is nearest to its middle."""
    low, high = places.min(axis=0), places.max(axis=0)
    at = (places - low) / np.maximum(high - low, 1e-12) * (_COLUMNS - 1e-6, _ROWS - 1e-6)
    at[:, 1] = _ROWS - 1e-6 - at[:, 1]  # up is up
    cells = np.floor(at).astype(int)
    distances = np.abs(at - cells - 0.5).max(axis=1)
    board = Image.new('RGBA', (_COLUMNS * _CELL, _ROWS * _CELL))
    taken = set()
    for i in np.argsort(distances, kind='stable'):
        column, row = cells[i].tolist()
        if (column, row) in taken:
            continue
        taken.add((column, row))
        side = min(thumbnails[i].size)
        left, top = ((edge - side) // 2 for edge in thumbnails[i].size)
        shown = thumbnails[i].crop((left, top, left + side, top + side))
        board.paste(shown.resize((_CELL - 2, _CELL - 2)), (column * _CELL + 1, row * _CELL + 1))
    return board
