"""A report on runs: one HTML file that needs nothing else."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clsa_mm.checkpoints.unfinished import write_text
from clsa_mm.datasets.views.randomness import preserved_generators
from clsa_mm.given_numbers import check_numbers
from clsa_mm.reports.curves import curves
from clsa_mm.reports.feature_sections import (
    feature_maps,
    linear_tables,
    neighbour_scores,
    neighbours,
    score_charts,
)
from clsa_mm.reports.features import Encoder, Looked, load_encoder, look_at
from clsa_mm.reports.images import (
    list_images,
    read_image,
    test_folder,
    training_folder,
    view_settings,
)
from clsa_mm.reports.markup import Markup, folded, joined, section, tag
from clsa_mm.reports.overview import verdicts, what_ran
from clsa_mm.reports.pictures import by_role, drawn_views, gallery
from clsa_mm.reports.run_facts import RunFacts, read_facts
from clsa_mm.reports.scores import view_scores
from clsa_mm.reports.style import STYLE
from clsa_mm.reports.verdict import judge
from clsa_mm.version import __version__

_SCORED = 256  # images whose views are compared with each other
_SCHEMES = {'auto': 'Auto', 'light': 'Light', 'dark': 'Dark'}


@dataclass(frozen=True)
class Options:
    """What a report shows.

    Attributes:
        images: How many images the checkpoint looks at.
        features: Whether it looks at any.
        seconds: For each run, after so long, what there is has to do.
        seed: Fixes all choices.
        data: The folder of images in place of those that the runs name.
    """

    images: int
    features: bool
    seconds: float
    seed: int
    data: Path | None


def write_report(
    runs: Sequence[str | Path],
    out: str | Path,
    *,
    images: int = 1000,
    features: bool = True,
    seconds: float = 300,
    seed: int = 0,
    data: str | Path | None = None,
) -> Path:
    """Write a report on one run, or on several side by side.

    The files of the runs are read and nothing in them is executed. Images or a checkpoint that are not there
    leave out their parts, which say why.

    Args:
        runs: Work dirs.
        out: The HTML file; its folder is made.
        images: How many images the newest whole checkpoint of each run looks at, a choice fixed by ``seed``.
            Defaults to 1000.
        features: Whether it looks at any. Defaults to True.
        seconds: The time after which, for each run, the images looked at so far have to do. Defaults to 300.
        seed: Fixes the choice of images, their views and the maps. Defaults to 0.
        data: Folder of images in place of those that the runs name. Defaults to None.

    Returns:
        The file.

    Raises:
        FileNotFoundError: If a run has no log.
        ValueError: If there is no run, or a number is out of range.
    """
    if not runs:
        raise ValueError('A report is on at least one run: give a work dir.')
    check_numbers('write_report', whole=True, low=3, images=images)
    check_numbers('write_report', whole=True, low=0, seed=seed)
    check_numbers('write_report', low=0, seconds=seconds)
    options = Options(images, features, seconds, seed, None if data is None else Path(data))
    found = read_facts(runs)
    with preserved_generators():
        page = _page(found, options)
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, page)
    return out


def _page(runs: Sequence[RunFacts], options: Options) -> str:
    looked = [_look(run, options) for run in runs]
    scores = [None if isinstance(found, str) else neighbour_scores(found[1]) for found in looked]
    title = runs[0].name if len(runs) == 1 else f'{len(runs)} runs: {", ".join(run.name for run in runs)}'
    sections = {
        'ran': ('What ran', what_ran(runs)),
        'curves': ('Curves', curves(runs)),
        'views': ('Views', _views(runs, options)),
        'features': ('Features', _features(runs, looked, options)),
    }
    if tables := [table for run in runs for table in linear_tables(run)]:
        sections['linear'] = ('Linear evaluation', section('linear', 'Linear evaluation', *tables))
    links = [tag('li', tag('a', name, href=f'#{key}')) for key, (name, _) in sections.items()]
    body = tag(
        'body',
        tag('a', 'Skip to the report', href='#report', class_='skip'),
        tag('header', _heading(title, runs), _scheme_choice(), class_='top wrap'),
        tag('nav', tag('ul', *links, class_='wrap'), aria_label='Parts of the report'),
        tag(
            'main',
            verdicts(runs, [judge(run, score) for run, score in zip(runs, scores, strict=True)]),
            *(part for _, part in sections.values()),
            id='report',
            class_='wrap',
        ),
        tag('footer', f'Written by clsa_mm {__version__}, seed {options.seed}.', class_='wrap'),
    )
    return f'<!DOCTYPE html>\n{tag("html", _head(title), body, lang="en")}\n'


def _head(title: str) -> Markup:
    """The page may use its own style and the images in it, and nothing else: no script, no network."""
    style = hashlib.sha256(STYLE.encode()).digest()
    allowed = f"style-src 'sha256-{base64.b64encode(style).decode()}'; img-src data:"
    policy = f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"
    return tag(
        'head',
        tag('meta', charset='utf-8'),
        tag('meta', http_equiv='Content-Security-Policy', content=policy),
        tag('meta', name='viewport', content='width=device-width, initial-scale=1'),
        tag('meta', name='referrer', content='no-referrer'),
        tag('title', f'{title} - clsa_mm report'),
        tag('style', Markup(STYLE)),
    )


def _heading(title: str, runs: Sequence[RunFacts]) -> Markup:
    starts = [run.start.strftime('%Y-%m-%d') for run in runs if run.start]
    when = f'started {min(starts)}' if starts else ''
    return tag('div', tag('p', f'Report on pretraining, {when}'.strip(', ')), tag('h1', title))


def _scheme_choice() -> Markup:
    choices = [
        tag(
            'label',
            tag('input', type='radio', name='scheme', id=f'scheme-{key}', checked=key == 'auto'),
            name,
        )
        for key, name in _SCHEMES.items()
    ]
    return tag('fieldset', tag('legend', 'Colours'), *choices, class_='scheme')


def _views(runs: Sequence[RunFacts], options: Options) -> Markup:
    parts = []
    for i, run in enumerate(runs):
        shown = _said(lambda run=run: _views_of(run, options))
        parts.append(shown if len(runs) == 1 else folded(run.name, shown, is_open=i == 0))
    intro = 'What the networks see of an image: each view by its role, and the strong operations one by one.'
    return section('views', 'Views', tag('p', intro), *parts)


def _views_of(run: RunFacts, options: Options) -> Markup:
    images = list_images(options.data or training_folder(run))
    sizes = tag('p', f'Images of {images.folder}; {by_role(view_settings(run))}.', class_='note')
    operations = _said(lambda: gallery(run, images))
    title = tag('h3', 'Strong operations')
    return joined([sizes, drawn_views(run, images), title, operations])


def _look(run: RunFacts, options: Options) -> tuple[Encoder, Looked] | str:
    """What the checkpoint makes of images, or why it makes nothing."""
    if not options.features:
        return 'Left out, as asked (--no-features).'
    if run.checkpoint is None:
        return 'There is no whole checkpoint in the work dir.'
    try:
        images = list_images(options.data or _first_there(test_folder(run), training_folder(run)))
        encoder = load_encoder(run, run.checkpoint, options.seed)
        return encoder, look_at(encoder, images.chosen(options.images, options.seed), options.seconds)
    except Exception as error:  # a part that fails leaves the others
        return _reason(error)


def _first_there(*folders: Path | None) -> Path | None:
    return next((folder for folder in folders if folder is not None and folder.is_dir()), folders[-1])


def _features(
    runs: Sequence[RunFacts], looked: Sequence[tuple[Encoder, Looked] | str], options: Options
) -> Markup:
    parts = []
    for i, (run, found) in enumerate(zip(runs, looked, strict=True)):
        if isinstance(found, str):
            shown = tag('p', found, class_='note')
        else:
            shown = _features_of(run, *found, options)
        parts.append(shown if len(runs) == 1 else folded(run.name, shown, is_open=i == 0))
    return section('features', 'Features', *parts)


def _features_of(run: RunFacts, encoder: Encoder, looked: Looked, options: Options) -> Markup:
    remarks = [tag('p', remark, class_='note') for remark in looked.remarks]

    def scores() -> Markup:
        chosen = looked.images.chosen(_SCORED, options.seed)
        read = [read_image(chosen.whole_path(i)) for i in range(len(chosen.paths))]
        found = view_scores(
            encoder, [image for image in read if image is not None], view_settings(run), options.seed
        )
        return score_charts(found, encoder)

    parts: dict[str, Callable[[], Markup]] = {
        'Nearest neighbours': lambda: neighbours(looked),
        'Map': lambda: feature_maps(looked, options.seed),
        'Scores of views': scores,
    }
    source = tag('p', f'By {run.checkpoint.name}, the newest whole checkpoint.', class_='note')
    shown = [part for title, make in parts.items() for part in (tag('h3', title), _said(make))]
    return joined([source, *remarks, *shown])


def _said(make: Callable[[], Markup]) -> Markup:
    """A part of the page, or why it cannot be made."""
    try:
        return make()
    except Exception as error:  # a part that fails leaves the others
        return tag('p', f'Not shown: {_reason(error)}', class_='note')


def _reason(error: Exception) -> str:
    """An error in words; of one that is not about files or settings, its kind too."""
    return str(error) if isinstance(error, OSError | ValueError) else f'{type(error).__name__}: {error}'
