"""Errors that know what was meant."""

import difflib
from collections.abc import Iterable


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
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    meant = f'did you mean {near[0]!r}? ' if near else ''
    raise ValueError(
        f'{setting}: unknown name {name!r}; {meant}Known: {", ".join(known)}.'
        + (f' Or {remedy}.' if remedy else '')
    )
