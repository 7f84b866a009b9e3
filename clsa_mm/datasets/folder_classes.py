"""Class labels from the folders that images lie in."""

from collections.abc import Sequence

from clsa_mm.printable import printable


def folder_classes(
    paths: Sequence[str], where: str, classes: Sequence[str] | None = None
) -> tuple[tuple[str, ...], list[int]]:
    """Take the first folder of each path for the image's class.

    Args:
        paths: Of images, relative to the folder that holds those of the classes, with ``/`` between folders.
        where: That folder, for messages.
        classes: Names of the classes, whose order numbers them. Defaults to None: the folders, sorted.

    Returns:
        The names of the classes, and the number of each image's class.

    Raises:
        ValueError: If an image lies in no folder, all lie in one, or a folder is none of ``classes``.
    """
    flat = [path for path in paths if '/' not in path]
    remedy = 'point data_root and data_prefix to the folder that holds one folder for each class'
    if flat:
        raise ValueError(
            f'labels=True takes the folders directly below {where} for classes, but {len(flat)} of '
            f'{len(paths)} images lie in none of them, {printable(flat[0])} for one: {remedy}, or leave out '
            'labels=True.'
        )
    folders = [path.partition('/')[0] for path in paths]
    found = sorted(set(folders))
    if len(found) < 2:
        raise ValueError(
            f'labels=True takes the folders directly below {where} for classes, but all {len(paths)} images '
            f'lie in {printable(found[0])}: {remedy}.'
        )
    names = tuple(found if classes is None else classes)
    unknown = [name for name in found if name not in names]
    if unknown:
        raise ValueError(
            f'{where}: the folder {printable(unknown[0])} is none of the {len(names)} classes of '
            f'metainfo.classes ({", ".join(names[:5])}, ...): add it there, or leave out the classes to '
            'take the folders.'
        )
    numbers = {name: number for number, name in enumerate(names)}
    return names, [numbers[folder] for folder in folders]
