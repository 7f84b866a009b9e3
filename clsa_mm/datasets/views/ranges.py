"""Ranges of numbers, as configs write them."""

from collections.abc import Sequence
from numbers import Real
from typing import Any


def is_pair(value: Any) -> bool:
    """Whether a value is two finite numbers."""
    return (
        isinstance(value, Sequence)
        and len(value) == 2
        and all(isinstance(limit, Real) and abs(limit) < float('inf') for limit in value)
    )


def is_range(value: Any) -> bool:
    """Whether a value is (low, high) with 0 < low <= high."""
    return is_pair(value) and 0 < value[0] <= value[1]
