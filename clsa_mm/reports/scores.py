"""How the views of images stand to keys: scores of positives and of negatives, query by query."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from clsa_mm.datasets.seeded_sampler import SeededIndex
from clsa_mm.datasets.transforms import MakeViews
from clsa_mm.reports.features import Encoder


class Scores(NamedTuple):
    """Cosines of a role's queries.

    Attributes:
        positive: With the key of the own image, shape (N,).
        negative: With the keys of the others, shape (N, N - 1).
    """

    positive: np.ndarray
    negative: np.ndarray


def view_scores(
    encoder: Encoder, images: Sequence[np.ndarray], views: Mapping[str, Mapping], seed: int
) -> dict[str, Scores]:
    """Compare weak and strong views with the key views of all images, one draw of each.

    Key views go through the key encoder where there is one, all in eval mode.

    Args:
        encoder: The networks.
        images: Two or more, uint8 BGR, each of shape (H, W, 3).
        views: Settings by role.
        seed: Of the draws.

    Returns:
        By role, of ``weak`` and ``strong`` those that there are; of several views of a role the first.

    Raises:
        ValueError: If the settings of the views are impossible.
    """
    make_views = MakeViews(views)
    drawn: dict[str, list[np.ndarray]] = {}
    for index, image in enumerate(images):
        made = make_views.transform(dict(img=image, sample_idx=SeededIndex(index, (seed, 0, index))))
        first = dict(reversed([*zip(made['view_roles'], made['img'], strict=True)]))
        for role, view in first.items():
            drawn.setdefault(role, []).append(view)
    keys = encoder.keys.embedded(encoder.normalised(drawn.pop('key')))
    encoded = {role: encoder.queries.embedded(encoder.normalised(batch)) for role, batch in drawn.items()}
    others = ~np.eye(len(images), dtype=bool)
    found = {}
    for role in ('weak', 'strong'):
        if role in encoded:
            cosines = encoded[role] @ keys.T
            found[role] = Scores(np.diag(cosines), cosines[others].reshape(len(images), -1))
    return found
