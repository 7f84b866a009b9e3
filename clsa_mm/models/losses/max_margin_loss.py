"""The max-margin contrastive loss on pairs."""

import torch
from torch import Tensor

from clsa_mm.given_numbers import check_numbers
from clsa_mm.models.losses.precision import at_least_float32, full_precision
from clsa_mm.models.losses.supcon_loss import check_labelled


def max_margin_loss(features: Tensor, labels: Tensor, margin: float = 1.0) -> Tensor:
    r"""Pulls features of one label together and pushes others apart up to a margin.

    .. math::
        L_{ij} = \mathbb{1}[y_i = y_j] \, \|z_i - z_j\|^2
            + \mathbb{1}[y_i \neq y_j] \max(0, \epsilon - \|z_i - z_j\|^2)

    Args:
        features: Shape (M, C), of any length whose squared distances are finite in float32, or float64.
        labels: Theirs, integers of shape (M,).
        margin: Squared distance :math:`\epsilon` beyond which other labels are left alone; of unit-length
            features it is at most 4, of orthogonal ones 2.

    Returns:
        The mean over all pairs :math:`i \neq j`, a scalar of at least float32; 0 of a single feature.

    Raises:
        ValueError: If the shapes do not fit or the margin is not positive.

    Source: Hadsell et al., Dimensionality Reduction by Learning an Invariant Mapping (CVPR 2006), there with
    the squared hinge :math:`\max(0, m - D)^2` on distances; here the hinge is on squared distances.
    """
    check_labelled(features, labels)
    check_numbers('max_margin_loss', margin=margin)
    if not margin > 0:
        raise ValueError(f'margin must be positive, got {margin}: 0 would push nothing apart')
    with full_precision(features):
        features = at_least_float32(features)
        # Not by a matrix product, which cancels where features are nearer to each other than to 0.
        distances = torch.cdist(features, features, compute_mode='donot_use_mm_for_euclid_dist').square()
        losses = torch.where(labels[:, None] == labels, distances, (margin - distances).clamp(min=0))
        pairs = losses.fill_diagonal_(0)  # a feature is no pair with itself
        return (pairs / max(len(pairs) * (len(pairs) - 1), 1)).sum()
