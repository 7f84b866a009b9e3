"""Any folder of images; labels, where they are asked for, are the names of its folders."""

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine import fileio
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.registry import DATASETS
from mmpretrain.datasets import CustomDataset

from clsa_mm.datasets.class_lists import check_folders, class_folders
from clsa_mm.datasets.corrupt_files import CorruptFile, CorruptFiles
from clsa_mm.datasets.folder_classes import folder_classes
from clsa_mm.datasets.image_files import (
    IMAGE_EXTENSIONS,
    check_extensions,
    find_images,
    is_hidden,
    missing_folder_message,
    warn_of_left_out,
)
from clsa_mm.datasets.transforms.load_image import LoadImage
from clsa_mm.datasets.transforms.make_views import MakeViews, PackViews
from clsa_mm.given_numbers import check_numbers
from clsa_mm.printable import printable


@DATASETS.register_module()
class ImageFolder(CustomDataset):
    """All images below a folder, flat or nested, with no list file; labels only where asked for.

    ImageNet's training set is one too: ``data_root='data/imagenet/', data_prefix='train'``. The
    order is that of the sorted names, depth first. Hidden files and folders (leading dot) are
    left out; links to folders are followed, each real folder once.

    Files that :class:`LoadImage` cannot read or decode, missing ones included, are skipped and counted
    in ``corrupt`` (:class:`~clsa_mm.datasets.corrupt_files.CorruptFiles`), over all workers and epochs of
    the process (rank) that made the data set; the first of each kind is warned of. What the scan finds no
    image files, such as pipes and links to nothing, is in ``left_out``. Another image takes the place of a
    corrupt one, chosen by (index, attempt) alone, and keeps the seed key of the index it stands for. Beyond
    ``max_corrupt`` files an error ends the run. Any other error of the pipeline goes through, and in
    ``test_mode`` nothing is replaced.

    Args:
        data_root: Root that ``data_prefix`` and ``ann_file`` are relative to. Defaults to
            ''.
        data_prefix: The folder. Defaults to ''.
        ann_file: Optional list of image paths relative to the folder, one a line, in UTF-8 (other
            bytes as in the names of the files); ``tools/check_data.py`` writes one. A label
            after the path (OpenMMLab's ``train.txt``) is ignored. Defaults to '': scan.
        extensions: Of image files, in any case. Defaults to
            ``IMAGE_EXTENSIONS``.
        max_corrupt: Corrupt files to tolerate. Defaults to None: 1 % of the images,
            at least 10.
        subfolders: Take images of these folders in ``data_prefix`` alone: their names, or that of a list in
            ``CLASS_LISTS`` (``'imagenet100'``). Defaults to None: all.
        views: Views of a pretraining sample by role; in place of ``pipeline``, which becomes
            [LoadImage, MakeViews(views), PackViews]. Defaults to None.
        labels: Whether the first level of folders are classes: each image gets ``gt_label``, the data
            set ``metainfo['classes']``, the folders' names sorted unless ``metainfo`` or ``classes``
            give them in another order. Defaults to False.
        **kwargs: Of mmpretrain's ``BaseDataset``: ``pipeline``, ``indices``, ``test_mode``,
            ``lazy_init``, ...

    Attributes:
        files_hash (str): Of the list of images, relative to the folder: 16 hexadecimal digits of SHA-256.

    Raises:
        ValueError: ``views`` has an unknown, missing or impossible setting, or comes with a ``pipeline``;
            or ``labels`` are asked for and there is not one folder for each class;
            or ``extensions`` or ``subfolders`` are no lists of names.
        FileNotFoundError: The folder or the list does not exist, or there is no image in it.
        RuntimeError: More than ``max_corrupt`` files are corrupt.
    """

    def __init__(
        self,
        data_root: str = '',
        data_prefix: str | dict = '',
        ann_file: str = '',
        extensions: Sequence[str] = IMAGE_EXTENSIONS,
        max_corrupt: int | None = None,
        subfolders: str | Sequence[str] | None = None,
        views: Mapping[str, Mapping[str, Any]] | None = None,
        labels: bool = False,
        **kwargs: Any,
    ) -> None:
        if views is not None:
            if kwargs.get('pipeline'):
                raise ValueError('Give `views` or a `pipeline`, not both: `views` makes the pipeline.')
            kwargs['pipeline'] = [LoadImage(), MakeViews(views), PackViews()]
        check_numbers('ImageFolder', whole=True, low=0, max_corrupt=max_corrupt)
        self.labels = labels
        self.max_corrupt = max_corrupt
        check_extensions(extensions)
        self.subfolders = None if subfolders is None else class_folders(subfolders)
        self.left_out: list[CorruptFile] = []
        super().__init__(data_root, data_prefix, ann_file, with_label=False, extensions=extensions, **kwargs)

    def full_init(self) -> None:
        """Find the images, once."""
        if not self._fully_initialized:
            super().full_init()
            self._reset_corrupt()

    def get_subset_(self, indices: Sequence[int] | int) -> None:
        """Keep a subset; its count of corrupt files starts at 0."""
        super().get_subset_(indices)
        self._reset_corrupt()

    def get_subset(self, indices: Sequence[int] | int) -> 'ImageFolder':
        """Copy a subset; its count of corrupt files starts at 0."""
        subset = super().get_subset(indices)
        subset._reset_corrupt()
        return subset

    @property
    def num_corrupt(self) -> int:
        """Number of corrupt files found so far by this process and its workers."""
        return len(self.corrupt)

    def prepare_data(self, idx: int) -> dict | None:
        """Run the pipeline on an image, or on its replacement if it is corrupt.

        Args:
            idx: Index, a plain int or a ``SeededIndex``.

        Returns:
            The sample, or ``None`` in test mode if the pipeline returned it.
        """
        if self.test_mode:
            return super().prepare_data(idx)
        return self.corrupt.read(super().prepare_data, idx, self.max_refetch + 1)

    def load_data_list(self) -> list[dict]:
        """List the images.

        Returns:
            One ``dict(img_path=...)`` per image, with ``gt_label`` where labels are asked for.
        """
        root = self.img_prefix
        backend = get_file_backend(root, enable_singleton=True)
        if self.ann_file:
            paths = self._read_list()
        elif isinstance(backend, LocalBackend):
            paths = self._scan(root)
        else:
            files = backend.list_dir_or_file(root, list_dir=False, recursive=True)
            paths = sorted(p for p in files if self.is_valid_file(p) and not is_hidden(p))
        if self.subfolders:
            wanted = set(self.subfolders)
            paths = [path for path in paths if path.split('/')[0] in wanted]
        if not paths:
            raise FileNotFoundError(f'No images listed in or below {self._where()}.')
        self.files_hash = _hash_of(paths)
        images = [{'img_path': backend.join_path(root, path)} for path in paths]
        if self.labels:
            classes, numbers = folder_classes(paths, self._where(), self.CLASSES)
            self._metainfo['classes'] = classes
            for image, number in zip(images, numbers, strict=True):
                image['gt_label'] = number
        return images

    def _where(self) -> str:
        prefix = self.img_prefix
        local = isinstance(get_file_backend(prefix, enable_singleton=True), LocalBackend)
        return os.path.abspath(prefix) if local else str(prefix)

    def _scan(self, root: str) -> list[str]:
        if not os.path.isdir(root):
            raise FileNotFoundError(missing_folder_message(os.path.abspath(root)))
        if self.subfolders:
            check_folders(root, self.subfolders)
        others: Counter[str] = Counter()
        starts = self.subfolders or ('',)
        paths = list(find_images(root, self.extensions, starts, others, self.left_out))
        warn_of_left_out(self._where(), self.left_out)
        if not paths:
            found = ', '.join(f'{n} x {printable(kind)}' for kind, n in others.most_common(10))
            raise FileNotFoundError(
                f'No images in or below {os.path.abspath(root)}: no file ends in one of '
                f'{", ".join(self.extensions)} (in any case); found instead: {found or "nothing"}. '
                'Point data_root and data_prefix to the folder that holds the images, or name '
                'their extension in `extensions`.'
            )
        return paths

    def _read_list(self) -> list[str]:
        try:
            lines = fileio.get(self.ann_file).decode('utf-8', 'surrogateescape').split('\n')
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f'The list of images {os.path.abspath(self.ann_file)} does not exist. Mend '
                'ann_file, or leave it out to use all images of the folder.'
            ) from error
        return [self._path_of(line.strip()) for line in lines if line.strip()]

    def _path_of(self, line: str) -> str:
        if self.is_valid_file(line):
            return line
        path, _, label = line.rpartition(' ')
        if label.isdecimal() and self.is_valid_file(path):
            return path
        raise ValueError(
            f'{self.ann_file}: {line!r} is no path of an image: it does not end in one of '
            f'{", ".join(self.extensions)}. Remove the line or name its extension in `extensions`.'
        )

    def _reset_corrupt(self) -> None:
        self.corrupt = CorruptFiles(self, self.max_corrupt, self._where())


def _hash_of(paths: list[str]) -> str:
    text = '\0'.join(paths).encode(errors='surrogateescape')
    return hashlib.sha256(text).hexdigest()[:16]
