"""How queries stand to their positives and negatives in a bank."""

import torch
from torch import Tensor

from clsa_mm.given_numbers import check_numbers
from clsa_mm.models.bank import Bank


def score_statistics(queries: Tensor, bank: Bank, temperature: float) -> dict[str, Tensor]:
    """Means over the queries of :func:`query_statistics`: scalars of at least float32.

    Args:
        queries: As there.
        bank: As there.
        temperature: As there.
    """
    return {name: values.mean() for name, values in query_statistics(queries, bank, temperature).items()}


@torch.no_grad()
def query_statistics(queries: Tensor, bank: Bank, temperature: float) -> dict[str, Tensor]:
    r"""Scores and probabilities of each query: those of figures 4 and 6 of the paper (arXiv 2104.07713).

    Scores are cosines. The probability that a query :math:`z` gives to a key :math:`z_m` of the bank is
    equation 3's, :math:`p(z_m \mid z) = \exp(z \cdot z_m / \tau) / \sum_j \exp(z \cdot z_j / \tau)`.

    Args:
        queries: Unit-length queries of the bank's samples, shape (N, C).
        bank: What they are compared with. Of keys that equal the positive one counts as the positive, the
            others as negatives; of a bank with labels all keys of the query's label are its positives.
        temperature: :math:`\tau` > 0.

    Returns:
        At least float32, shape (N,) each: ``positive_score``; ``negative_score`` and
        ``negative_score_variance`` (mean and variance over a query's negatives); ``positive_probability``
        (of several positives the mean), unless the bank does not hold the positives; and
        ``negative_probability_variance``. Those of negatives are of the queries that have any, and not there
        where none has.

    The similarities are formed, a tensor of shape (N, M).

    Raises:
        ValueError: If the temperature is no number above 0.
    """
    check_numbers('query_statistics', temperature=temperature)
    if temperature <= 0:
        raise ValueError(f'query_statistics: temperature={temperature!r} must be above 0')
    scores = bank.similarities(queries)
    probabilities = torch.softmax(scores / temperature, dim=1)
    positives = bank.are_positives(queries, scores)
    found = dict(positive_score=bank.positive_similarity(queries))
    if bank.holds_positives:
        found['positive_probability'] = _mean_and_variance(probabilities, positives)[0]
    negatives = ~positives
    some = negatives.any(dim=1)
    if some.any():
        moments = [_mean_and_variance(each[some], negatives[some]) for each in (scores, probabilities)]
        (found['negative_score'], found['negative_score_variance']), (_, variance) = moments
        found['negative_probability_variance'] = variance
    return found


def temperature_of(head: object) -> float | None:
    """The temperature of a head's probabilities.

    Args:
        head: Any.

    Returns:
        That of the contrastive loss, or where a head has DDM alone, that of the strong views in it; None
        where there is neither.
    """
    alone = getattr(head, 'contrastive_weight', 1) == 0
    return getattr(head, 'ddm_temperature' if alone else 'temperature', None)


def _mean_and_variance(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Of the values (N, M) in each row that are marked, at least one: each (N,)."""
    numbers = mask.sum(dim=1)
    means = values.masked_fill(~mask, 0).sum(dim=1) / numbers
    squares = (values - means[:, None]).square().masked_fill(~mask, 0)
    return means, squares.sum(dim=1) / numbers
