"""Names and paths that callers give, checked for what they are before anything looks them up."""

import os
from collections.abc import Collection


def check_names(owner: str, **values: object) -> None:
    """Refuse what is no text or path, and an empty one, which would stand for the current folder.

    Args:
        owner: What the arguments are of.
        **values: The arguments.

    Raises:
        ValueError: Names the argument, its value and what is allowed.
    """
    for name, value in values.items():
        if not isinstance(value, str | os.PathLike) or not os.fspath(value):
            raise ValueError(f'{owner}: {name}={value!r} must be a name or a path')


def check_choice(owner: str, allowed: Collection[str], **values: object) -> None:
    """Refuse what is none of the names allowed.

    Args:
        owner: What the arguments are of.
        allowed: The names.
        **values: The arguments.

    Raises:
        ValueError: Names the argument, its value and what is allowed.
    """
    for name, value in values.items():
        if value not in allowed:
            raise ValueError(f'{owner}: {name}={value!r} must be one of {", ".join(allowed)}')
