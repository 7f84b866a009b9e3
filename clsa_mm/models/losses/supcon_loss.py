"""The supervised contrastive losses over the views of a batch."""

import torch
from torch import Tensor

from clsa_mm.given_numbers import check_numbers
from clsa_mm.models.losses.precision import at_least_float32, full_precision

PLACES = ('out', 'in')


def supcon_loss(
    features: Tensor, labels: Tensor, temperature: float = 0.1, place: str = 'out'
) -> tuple[Tensor, Tensor]:
    r"""SupCon's loss of each anchor, with the sum over positives outside or inside the logarithm.

    With :math:`A(i)` all features but the anchor's, :math:`P(i)` those of them with its label, and the
    log-partition :math:`l_i = \log \sum_{a \in A(i)} \exp(z_i \cdot z_a / \tau)`

    .. math::
        L^{out}_i = l_i - \frac{1}{|P(i)|} \sum_{p \in P(i)} z_i \cdot z_p / \tau, \qquad
        L^{in}_i = l_i - \log \frac{1}{|P(i)|} \sum_{p \in P(i)} \exp(z_i \cdot z_p / \tau)

    Where each label stands for one image, both are SimCLR's NT-Xent for two views.

    Args:
        features: Unit-length features of all views of all images, shape (M, C). Gradients flow through all of
            them, anchors and others, so an (M, M) tensor is kept.
        labels: Theirs, integers of shape (M,).
        temperature: Divides the similarities.
        place: ``'out'`` (equation 2 of the paper, the better one there) or ``'in'`` (equation 3).

    Returns:
        The losses (M,), at least float32, 0 for an anchor without positives, and how many positives each
        anchor has, int64 (M,). The paper sums over anchors, the official code takes their mean.

    Raises:
        ValueError: If the shapes do not fit, the temperature is not positive or ``place`` is not as above.

    Source: section 3.2 of arXiv 2004.11362; ``losses.py`` of HobbitLong/SupContrast has ``'out'``.
    """
    check_labelled(features, labels)
    check_numbers('supcon_loss', temperature=temperature)
    if not temperature > 0 or place not in PLACES:
        raise ValueError(
            f"temperature must be positive and place 'out' or 'in', got {temperature} and {place!r}"
        )
    with full_precision(features):
        features = at_least_float32(features)
        logits = features @ features.T / temperature
        lowest = torch.finfo(logits.dtype).min  # not -inf, whose gradients are NaN where a row has no other
        itself = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        positives = (labels[:, None] == labels) & ~itself
        counts = positives.sum(dim=1)
        number = counts.clamp(min=1).to(logits)
        others = logits.masked_fill(itself, lowest).logsumexp(dim=1)
        if place == 'out':
            agreements = logits.masked_fill(~positives, 0).sum(dim=1) / number
        else:
            agreements = logits.masked_fill(~positives, lowest).logsumexp(dim=1) - number.log()
        return torch.where(counts > 0, others - agreements, 0), counts


def check_labelled(features: Tensor, labels: Tensor) -> None:
    """Refuse features that are not (M, C) or have not one label each."""
    if features.dim() != 2 or labels.shape != features.shape[:1]:
        raise ValueError(
            f'features must be (M, C) and labels (M,), got {tuple(features.shape)} and {tuple(labels.shape)}'
        )
