"""What is near in feature space: neighbours, clusters, and maps of the plane."""

from collections.abc import Sequence

import numpy as np


def nearest(features: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest neighbours of each image among the others.

    Args:
        features: Of unit length, shape (N, D).
        number: Of neighbours; at most N - 1 there are.

    Returns:
        Their places, nearest first, and cosine similarities, each of shape (N, number).
    """
    cosines = features @ features.T
    np.fill_diagonal(cosines, -np.inf)
    places = np.argsort(-cosines, axis=1, kind='stable')[:, : min(number, len(features) - 1)]
    return places, np.take_along_axis(cosines, places, axis=1)


def same_class(features: np.ndarray, labels: Sequence[str]) -> float:
    """Percentage of images whose nearest neighbour is of the same class."""
    places = nearest(features, 1)[0][:, 0]
    return 100 * float(np.mean([labels[i] == labels[place] for i, place in enumerate(places)]))


def chance_of_same_class(labels: Sequence[str]) -> float:
    """Percentage of pairs of different images that are of one class."""
    _, counts = np.unique(np.array(labels, dtype=object).astype(str), return_counts=True)
    return 100 * float((counts * (counts - 1)).sum() / (len(labels) * (len(labels) - 1)))


def clusters(features: np.ndarray, number: int, seed: int, rounds: int = 50) -> list[str]:
    """Group images by k-means on the sphere, from centres far from each other.

    Args:
        features: Of unit length, shape (N, D).
        number: Of clusters.
        seed: Of the first centre.
        rounds: At most. Defaults to 50.

    Returns:
        Of each image ``cluster 1``, ....
    """
    centres = [features[np.random.default_rng(seed).integers(len(features))]]
    while len(centres) < min(number, len(features)):
        centres.append(features[np.argmin(np.max(features @ np.stack(centres).T, axis=1))])
    centres, assigned = np.stack(centres), None
    for _ in range(rounds):
        found = np.argmax(features @ centres.T, axis=1)
        if assigned is not None and (found == assigned).all():
            break
        assigned = found
        for i in range(len(centres)):
            if (assigned == i).any():
                mean = features[assigned == i].mean(axis=0)
                centres[i] = mean / max(np.linalg.norm(mean), 1e-12)
    return [f'cluster {i + 1}' for i in assigned]


def maps(features: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Place images in the plane so that those with like features are near.

    Args:
        features: Of unit length, shape (N, D).
        seed: Fixes the places.

    Returns:
        Shape (N, 2) by the name of the method: t-SNE where scikit-learn is installed, or else the first two
        principal components; UMAP where it is installed, of four images or more.
    """
    found = {}
    try:
        from sklearn.manifold import TSNE  # optional

        perplexity = min(30.0, (len(features) - 1) / 3)
        tsne = TSNE(init='pca', perplexity=perplexity, random_state=seed, method='exact' if len(features) < 50
                    else 'barnes_hut')  # fmt: skip
        found['t-SNE'] = tsne.fit_transform(features)
    except ImportError:
        centred = features - features.mean(axis=0)
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        found['PCA (for t-SNE: pip install scikit-learn)'] = centred @ axes[:2].T
    if len(features) < 4:  # UMAP starts from the eigenvectors of two dimensions more
        return found
    try:
        from umap import UMAP  # optional

        found['UMAP'] = UMAP(n_neighbors=min(15, len(features) - 1), random_state=seed).fit_transform(
            features
        )
    except ImportError:
        pass
    return found
