"""The views of a run's images, and its strong operations one by one."""

from collections.abc import Mapping, Sequence

import numpy as np

from clsa_mm.datasets.transforms import LoadImage, MakeViews
from clsa_mm.datasets.views.settings import RoleSettings
from clsa_mm.datasets.views.strong_policy import StrongPolicy
from clsa_mm.reports.images import ImageList, input_size, read_image, shrunk, view_settings, whole_view
from clsa_mm.reports.markup import Markup, joined, number, picture, tag
from clsa_mm.reports.run_facts import RunFacts
from clsa_mm.visualization.drawn_views import make_rows, to_picture
from clsa_mm.visualization.gallery import pool_examples

_IMAGES, _EDGE, _GALLERY_EDGE = 4, 160, 128
_POLICY = ('num_ops', 'prob', 'policy', 'ops', 'replacement')


def drawn_views(run: RunFacts, images: ImageList) -> Markup:
    """Four images of the training set with the views of the first epoch.

    Args:
        run: The run.
        images: Of its training set; those that cannot be read are passed over.

    Raises:
        ValueError: If there are no views in its settings, impossible ones, or none of the images can be read.
    """
    make_views = MakeViews(view_settings(run))
    seed = run.setting('randomness.seed')
    samples = {i: dict(img_path=images.whole_path(i)) for i in _spread(images, _IMAGES)}
    titles, rows = make_rows(samples, [LoadImage()], make_views, seed if isinstance(seed, int) else 0, 1)
    strips = []
    for caption, pictures in rows:
        name = caption.rpartition(',')[0]
        shown = [
            tag('figure', picture(shrunk(view, _EDGE), f'{title} of {name}'), tag('figcaption', title))
            for title, view in zip([name, *titles[1:]], pictures, strict=True)
        ]
        strips.append(tag('div', *shown, class_='strip', tabindex='0', role='group', aria_label=name))
    return tag('div', *strips, class_='strips')


def gallery(run: RunFacts, images: ImageList) -> Markup:
    """Each operation of the strong views' pool at the ends and the middle of its range.

    Args:
        run: The run.
        images: Of its training set.

    Raises:
        ValueError: If its settings have no strong operations, or no image can be read.
    """
    settings = view_settings(run).get('strong', {})
    unset = {name: getattr(RoleSettings, name) for name in _POLICY}
    policy = StrongPolicy(**{name: settings.get(name, usual) for name, usual in unset.items()})
    if not policy.num_ops or settings.get('num_views') == 0:
        raise ValueError('The views of this run have no strong operations.')
    read = [whole_view(read_image(images.whole_path(i)), input_size(run)) for i in _spread(images, _IMAGES)]
    image = max(read, key=lambda shown: np.ptp(shown, axis=2).mean())  # the most colourful one
    figures = [_operation(name, examples) for name, examples in pool_examples(image, policy, 3).items()]
    drawn = f'{policy.num_ops} are drawn for a view, each applied with probability {number(policy.prob)}.'
    return joined([tag('p', drawn, class_='note'), tag('div', *figures, class_='gallery')])


def _operation(name: str, examples: Sequence[tuple[float | None, np.ndarray]]) -> Markup:
    cells = []
    for magnitude, result in examples:
        below = '' if magnitude is None else number(magnitude)
        shown = picture(shrunk(to_picture(result), _GALLERY_EDGE), f'{name} {below}'.rstrip())
        cells.append(tag('div', shown, below))
    return tag('figure', tag('figcaption', name), tag('div', *cells, class_='row'))


def _spread(images: ImageList, number: int) -> list[int]:
    """Places of readable images, evenly spaced."""
    wanted = np.linspace(0, len(images.paths) - 1, min(number, len(images.paths))).astype(int).tolist()
    found = [place for place in wanted if read_image(images.whole_path(place)) is not None]
    if not found:
        raise ValueError(f'None of the images looked at in {images.folder} can be read.')
    return found


def by_role(settings: Mapping[str, Mapping]) -> str:
    """The views in words: ``key 224, weak 224, strong 96 pixels``."""
    return ', '.join(f'{role} {values.get("size")}' for role, values in settings.items()) + ' pixels'
