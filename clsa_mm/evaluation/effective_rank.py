"""Effective ranks of features: how many directions they use, measured without labels."""

import torch
from torch import Tensor

from clsa_mm.given_numbers import check_numbers


def rankme(features: Tensor, epsilon: float = 1e-7) -> float:
    r"""RankMe: the exponential of the entropy of the normalised singular values.

    .. math::
        p_k = \frac{\sigma_k(Z)}{\lVert \sigma(Z) \rVert_1} + \epsilon, \qquad
        \operatorname{RankMe}(Z) = \exp\Big( -\sum_{k=1}^{\min(N, D)} p_k \log p_k \Big)

    Args:
        features: Z, one row an image, shape (N, D); not centred and not scaled, as in the paper.
        epsilon: Keeps the logarithm finite. Defaults to 1e-7, the paper's for float32.

    Returns:
        From 1 (all features on a line) to min(N, D); 0 if all features are zero. Computed in float64.

    Raises:
        ValueError: If the features have another number of axes or are not finite, or ``epsilon`` is negative.

    Source: equations 1 and 2 of arXiv 2210.02885, which takes 25,600 images.
    """
    check_numbers('rankme', low=0, epsilon=epsilon)
    _check(features, 2, '(N, D)')
    return _entropic_rank(torch.linalg.svdvals(features.double()), epsilon)


def lidar(features: Tensor, delta: float = 1e-4, epsilon: float = 1e-7) -> float:
    r"""LiDAR: the effective rank of what tells images apart, with the spread of an image's views divided out.

    Each image :math:`x` is a class of its own; :math:`\mu_x` is the mean over its views, :math:`\mu` the mean
    over images.

    .. math::
        \Sigma_b = \operatorname{E}_x (\mu_x - \mu)(\mu_x - \mu)^\top, \qquad
        \Sigma_w = \operatorname{E}_{x, v} (z_{x, v} - \mu_x)(z_{x, v} - \mu_x)^\top + \delta I

    The rank is RankMe's formula on the D eigenvalues of :math:`\Sigma_w^{-1/2} \Sigma_b \Sigma_w^{-1/2}`.

    Args:
        features: Of q views of n images each, shape (n, q, D).
        delta: Added to the diagonal of the scatter within images, which q views of few images do not fill.
            Features of a much smaller scale than its root are hardly told from noise. Defaults to 1e-4.
        epsilon: As of :func:`rankme`. Defaults to 1e-7.

    Returns:
        From 1 to min(n - 1, D); 0 if all images have the same mean. Computed in float64.

    Raises:
        ValueError: If the features have another number of axes, are not finite, or are of less than two
            images or two views, or a number is negative.

    Source: section 4 of arXiv 2312.04000.
    """
    check_numbers('lidar', low=0, delta=delta, epsilon=epsilon)
    _check(features, 3, '(n, q, D)')
    n, q, dimensions = features.shape
    if n < 2 or q < 2:
        raise ValueError(f'LiDAR needs at least 2 images of 2 views each, got {n} of {q}')
    features = features.double()
    means = features.mean(dim=1)
    between = means - means.mean(dim=0)
    if between.norm() <= 1e-12 * features.norm():  # rounding alone, whose rank would be high
        return 0.0
    within = (features - means[:, None]).flatten(0, 1)
    scatter = within.T @ within / len(within)
    # No less than float64 resolves beside features of a large scale.
    scatter.diagonal().add_(max(delta, 1e-12 * scatter.trace().item()))
    # With scatter = L L^T the eigenvalues are the squared singular values of L^-1 B^T / sqrt(n); D - n are 0.
    whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(scatter), between.T, upper=False)
    eigenvalues = features.new_zeros(dimensions)
    eigenvalues[: min(n, dimensions)] = torch.linalg.svdvals(whitened).square() / n
    return _entropic_rank(eigenvalues, epsilon)


def _entropic_rank(values: Tensor, epsilon: float) -> float:
    total = values.sum()
    if not total:
        return 0.0
    shares = values / total + epsilon
    return (-(shares * shares.log()).sum()).exp().item()


def _check(features: Tensor, axes: int, shape: str) -> None:
    if features.dim() != axes or not features.numel():
        raise ValueError(f'features must be {shape} and not empty, got {tuple(features.shape)}')
    if not features.isfinite().all():
        raise ValueError('The features hold NaN or infinity: has the pretraining diverged?')
