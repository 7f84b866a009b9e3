"""Look through a folder of images before a training does: which files are good, what is wrong with others."""

import os
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from clsa_mm.datasets.corrupt_files import CorruptFile, CorruptImageError
from clsa_mm.datasets.image_folder import ImageFolder
from clsa_mm.datasets.isolated import each_isolated
from clsa_mm.datasets.transforms.load_image import LoadImage

_REPORT_SECONDS = 10.0
_STATES = dict(crash='kills the decoder', hang='takes too long')
NO_LINE = 'name no list can hold'
"""Kind of a good file whose name has a line break or blanks at an end."""


class Checked(NamedTuple):
    """What a look through a folder found.

    Attributes:
        good: Paths relative to the folder, in the data set's order.
        bad: The others, whole paths; kinds are those of ``KINDS``, those of files that end their process or
            hang it, and ``NO_LINE``.
    """

    good: list[str]
    bad: list[CorruptFile]


def check_folder(
    dataset: ImageFolder,
    load: LoadImage,
    workers: int,
    timeout: float,
    tell: Callable[[str], None] = lambda line: None,
) -> Checked:
    """Decode every image of a folder.

    Args:
        dataset: Says which files there are.
        load: Decodes them.
        workers: Processes, >= 1.
        timeout: Seconds for a file, > 0.
        tell: Takes a line of progress now and then. Defaults to nothing.
    """
    paths = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
    kinds: dict[int, str] = {}
    start = told = time.monotonic()
    outcomes = each_isolated(partial(_kind_of_file, load), paths, workers, timeout)
    for number, outcome in enumerate(outcomes, 1):
        if kind := _STATES.get(outcome.state, outcome.result):
            kinds[outcome.index] = kind
        now = time.monotonic()
        if now - told >= _REPORT_SECONDS or number == len(paths):
            told = now
            rate = number / max(now - start, 1e-9)
            tell(f'{number}/{len(paths)} files decoded, {len(kinds)} of them bad, {rate:.0f} a second')
    names = [os.path.relpath(path, dataset.img_prefix or '.') for path in paths]
    for i, name in enumerate(names):
        if i not in kinds and (name != name.strip() or '\n' in name):
            kinds[i] = NO_LINE
    bad = [CorruptFile(paths[i], kind) for i, kind in sorted(kinds.items())]
    return Checked([name for i, name in enumerate(names) if i not in kinds], [*bad, *dataset.left_out])


def _kind_of_file(load: LoadImage, path: str) -> str:
    """What is wrong with a file, or ''."""
    try:
        load.transform(dict(img_path=path))
    except CorruptImageError as error:
        return error.kind
    return ''
