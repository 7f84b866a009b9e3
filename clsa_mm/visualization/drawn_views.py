"""The very views that a training sees, as pictures."""

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.registry import DATASETS, TRANSFORMS
from PIL import Image

from clsa_mm.datasets.seeded_sampler import SeededIndex
from clsa_mm.datasets.transforms import LoadImage, MakeViews
from clsa_mm.given_numbers import check_numbers
from clsa_mm.printable import printable

Row = tuple[str, list[Image.Image]]
"""A caption, and pictures: the original, then its views."""

Transform = Callable[[dict], dict]


def find_samples(dataset_cfg: ConfigDict, images: Sequence[str], num: int) -> dict[int, dict]:
    """Choose what to show.

    Args:
        dataset_cfg: Config of the training set; built only if there are no ``images``.
        images: Image files.
        num: Number of images from the training set otherwise.

    Returns:
        Index in the data set (or in ``images``) -> input of the pipeline.

    Raises:
        FileNotFoundError: If one of the images is not there.
    """
    missing = [path for path in images if not Path(path).is_file()]
    if missing:
        raise FileNotFoundError(f'No such image: {printable(", ".join(missing))}. Mend the paths.')
    if images:
        return {index: dict(img_path=path) for index, path in enumerate(images)}
    check_numbers('find_samples', whole=True, low=1, num=num)
    dataset = DATASETS.build(dataset_cfg)
    indices = np.linspace(0, len(dataset) - 1, min(num, len(dataset))).astype(int)
    return {int(index): dataset.get_data_info(int(index)) for index in indices}


def split_pipeline(dataset_cfg: ConfigDict) -> tuple[list[Transform], Transform]:
    """Build the transforms up to the one that makes the views, and that one.

    Args:
        dataset_cfg: Config of the training set, with ``views`` or a ``pipeline``.

    Returns:
        The transforms that load an image, and the one that makes views.

    Raises:
        ValueError: If nothing makes views.
    """
    if dataset_cfg.get('views'):
        return [LoadImage()], MakeViews(dataset_cfg.views)
    pipeline = dataset_cfg.get('pipeline', [])
    for i, transform in enumerate(pipeline):
        if transform['type'] == 'MakeViews' or 'num_views' in transform:
            return [TRANSFORMS.build(t) for t in pipeline[:i]], TRANSFORMS.build(transform)
    raise ValueError(
        'The training set has neither `views` nor MakeViews, SeededMultiView or MultiView in its pipeline: '
        'there are no views to show. Give a pretraining config, such as configs/clsa_r50_8xb32_200e.py.'
    )


def to_picture(bgr: np.ndarray) -> Image.Image:
    """Turn an image of the pipeline, uint8 BGR of shape (H, W, 3), into a PIL image."""
    return Image.fromarray(np.ascontiguousarray(bgr[..., ::-1]))


def make_rows(
    samples: Mapping[int, dict], loading: Sequence[Transform], make_views: Transform, seed: int, draws: int
) -> tuple[list[str], list[Row]]:
    """Make the views of every sample in every epoch.

    Args:
        samples: Index -> input of the pipeline.
        loading: Transforms that load an image.
        make_views: Transform that makes its views.
        seed: Seed of the run.
        draws: Number of epochs.

    Returns:
        Titles of the columns, and for each row its caption and pictures, the original first.
    """
    check_numbers('make_rows', whole=True, low=0, seed=seed)
    check_numbers('make_rows', whole=True, low=1, draws=draws)
    # A plain MultiView does not know the seed in the index.
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    rows = []
    for index, sample in samples.items():
        loaded = dict(sample)
        for transform in loading:
            loaded = transform(loaded)
        name = printable(Path(sample.get('img_path', f'image {index}')).name)
        for epoch in range(draws):
            key = SeededIndex(index, (seed, epoch, index))
            results = make_views(dict(loaded, sample_idx=key))
            pictures = [to_picture(view) for view in (loaded['img'], *results['img'])]
            rows.append((f'{name}, epoch {epoch}', pictures))
    roles = results.get('view_roles') or [f'view {i}' for i in range(len(results['img']))]
    sizes = [f'{view.width}x{view.height}' for view in pictures[1:]]
    return ['original', *(f'{role} {size}' for role, size in zip(roles, sizes, strict=True))], rows
