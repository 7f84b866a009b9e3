"""The image files of a folder."""

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence

from mmengine.logging import print_log

from clsa_mm.datasets.corrupt_files import CorruptFile, kind_of
from clsa_mm.printable import printable

IMAGE_EXTENSIONS = (
    ".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".gif", ".avif",
    ".jp2",
)  # fmt: skip


def find_images(
    root: str,
    extensions: tuple[str, ...],
    starts: Sequence[str] = ('',),
    others: Counter[str] | None = None,
    left_out: list[CorruptFile] | None = None,
) -> Iterator[str]:
    """Find images by the sorted names, depth first, without hidden files and folders (leading dot).

    Links to folders are followed, each real folder once. Links to nothing or to themselves, pipes, sockets
    and devices, and folders that cannot be listed are left out.

    Args:
        root: A local folder.
        extensions: Of images, in small letters.
        starts: Look in these folders of the root alone. Defaults to ('',): in all of it.
        others: Counts the other files by extension. Defaults to None.
        left_out: Takes what is left out although it has an image's name, and folders that cannot be listed.
            Defaults to None.

    Yields:
        Paths relative to the root.

    Raises:
        OSError: The root cannot be listed.
    """
    others = Counter() if others is None else others
    left_out = [] if left_out is None else left_out
    visited = set() if '' in starts else {_identity(root)}
    folders = [*reversed(starts)]
    while folders:
        folder = folders.pop()
        whole = os.path.join(root, folder)
        if _is_broken_link(whole):  # a start; of the others only whole ones are taken
            others['broken link'] += 1
            continue
        try:
            if (identity := _identity(whole)) in visited:
                continue  # links can form cycles, or show the same images twice
            entries = sorted(os.scandir(whole), key=lambda e: e.name)
        except OSError as error:
            if not folder:
                raise
            left_out.append(CorruptFile(whole, kind_of(error)))
            continue
        visited.add(identity)
        subfolders = []
        for entry in entries:
            if entry.name.startswith('.'):
                continue
            is_image = entry.name.lower().endswith(extensions)
            broken = _is_broken_link(entry.path)
            if not broken and entry.is_dir():
                subfolders.append(os.path.join(folder, entry.name))
            elif not broken and is_image and entry.is_file():
                yield os.path.join(folder, entry.name)
            else:
                kind = os.path.splitext(entry.name)[1].lower() or 'no extension'
                others['broken link' if broken else kind] += 1
                if is_image:
                    left_out.append(CorruptFile(entry.path, 'missing' if broken else 'no file'))
        folders.extend(reversed(subfolders))


def check_extensions(extensions: Sequence[str]) -> None:
    """Refuse what is no list of endings of names; a text would be taken for a list of letters.

    Args:
        extensions: Of images.

    Raises:
        ValueError: If they are none.
    """
    listed = isinstance(extensions, Sequence) and not isinstance(extensions, str)
    if not listed or not extensions or not all(isinstance(each, str) and each for each in extensions):
        raise ValueError(f"extensions must be a list of endings such as ['.jpg', '.png'], got {extensions!r}")


def warn_of_left_out(where: str, left_out: Sequence[CorruptFile]) -> None:
    """Say how many files a search left out, and the first of each kind.

    Args:
        where: The folder.
        left_out: By :func:`find_images`.
    """
    for kind, number in Counter(file.kind for file in left_out).items():
        first = next(file.path for file in left_out if file.kind == kind)
        print_log(
            f'{printable(where)}: left out {number} x {kind!r}, the first is {printable(first)}',
            logger='current',
            level=logging.WARNING,
        )


def is_hidden(path: str) -> bool:
    """Whether a part of a path has a leading dot."""
    return any(part.startswith('.') for part in path.split('/'))


def missing_folder_message(path: str) -> str:
    """What to say of a folder that does not exist, or is a file.

    Args:
        path: Absolute.
    """
    existing = os.path.dirname(path)
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    names = sorted(os.listdir(existing))[:10]
    wrong = 'is a file' if os.path.exists(path) else 'does not exist'
    return (
        f'The image folder {path} {wrong}. The nearest folder is {existing}, '
        f'which holds: {printable(", ".join(names)) or "nothing"}. Mend data_root and data_prefix, or move '
        'or link the images there.'
    )


def _is_broken_link(path: str) -> bool:
    """Whether it is a link to nothing, or to itself."""
    return os.path.islink(path) and not os.path.exists(path)


def _identity(folder: str) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino
