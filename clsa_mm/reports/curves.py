"""The curves of a report, of one run or of several over each other, and their last values."""

import math
from collections.abc import Callable, Iterator, Sequence

from clsa_mm.reports.charts import Series, chart
from clsa_mm.reports.markup import Markup, folded, section, table, tag
from clsa_mm.reports.run_facts import RunFacts

# Title -> the figures of a chart; a chart is drawn of those that a run has logged.
_CHARTS = {
    'Contrastive loss': ('loss_contrastive',),
    'Loss of distribution matching (DDM)': ('loss_ddm',),
    'Similarity of queries to keys': ('positive_similarity', 'negative_similarity'),
    'feature_std: spread of the features': ('feature_std',),
    'kNN accuracy (%)': ('knn/top1', 'knn/top5', 'knn/weak_top1', 'knn/strong_top1'),
    'Effective rank of the features (RankMe)': ('watch/rankme_backbone', 'watch/rankme_projection'),
    'LiDAR': ('watch/lidar_backbone', 'watch/lidar_projection'),
    'Score of the positive': ('watch/weak_positive_score', 'watch/strong_positive_score'),
    'Score of negatives': ('watch/weak_negative_score', 'watch/strong_negative_score'),
    'Probability of the positive': ('watch/weak_positive_probability', 'watch/strong_positive_probability'),
    'Variance of negative probabilities': (
        'watch/weak_negative_probability_variance',
        'watch/strong_negative_probability_variance',
    ),
    'Norm of the gradient': ('watch/gradient_norm',),
    'Learning rate': ('lr',),
    'Momentum of the key encoder': ('momentum',),
    'Seconds per iteration': ('time', 'data_time'),
}
_ALIKE = 0.01  # of levels that share a line
_NO_FIGURES = {'epoch', 'iter', 'eta', 'memory', 'chance_level'}


def curves(runs: Sequence[RunFacts]) -> Markup:
    """All figures that were logged."""
    main = [figure for title, names in _CHARTS.items() for figure in _charts(runs, title, names)]
    drawn = {name for names in _CHARTS.values() for name in names} | _NO_FIGURES
    others = sorted({name for run in runs for name in run.log.scalars} - drawn)
    further = [figure for name in others for figure in _charts(runs, name, (name,))]
    parts = [tag('div', *main, class_='charts')]
    if further:
        parts.append(folded(f'Further figures: {len(further)}', tag('div', *further, class_='charts')))
    parts.append(folded('Numbers', _numbers(runs)))
    return section('curves', 'Curves', *parts)


def _charts(runs: Sequence[RunFacts], title: str, names: Sequence[str]) -> Iterator[Markup]:
    """One chart of a run's figures; of several runs, a chart for each figure."""
    whole = (0, max(run.iterations for run in runs))
    if len(runs) == 1:
        (run,) = runs
        lines = [
            Series(_short(name), run.log.scalars[name], i)
            for i, name in enumerate(names)
            if name in run.log.scalars
        ]
        if lines:
            yield chart(title, lines, 'iterations', _references(runs, names), x_range=whole)
        return
    for name in names:
        lines = [
            Series(run.name, run.log.scalars[name], i)
            for i, run in enumerate(runs)
            if name in run.log.scalars
        ]
        if lines:
            said = title if len(names) == 1 else f'{title}: {_short(name)}'
            said = said if len(lines) > 1 else f'{said} ({lines[0].name})'
            yield chart(said, lines, 'iterations', _references(runs, [name]), x_range=whole)


def _references(runs: Sequence[RunFacts], names: Sequence[str]) -> dict[str, float]:
    if 'loss_contrastive' in names:
        levels = {run.name: values[-1] for run in runs if (values := run.values('chance_level'))}
        low, high = min(levels.values(), default=0.0), max(levels.values(), default=0.0)
        if high - low <= _ALIKE * abs(high):
            return {'chance': high} if levels else {}
        return {f'chance of {name}:': level for name, level in levels.items()}
    dimensions = {run.setting('model.feat_dim') for run in runs}
    if 'feature_std' in names and len(dimensions) == 1 and isinstance(size := dimensions.pop(), int):
        return {'evenly spread:': 1 / math.sqrt(size)}  # of C features of unit length
    return {}


def _short(name: str) -> str:
    return name.rpartition('/')[2].replace('_', ' ')


def _numbers(runs: Sequence[RunFacts]) -> Markup:
    names = dict.fromkeys(name for run in runs for name in run.log.scalars if name not in ('epoch', 'iter'))
    if len(runs) > 1:
        rows = [(name, *(_of(run, name, lambda values: values[-1]) for run in runs)) for name in names]
        return table('Last values', ['figure', *(run.name for run in runs)], rows)
    columns = {'first': lambda v: v[0], 'last': lambda v: v[-1], 'lowest': min, 'highest': max, 'values': len}
    rows = [(name, *(_of(runs[0], name, take) for take in columns.values())) for name in names]
    return table('What was logged', ['figure', *columns], rows)


def _of(run: RunFacts, name: str, take: Callable[[list[float]], float]) -> float | str:
    values = run.values(name)
    return take(values) if values else ''
