"""What a report opens with: what ran, whether it learnt, and what to beware of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from clsa_mm.durations import duration
from clsa_mm.reports.markup import number
from clsa_mm.reports.run_facts import RunFacts

# HealthHook's own limits.
CHANCE_MARGIN = 0.02
COLLAPSE_STD = 0.001
_LAST_SHARE = 0.1

LEARNT, NOT_LEARNT, UNKNOWN = 'It learnt', 'No sign that it learnt', 'Whether it learnt is not known'


@dataclass(frozen=True)
class Verdict:
    """Of one run.

    Attributes:
        what: A sentence on what ran.
        state: Whether it learnt: ``LEARNT``, ``NOT_LEARNT`` or ``UNKNOWN``.
        evidence: Why so, in clauses.
        warnings: What to beware of.
    """

    what: str
    state: str
    evidence: list[str]
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Neighbours:
    """How often the nearest neighbour of an image is of its class, in percent.

    Attributes:
        trained: By the checkpoint's features.
        random: By those of the same network with random weights; None if it cannot be built.
        chance: By the share of images of the same class.
        images: Number of images.
    """

    trained: float
    random: float | None
    chance: float
    images: int


def judge(run: RunFacts, neighbours: Neighbours | None = None) -> Verdict:
    """Judge a run by its log, and by its checkpoint where there are classes to try it on.

    Args:
        run: The run.
        neighbours: Of :mod:`~clsa_mm.reports.checkpoint_part`. Defaults to None.
    """
    signs, evidence = [], []
    for sign, clause in (_by_loss(run), _by_knn(run), _by_neighbours(neighbours)):
        signs += [] if sign is None else [sign]
        evidence += [] if clause is None else [clause]
    state = UNKNOWN if not signs else LEARNT if all(signs) else NOT_LEARNT
    if len(set(signs)) == 2:
        state = 'The signs disagree on whether it learnt'
    if not evidence:
        evidence = ['the log has neither a chance level nor a kNN accuracy']
    return Verdict(_what(run), state, evidence, _warnings(run))


def late_mean(values: list[float]) -> float:
    """Mean of the last tenth of a figure's values."""
    last = values[-max(1, round(_LAST_SHARE * len(values))) :]
    return sum(last) / len(last)


def loss_and_chance(run: RunFacts) -> tuple[float, float] | None:
    """The contrastive loss at the end and the loss of a model that knows nothing; None if not logged."""
    loss, chance = run.values('loss_contrastive'), run.values('chance_level')
    return (late_mean(loss), late_mean(chance)) if loss and chance else None


def _what(run: RunFacts) -> str:
    model, backbone = run.setting('model.type', 'a model'), run.setting('model.backbone.type')
    depth = run.setting('model.backbone.depth')
    network = f' with a {backbone}{"" if depth is None else f"-{depth}"}' if backbone else ''
    images = '' if run.images is None else f' on {number(run.images)} images'
    took = f' in {duration(run.seconds)}' if run.seconds else ''
    epochs = run.values('epoch')
    passes = f' ({number(epochs[-1])} epochs)' if epochs and epochs[-1] > 1 else ''
    return f'{model}{network}, {number(run.iterations)} iterations{passes}{images}{took}.'


def _by_loss(run: RunFacts) -> tuple[bool | None, str | None]:
    if (found := loss_and_chance(run)) is None or found[1] <= 0:
        return None, None
    loss, chance = found
    share = 100 * (1 - loss / chance)
    where = f'{share:.0f} % below' if share >= 0.5 else 'at' if share > -0.5 else f'{-share:.0f} % above'
    text = f'the contrastive loss ends at {number(loss)}, {where} the {number(chance)} of chance'
    return loss <= (1 - CHANCE_MARGIN) * chance, text


def _by_knn(run: RunFacts) -> tuple[bool | None, str | None]:
    points = run.log.scalars.get('knn/top1')
    if not points:
        return None, None
    (first_step, first), (last_step, last) = points[0], points[-1]
    text = f'weighted kNN is right for {last:.1f} % of the test images'
    if first_step == 0 and last_step > 0:
        return last > first, f'{text}, against {first:.1f} % before training'
    return None, text


def _by_neighbours(found: Neighbours | None) -> tuple[bool | None, str | None]:
    if found is None:
        return None, None
    text = f'the nearest neighbour is of the same class for {found.trained:.1f} % of {found.images} images'
    floor = f'{found.chance:.1f} % by chance'
    if found.random is None:
        return found.trained > found.chance, f'{text}, against {floor}'
    better = found.trained > max(found.random, found.chance)
    return better, f'{text}, against {found.random:.1f} % with random weights and {floor}'


def _warnings(run: RunFacts) -> list[str]:
    found = []
    if run.corrupt:
        kinds = ', '.join(f'{count} {kind}' for kind, count in run.corrupt.items())
        found.append(f'Corrupt files were skipped: {kinds} (corrupt_files.json in the work dir lists them).')
    if run.skipped:
        found.append(f'Iterations skipped for losses or gradients that are not finite: {run.skipped}.')
    std = run.values('feature_std')
    if std and late_mean(std) < COLLAPSE_STD:
        found.append(
            f'The features have collapsed: feature_std ends at {number(late_mean(std))}, so that all images '
            'look alike to the model.'
        )
    found += [
        f'{path.name} is not whole and was passed over: {wrong}.' for path, wrong in run.damaged.items()
    ]
    if run.checkpoint is None:
        found.append('There is no whole checkpoint in the work dir.')
    if (end := _unfinished(run)) is not None:
        found.append(end)
    return found + [f'The log says: {text}{_times(count)}' for text, count in run.warnings.items()]


def _unfinished(run: RunFacts) -> str | None:
    epochs, size = run.setting('train_cfg.max_epochs'), run.iterations_per_epoch
    wanted = epochs * size if isinstance(epochs, int) and size else run.setting('train_cfg.max_iters')
    interval = run.setting('default_hooks.logger.interval', 10)
    slack = interval if isinstance(interval, int) else 10  # the last iterations may not have been logged
    if not isinstance(wanted, int) or run.iterations > wanted - slack - 1:
        return None
    return f'The log ends at iteration {number(run.iterations)} of {number(wanted)}: the run is not finished.'


def _times(count: int) -> str:
    return '' if count == 1 else f' ({count} times)'


def key_figures(run: RunFacts) -> Mapping[str, str]:
    """A few numbers to show large, by what they are."""
    found: dict[str, str] = {}
    if knn := run.values('knn/top1'):
        found['kNN top-1'] = f'{knn[-1]:.1f} %'
    if pair := loss_and_chance(run):
        found[f'contrastive loss (chance {number(pair[1])})'] = number(pair[0])
    if best := best_linear(run):
        found['linear top-1'] = f'{best:.1f} %'
    if run.images is not None:
        found['images'] = number(run.images)
    if run.seconds:
        found['length'] = duration(run.seconds)
    if (seconds := run.seconds_per_iteration) is not None:
        found['s per iteration'] = f'{seconds:.3g}'
    if (share := run.waiting) is not None:
        found['waiting for data'] = f'{100 * share:.0f} %'
    return found


def best_linear(run: RunFacts) -> float | None:
    """The best top-1 accuracy in percent of the linear evaluations; None if there is none."""
    rows = [row['scores'] for found in run.linear.values() for row in found['results']]
    scores = [row['top1'] for row in rows if isinstance(row.get('top1'), int | float)]
    return max(scores, default=None)
