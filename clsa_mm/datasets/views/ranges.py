"""Ranges of numbers, as configs write them."""

from collections.abc import Sequence
from numbers import Real
from typing import Any

LARGEST_SPREAD = 1000
"""Of a factor's spread and of a standard deviation; OpenCV's whole numbers overflow beyond a million."""


def is_number(value: Any, high: float) -> bool:
    """Whether a value is a number from 0 to ``high``; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= value <= high


def is_pair(value: Any) -> bool:
    """Whether a value is two finite numbers."""
    return (
        isinstance(value, Sequence)
        and len(value) == 2
        and all(
            isinstance(limit, Real) and not isinstance(limit, bool) and abs(limit) < float('inf')
            for limit in value
        )
    )


def is_range(value: Any) -> bool:
    """Whether a value is (low, high) with 0 < low <= high."""
    return is_pair(value) and 0 < value[0] <= value[1]
