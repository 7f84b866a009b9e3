"""Sums and exponentials of floating point numbers without overflow: the oracles of the property tests.

Products and differences are fractions, so nothing overflows, underflows or cancels; exponentials are formed
of differences from the largest alone, with Python's ``math``.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

Vector = Sequence[float]


def dot(first: Vector, second: Vector) -> Fraction:
    """Product of two vectors."""
    return sum((Fraction(a) * Fraction(b) for a, b in zip(first, second, strict=True)), Fraction(0))


def softmax(logits: Sequence[Fraction]) -> list[float]:
    """Probabilities; those below e^-700 are 0."""
    shares = _shares(logits)
    total = math.fsum(shares)
    return [share / total for share in shares]


def log_sum_exp(logits: Sequence[Fraction]) -> Fraction:
    """Logarithm of the sum of exponentials."""
    return max(logits) + Fraction(math.log(math.fsum(_shares(logits))))


def attention(query: Vector, keys: Sequence[Vector], temperature: float) -> tuple[list[Fraction], Fraction]:
    """Expected key and log-partition of one query over a bank."""
    logits = [dot(query, key) / Fraction(temperature) for key in keys]
    weights = [Fraction(weight) for weight in softmax(logits)]
    expected = [
        sum(w * Fraction(key[c]) for w, key in zip(weights, keys, strict=True)) for c in range(len(query))
    ]
    return expected, log_sum_exp(logits)


def clamped(value: float, temperature: float, bound: float) -> Fraction:
    """A logit divided by a temperature, at most ``bound`` in magnitude."""
    return max(-Fraction(bound), min(Fraction(bound), Fraction(value) / Fraction(temperature)))


def _shares(logits: Sequence[Fraction]) -> list[float]:
    highest = max(logits)
    return [
        math.exp(float(max(logit - highest, Fraction(-700)))) * (logit - highest > -700) for logit in logits
    ]
