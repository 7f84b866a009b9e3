"""Against closed forms, the papers' formulas in NumPy and SciPy, and batches of known rank."""

import numpy as np
import pytest
import scipy.linalg
import torch

from clsa_mm.evaluation import lidar, rankme


def entropic_rank(values: np.ndarray, epsilon: float = 1e-7) -> float:
    shares = values / np.abs(values).sum() + epsilon
    return float(np.exp(-np.sum(shares * np.log(shares))))


def orthogonal(size: int, columns: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(size)
    return torch.linalg.qr(torch.randn(size, columns, generator=generator, dtype=torch.float64)).Q


@pytest.mark.parametrize('rank', [1, 3, 8])
def test_rankme_of_a_known_rank(rank):
    """Equal singular values: the rank itself, whatever rotation and scale."""
    features = 5 * orthogonal(40, rank) @ orthogonal(8, rank).T
    assert rankme(features) == pytest.approx(rank, rel=1e-4)
    assert rankme(features.float()) == pytest.approx(rank, rel=1e-4)


def test_rankme_of_known_singular_values():
    """Shares of 1/2, 1/4, 1/4: entropy of 1.5 ln 2."""
    features = orthogonal(20, 3) * torch.tensor([2.0, 1.0, 1.0])
    assert rankme(features, epsilon=0) == pytest.approx(2**1.5)


@pytest.mark.parametrize('shape', [(30, 7), (7, 30)])
def test_rankme_by_numpy(shape):
    features = np.random.default_rng(0).normal(1, 2, shape)
    expected = entropic_rank(np.linalg.svd(features, compute_uv=False))
    assert rankme(torch.from_numpy(features)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(('n', 'q', 'dimensions'), [(20, 5, 6), (5, 3, 12)])
def test_lidar_by_the_papers_equations(n, q, dimensions):
    """Loops for the two scatters, SciPy's matrix root, NumPy's eigenvalues."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(n, 1, dimensions))
    features = centres + 0.3 * rng.normal(size=(n, q, dimensions)) * np.arange(1, dimensions + 1)
    means = [sum(views) / q for views in features]
    mean = sum(means) / n
    between = sum(np.outer(m - mean, m - mean) for m in means) / n
    within = 1e-4 * np.eye(dimensions)
    for m, views in zip(means, features, strict=True):
        within += sum(np.outer(z - m, z - m) for z in views) / (n * q)
    root = np.linalg.inv(scipy.linalg.sqrtm(within).real)
    eigenvalues = np.linalg.eigvalsh(root @ between @ root).clip(min=0)
    assert lidar(torch.from_numpy(features)) == pytest.approx(entropic_rank(eigenvalues), rel=1e-6)


def test_lidar_counts_only_what_tells_images_apart():
    """Images differ in 2 of 6 dimensions, views of an image in 3 others: RankMe sees 5, LiDAR 2."""
    square = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    cube = torch.tensor([[a, b, c] for a in (-1.0, 1) for b in (-1, 1) for c in (-1, 1)])
    features = torch.zeros(4, 8, 6, dtype=torch.float64)
    features[:, :, :2] = square[:, None]
    features[:, :, 2:5] = cube
    assert rankme(features.flatten(0, 1)) == pytest.approx(5, rel=1e-4)
    assert lidar(features) == pytest.approx(2, rel=1e-4)


def test_lidar_of_any_scale():
    """Without delta the eigenvalues have no scale; 1e9 leaves it below what float64 resolves."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(30, 1, 5, generator=generator) + 0.1 * torch.randn(30, 4, 5, generator=generator)
    features = torch.cat([features, torch.zeros(30, 4, 20)], dim=-1)
    assert lidar(1e9 * features) == pytest.approx(lidar(features, delta=1e-9), rel=1e-4)


def test_collapse():
    constant = torch.full((6, 3, 5), 0.1)
    assert rankme(constant.flatten(0, 1)) == pytest.approx(1, rel=1e-4)
    assert rankme(0 * constant.flatten(0, 1)) == 0
    assert lidar(constant) == 0


def test_errors():
    with pytest.raises(ValueError, match=r'must be \(N, D\) and not empty, got \(2, 3, 4\)'):
        rankme(torch.ones(2, 3, 4))
    with pytest.raises(ValueError, match=r'must be \(n, q, D\) and not empty, got \(2, 4\)'):
        lidar(torch.ones(2, 4))
    with pytest.raises(ValueError, match='NaN or infinity: has the pretraining diverged'):
        rankme(torch.full((2, 2), float('nan')))
    with pytest.raises(ValueError, match='at least 2 images of 2 views each, got 3 of 1'):
        lidar(torch.ones(3, 1, 2))
