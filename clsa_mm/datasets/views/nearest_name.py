"""Errors that know what was meant."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Find the known name that another is most like.

    Args:
        name: Any.
        known: All names there are.
        cutoff: How alike they have to be, from 0 to 1: equal. Defaults to 0.6.

    Returns:
        The name; None if none is that much alike.
    """
    return next(iter(difflib.get_close_matches(name, list(known), 1, cutoff)), None)


def choose(name: str, known: Iterable[str], setting: str, remedy: str = '') -> str:
    """Return a name that is known.

    Args:
        name: As it was given.
        known: All names there are.
        setting: What the name is for, for the message.
        remedy: What else can be done, for the message. Defaults to ''.

    Returns:
        The name.

    Raises:
        ValueError: It is unknown; the message has the nearest of the others.
    """
    known = list(known)
    if name in known:
        return name
    near = nearest(str(name), known)
    meant = f'did you mean {near!r}? ' if near else ''
    raise ValueError(
        f'{setting}: unknown name {name!r}; {meant}Known: {", ".join(known)}.'
        + (f' Or {remedy}.' if remedy else '')
    )
