"""Lengths of time in words."""


def duration(seconds: float) -> str:
    """A length of time in the two units that matter, such as ``2 h 5 min``."""
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = [(days, 'd'), (hours, 'h'), (minutes, 'min'), (rest, 's')]
    first = next((i for i, (number, _) in enumerate(units) if number), 3)
    return ' '.join(f'{number} {unit}' for number, unit in units[first : first + 2])
