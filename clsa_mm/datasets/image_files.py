"""The image files of a folder."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence

IMAGE_EXTENSIONS = (
    ".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".gif", ".avif",
    ".jp2",
)  # fmt: skip


def find_images(
    root: str,
    extensions: tuple[str, ...],
    starts: Sequence[str] = ('',),
    others: Counter[str] | None = None,
) -> Iterator[str]:
    """Find images by the sorted names, depth first, without hidden files and folders (leading dot).

    Links to folders are followed, each real folder once; links to nothing or to themselves are left out.

    Args:
        root: A local folder.
        extensions: Of images, in small letters.
        starts: Look in these folders of the root alone. Defaults to ('',): in all of it.
        others: Counts the other files by extension. Defaults to None.

    Yields:
        Paths relative to the root.
    """
    others = Counter() if others is None else others
    visited = set() if '' in starts else {_identity(root)}
    folders = [*reversed(starts)]
    while folders:
        folder = folders.pop()
        if _is_broken_link(os.path.join(root, folder)):  # a start; of the others only whole ones are taken
            others['broken link'] += 1
            continue
        if (identity := _identity(os.path.join(root, folder))) in visited:
            continue  # links can form cycles, or show the same images twice
        visited.add(identity)
        subfolders = []
        with os.scandir(os.path.join(root, folder)) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                path = os.path.join(folder, entry.name)
                if entry.name.startswith('.'):
                    continue
                if _is_broken_link(entry.path):
                    others['broken link'] += 1
                elif entry.is_dir():
                    subfolders.append(path)
                elif entry.name.lower().endswith(extensions) and entry.is_file():
                    yield path
                else:
                    others[os.path.splitext(entry.name)[1].lower() or 'no extension'] += 1
        folders.extend(reversed(subfolders))


def is_hidden(path: str) -> bool:
    """Whether a part of a path has a leading dot."""
    return any(part.startswith('.') for part in path.split('/'))


def missing_folder_message(path: str) -> str:
    """What to say of a folder that does not exist.

    Args:
        path: Absolute.
    """
    existing = os.path.dirname(path)
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    names = sorted(os.listdir(existing))[:10]
    return (
        f'The image folder {path} does not exist. The nearest folder that does is {existing}, '
        f'which holds: {", ".join(names) or "nothing"}. Mend data_root and data_prefix, or move '
        'or link the images there.'
    )


def _is_broken_link(path: str) -> bool:
    """Whether it is a link to nothing, or to itself."""
    return os.path.islink(path) and not os.path.exists(path)


def _identity(folder: str) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino
