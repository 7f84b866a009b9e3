"""Features on disk: written batch by batch, read by memory mapping."""

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from mmengine.dist import all_gather_object, is_main_process
from torch import nn
from torch.utils.data import DataLoader

from clsa_mm.checkpoints.unfinished import unfinished
from clsa_mm.datasets.corrupt_files import REPORT
from clsa_mm.evaluation.corrupt_report import merged, write_report
from clsa_mm.evaluation.dataloaders import source_of
from clsa_mm.evaluation.features import FeatureBatch, iter_features
from clsa_mm.evaluation.labels import label_kind, label_matrix, labels_of


@dataclass(frozen=True)
class FeatureSet:
    """The features of a data set.

    Attributes:
        features: float32, shape (N, D).
        labels: int64, shape (N,); or int8, shape (N, C), 1 where the image shows the class, 0 where not,
            -1 where all its objects of the class are difficult; or None.
        meta: ``labels`` (``'single'``, ``'multi'`` or ``'none'``), ``classes`` (names or None), ``images``
            (number of features), ``unreadable`` (number of images left out), ``dimensions``, ``layer``, and
            what the writer added.
        folder: Where the files lie.
    """

    features: np.ndarray
    labels: np.ndarray | None
    meta: dict
    folder: Path

    @property
    def paths(self) -> list[str | None]:
        """The images' files, in the order of the features."""
        return json.loads((self.folder / 'paths.json').read_text())

    @property
    def num_classes(self) -> int:
        """Number of classes: of the data set, or, where it has no names, as the labels have it."""
        if self.meta['classes']:
            return len(self.meta['classes'])
        return self.labels.shape[1] if self.labels.ndim == 2 else int(self.labels.max()) + 1


def save_features(
    model: nn.Module, dataloader: DataLoader, folder: str | Path, meta: Mapping[str, object] | None = None
) -> Path:
    """Extract the features of a data set into a folder: everything, or nothing on an error.

    Images that cannot be read are left out of features, labels and paths alike, and listed in
    ``corrupt_files.json``. Memory is bounded by a
    batch (and the images' paths). ``features.npy`` and ``labels.npy`` are numpy's own files. The features
    are those of the backbone's last output, averaged over positions if it is a map; an earlier stage is
    the config's ``model.backbone.out_indices``. With several ranks all have to call; the main one writes.

    Args:
        model: As of :func:`clsa_mm.evaluation.features.iter_features`.
        dataloader: As there. Labels are written as the data set has them.
        folder: New folder.
        meta: Entries to add to ``meta.json``.

    Returns:
        The folder.

    Raises:
        FileExistsError: If the folder exists.
        ValueError: As ``iter_features``, or if labels are not as the data set promises.
    """
    folder = new_folder(folder)
    dataset, kind = source_of(dataloader.dataset), label_kind(dataloader.dataset)
    classes = getattr(dataset, 'metainfo', {}).get('classes')
    read_labels = {'single': labels_of, 'none': None}.get(kind)
    if kind == 'multi':
        difficult = 'gt_label_difficult' in dataset.get_data_info(0)
        read_labels = partial(label_matrix, num_classes=len(classes), difficult=difficult)
    meta = dict(
        meta or {}, labels=kind, classes=classes and list(classes),
        layer=f'last output of {type(model.backbone).__name__}, averaged over positions',
    )  # fmt: skip
    batches = iter_features(model, dataloader, read_labels, folder.name, with_paths=True)
    with closing(batches):
        if is_main_process():
            _write(folder, batches, meta, len(dataloader.dataset))
        else:
            for _ in batches:
                pass
    found = merged(all_gather_object({folder.name: list(getattr(dataloader.dataset, 'corrupt', ()))}))
    if found and is_main_process():
        write_report(folder / REPORT, found)
    return folder


def new_folder(folder: str | Path) -> Path:
    """The path of a folder for features, which must not exist yet.

    Args:
        folder: The folder.

    Raises:
        FileExistsError: If it exists.
    """
    folder = Path(folder).expanduser()
    if folder.exists():
        raise FileExistsError(f'{folder} exists already: remove it, or give another folder for the features.')
    return folder


def load_features(folder: str | Path) -> FeatureSet:
    """Open what :func:`save_features` wrote; the arrays are memory-mapped, read-only.

    Args:
        folder: The folder.

    Raises:
        FileNotFoundError: If it is no such folder.
        ValueError: If its files do not belong together.
    """
    folder = Path(folder).expanduser()
    if not (folder / 'meta.json').is_file():
        raise FileNotFoundError(
            f'{folder} holds no features (no meta.json). Write them with tools/extract_features.py --out '
            f'{folder.parent}; load_features takes the folder of one split, the tools the folder above it.'
        )
    meta = json.loads((folder / 'meta.json').read_text())
    features = np.load(folder / 'features.npy', mmap_mode='r')
    labels = None if meta['labels'] == 'none' else np.load(folder / 'labels.npy', mmap_mode='r')
    sizes = {meta['images'], len(features), len(features) if labels is None else len(labels)}
    if features.ndim != 2 or len(sizes) > 1:
        raise ValueError(
            f'The files of {folder} do not belong together (images: {sorted(sizes)}): extract again.'
        )
    return FeatureSet(features, labels, meta, folder)


def check_same_source(train: FeatureSet, test: FeatureSet, labels: str | None = None) -> None:
    """Refuse two sets of features that do not belong together.

    Args:
        train: Features to train on.
        test: Features to test on.
        labels: The kind of labels that both have to have; None for any but ``'none'``.

    Raises:
        ValueError: If backbone, classes or labels differ or are missing.
    """
    for key in ('checkpoint_sha256', 'config_sha256', 'layer', 'dimensions', 'classes'):
        if train.meta.get(key) != test.meta.get(key):
            raise ValueError(
                f'{train.folder} and {test.folder} differ in `{key}` ({train.meta.get(key)}, '
                f'{test.meta.get(key)}): extract both splits by one command.'
            )
    for part in (train, test):
        kind = part.meta['labels']
        if kind == 'none' or kind != (labels or train.meta['labels']):
            wanted = labels or ('single or multi' if kind == 'none' else train.meta['labels'])
            raise ValueError(
                f'{part.folder} has labels of kind `{kind}`, and `{wanted}` is needed (one or several '
                'classes per image): extract from a data set that has them.'
            )


def _write(folder: Path, batches: Iterable[FeatureBatch], meta: dict, total: int) -> None:
    with unfinished(folder) as part:
        part.mkdir()
        paths = []
        with ExitStack() as stack:
            names = ('features', 'labels') if meta['labels'] != 'none' else ('features',)
            files = {name: stack.enter_context(open(part / f'{name}.npy', 'wb')) for name in names}
            for batch in batches:
                for name, file in files.items():
                    rows = getattr(batch, name).numpy()
                    if not paths:
                        _write_header(file, rows, total)
                    file.write(rows.tobytes())
                paths += batch.paths
            for name, file in files.items():
                file.seek(0)
                _write_header(file, getattr(batch, name).numpy(), len(paths))
        (part / 'paths.json').write_text(json.dumps(paths))
        meta = dict(
            meta, images=len(paths), unreadable=total - len(paths), dimensions=batch.features.shape[1]
        )
        (part / 'meta.json').write_text(json.dumps(meta, indent=2) + '\n')
        part.replace(folder)


def _write_header(file: BinaryIO, rows: np.ndarray, total: int) -> None:
    """Begin a .npy file of ``total`` rows like these. Not by mapping it: a full disk would end the process.

    numpy pads the header so that it can be written again with another number of rows.
    """
    shape = (total, *rows.shape[1:])
    header = dict(descr=np.lib.format.dtype_to_descr(rows.dtype), fortran_order=False, shape=shape)
    np.lib.format.write_array_header_1_0(file, header)
