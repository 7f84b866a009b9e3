"""Numbers that settings give, checked for what they are before anything computes with them."""

import math
from numbers import Integral, Real


def check_numbers(owner: str, whole: bool = False, low: float | None = None, **values: object) -> None:
    """Refuse what is no number, not finite, or too small.

    NaN passes any comparison that looks for what is wrong (``value < 0``), a text fails with an error that
    names no setting, and True counts as 1; here all of them are named.

    Args:
        owner: What the settings are of.
        whole: Integers alone. Defaults to False.
        low: Smallest value that is allowed. Defaults to None: any.
        **values: The settings; None passes, as the default of those that have it.

    Raises:
        ValueError: Names the setting, its value and what is allowed.
    """
    kind = Integral if whole else Real
    for name, value in values.items():
        if value is None:
            continue
        fine = isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)
        if not fine or (low is not None and value < low):
            least = '' if low is None else f' of at least {low:g}'
            number = 'a whole number' if whole else 'a finite number'
            raise ValueError(f'{owner}: {name}={value!r} must be {number}{least}')
