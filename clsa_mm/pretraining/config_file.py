"""A recipe as a config of the ordinary kind: it inherits and shows what differs."""

from collections.abc import Sequence
from typing import Any

from mmengine.config import Config

from clsa_mm.engine.config_bases import PREFIX
from clsa_mm.pretraining.rules import Decision


def config_text(title: str, base: str, decisions: Sequence[Decision]) -> str:
    """The text of a config.

    Args:
        title: One line on what it is.
        base: The config that it inherits, a path in configs/.
        decisions: What differs.
    """
    reasons = '\n'.join(f'    {decision.name}: {decision.why}' for decision in decisions)
    body = Config(nested(decisions)).pretty_text.strip()
    return f'"""{title}\n\n{reasons}\n"""\n\n_base_ = {PREFIX + base!r}\n\n{body}\n'


def nested(decisions: Sequence[Decision]) -> dict[str, Any]:
    """The settings as dictionaries in dictionaries."""
    tree: dict[str, Any] = {}
    for name, value, _ in decisions:
        *places, last = name.split('.')
        node = tree
        for place in places:
            node = node.setdefault(place, {})
        node[last] = value
    return tree
