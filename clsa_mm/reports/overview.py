"""The top of a report and what ran: verdicts, facts, differences of the settings, environment."""

import re
from collections.abc import Mapping, Sequence

from clsa_mm.durations import duration
from clsa_mm.reports.config_difference import base_of, differences, differing
from clsa_mm.reports.images import training_folder
from clsa_mm.reports.markup import Markup, folded, joined, number, section, table, tag
from clsa_mm.reports.run_facts import RunFacts
from clsa_mm.reports.verdict import LEARNT, NOT_LEARNT, Verdict, best_linear, key_figures

_OPEN = 12  # differences that show at once
_LOOKS = {LEARNT: 'verdict good', NOT_LEARNT: 'verdict bad'}


def verdicts(runs: Sequence[RunFacts], found: Sequence[Verdict]) -> Markup:
    """The answer, a panel for each run."""
    names = ['In short'] if len(runs) == 1 else [run.name for run in runs]
    return tag('div', *map(_panel, names, runs, found), class_='verdicts')


def what_ran(runs: Sequence[RunFacts]) -> Markup:
    """Facts, settings and environment."""
    facts = [_facts(run) for run in runs]
    rows = [(name, *(fact[name] for fact in facts)) for name in facts[0]]
    parts = [table('Facts', ['', *(run.name for run in runs)], rows)]
    if len(runs) > 1:
        parts.append(_table_of_settings('Settings in which the runs differ', runs, differing(runs)))
    for run in runs:
        base, settings = base_of(run)
        changed = differences(run.log.settings, settings)
        title = f'Settings of {run.name} that differ from configs/{base}: {len(changed)}'
        rows = [(name, before, after) for name, before, after in changed]
        inner = table(title, ['setting', 'there', 'in the run'], rows)
        parts.append(
            folded(title, tag('div', inner, class_='codes'), is_open=len(runs) == 1 and len(changed) <= _OPEN)
        )
    names = dict.fromkeys(name for run in runs for name in run.environment)
    rows = [(name, *(run.environment.get(name, '') for run in runs)) for name in names if name[:3] != 'PyT'
            or name == 'PyTorch']  # fmt: skip
    if rows:
        head = ['', *(run.name for run in runs)]
        parts.append(folded('Environment', table('As the head of the log has it', head, rows)))
    return section('ran', 'What ran', *parts)


def _panel(name: str, run: RunFacts, verdict: Verdict) -> Markup:
    listed = [tag('div', tag('dt', what), tag('dd', value)) for what, value in key_figures(run).items()]
    warnings = [tag('li', tag('strong', 'Beware: '), text) for text in verdict.warnings]
    answer = tag('p', tag('strong', f'{verdict.state}: '), f'{"; ".join(verdict.evidence)}.', class_='answer')
    return tag(
        'article',
        tag('h2', name),
        answer,
        tag('p', verdict.what, class_='what'),
        tag('dl', *listed, class_='key') if listed else None,
        tag('ul', *warnings, class_='warnings') if warnings else None,
        class_=_LOOKS.get(verdict.state, 'verdict'),
    )


def _facts(run: RunFacts) -> Mapping[str, object]:
    start = run.start.strftime('%Y-%m-%d %H:%M:%S') if run.start else ''
    starts = f' ({len(run.log.starts)} starts)' if len(run.log.starts) > 1 else ''
    seconds, waiting, knn = run.seconds_per_iteration, run.waiting, run.values('knn/top1')
    linear = best_linear(run)
    gpu = next((value for name, value in run.environment.items() if re.match(r'GPU \d', name)), '')
    unknown = 'not in the log'
    return {
        'folder': str(run.log.folder.absolute()),
        'images': f'{"?" if run.images is None else number(run.images)} in {training_folder(run) or "?"}',
        'corrupt files': number(sum(run.corrupt.values())),
        'start': start + starts or unknown,
        'length': duration(run.seconds) if run.seconds else unknown,
        'iterations': number(run.iterations),
        'images per optimizer step': unknown if run.batch is None else number(run.batch),
        's per iteration': unknown if seconds is None else number(seconds),
        'waiting for data': unknown if waiting is None else f'{100 * waiting:.1f} %',
        'kNN top-1 (%)': number(knn[-1]) if knn else unknown,
        'linear top-1, best (%)': 'not measured' if linear is None else number(linear),
        'machine': gpu or run.environment.get('CUDA available', '').replace('False', 'CPU'),
        'PyTorch': run.environment.get('PyTorch', unknown),
        'Python': run.environment.get('Python', unknown).partition(' ')[0],
        'newest whole checkpoint': run.checkpoint.name if run.checkpoint else 'none',
    }


def _table_of_settings(title: str, runs: Sequence[RunFacts], rows: Sequence[tuple]) -> Markup:
    head = ['setting', *(run.name for run in runs)]
    return joined([tag('div', table(title, head, rows), class_='codes')])
