"""The class labels of a batch or of a data set: one per image, several, or none."""

from collections.abc import Sequence
from typing import Literal

import torch
from mmpretrain.datasets import MultiLabelDataset
from mmpretrain.structures import DataSample
from torch import Tensor
from torch.utils.data import Dataset

from clsa_mm.evaluation.dataloaders import source_of

LabelKind = Literal['single', 'multi', 'none']


def label_kind(dataset: Dataset) -> LabelKind:
    """Tell which labels the images of a data set have.

    Args:
        dataset: A data set of mmpretrain with ``PackInputs`` in its pipeline, or what
            :func:`~clsa_mm.evaluation.dataloaders.build_in_order` makes of one.

    Returns:
        ``'single'``, ``'multi'`` (zero or more classes per image) or ``'none'``.
    """
    if isinstance(source_of(dataset), MultiLabelDataset):
        return 'multi'
    return 'single' if 'gt_label' in (dataset[0].get('data_samples') or ()) else 'none'


def labels_of(samples: Sequence[DataSample | None] | None) -> Tensor:
    """Read the class labels of a batch.

    Args:
        samples: What ``PackInputs`` made, one per image.

    Returns:
        int64, shape (N,).

    Raises:
        ValueError: If an image has no label or several.
    """
    labels = [sample.gt_label for sample in samples or () if sample and 'gt_label' in sample]
    if not samples or len(labels) < len(samples) or any(x.numel() != 1 for x in labels):
        raise ValueError(
            'kNN needs one class label per image, and this data set gives none (or several): use '
            "a labelled one, e.g. `dict(type='LabelledFolder', data_prefix=...)` with one "
            'sub-folder per class and `PackInputs` at the end of its pipeline, or set '
            '`default_hooks.knn=None` if no KNNHook is wanted.'
        )
    return torch.stack([label.reshape(()) for label in labels]).long()


def label_matrix(samples: Sequence[DataSample], num_classes: int, difficult: bool = False) -> Tensor:
    """Read the labels of a batch of which each image shows any number of classes.

    Args:
        samples: What ``PackInputs`` made, one per image, with ``gt_label``.
        num_classes: Number of classes C.
        difficult: The data set tells difficult objects apart (PASCAL VOC), so that each sample has to
            have ``gt_label_difficult``.

    Returns:
        int8, shape (N, C): 1 where an object of the class is there, -1 where all of them are difficult,
        0 where there is none.

    Raises:
        ValueError: If the pipeline dropped ``gt_label_difficult``.
    """
    matrix = torch.zeros(len(samples), num_classes, dtype=torch.int8)
    for row, sample in zip(matrix, samples, strict=True):
        if difficult:
            row[list(difficult_classes(sample))] = -1
        row[sample.gt_label.long().cpu()] = 1
    return matrix


def difficult_classes(sample: DataSample | dict) -> Sequence[int]:
    """The classes of which a VOC image has difficult objects.

    Args:
        sample: What ``PackInputs`` made, or its dictionary, as an evaluator gets it.

    Raises:
        ValueError: If the pipeline dropped them.
    """
    if 'gt_label_difficult' not in sample:
        raise ValueError(
            'The samples do not say which labels are difficult, so VOC average precision cannot leave '
            "them out: end the pipeline in `dict(type='PackInputs', meta_keys=('img_path', "
            "'gt_label_difficult'))`."
        )
    found = sample['gt_label_difficult'] if isinstance(sample, dict) else sample.gt_label_difficult
    return list(found)
