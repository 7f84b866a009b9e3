"""How queries stand to their positives and negatives in a bank."""

import torch
from torch import Tensor

from clsa_mm.models.bank import Bank


@torch.no_grad()
def score_statistics(queries: Tensor, bank: Bank, temperature: float) -> dict[str, Tensor]:
    r"""Mean scores, and the probabilities of figures 4 and 6 of the paper (arXiv 2104.07713).

    Scores are cosines. The probability that a query :math:`z` gives to a key :math:`z_m` of the bank is
    equation 3's, :math:`p(z_m \mid z) = \exp(z \cdot z_m / \tau) / \sum_j \exp(z \cdot z_j / \tau)`.

    Args:
        queries: Unit-length queries of the bank's samples, shape (N, C).
        bank: What they are compared with. Of keys that equal the positive one counts as the positive, the
            others as negatives.
        temperature: :math:`\tau` > 0.

    Returns:
        Means over the queries, scalars of at least float32: ``positive_score``; ``negative_score`` and
        ``negative_score_variance`` (mean and variance over a query's negatives); ``positive_probability``,
        unless the bank does not hold the positives; and ``negative_probability_variance``. Those of
        negatives are not there where there is none.

    The similarities are formed, a tensor of shape (N, M).
    """
    positive = bank.positive_similarity(queries)
    scores = bank.similarities(queries)
    probabilities = torch.softmax(scores / temperature, dim=1)
    found = dict(positive_score=positive)
    if bank.holds_positives:
        # Where the positive stands is the bank's affair; its score tells it, and equal ones are alike.
        place = (scores - positive[:, None]).abs().argmin(dim=1, keepdim=True)
        found['positive_probability'] = probabilities.gather(1, place)[:, 0]
        rest = torch.ones_like(scores, dtype=torch.bool).scatter_(1, place, False)
        scores, probabilities = (values[rest].view(len(values), -1) for values in (scores, probabilities))
    if scores.shape[1]:
        found['negative_score'] = scores.mean(dim=1)
        found['negative_score_variance'] = scores.var(dim=1, correction=0)
        found['negative_probability_variance'] = probabilities.var(dim=1, correction=0)
    return {name: values.mean() for name, values in found.items()}
