"""A folder of images with a folder for each class."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS
from mmpretrain.datasets import CustomDataset

from clsa_mm.datasets.class_lists import check_folders, class_folders
from clsa_mm.datasets.corrupt_files import CorruptFile
from clsa_mm.datasets.image_files import (
    IMAGE_EXTENSIONS,
    check_extensions,
    find_images,
    missing_folder_message,
    warn_of_left_out,
)
from clsa_mm.printable import printable


@DATASETS.register_module()
class LabelledFolder(CustomDataset):
    """mmpretrain's ``CustomDataset`` of a folder per class, of the files that ``ImageFolder`` finds.

    A class has the number of its folder among the sorted names, and its images are those below, at any
    depth. mmpretrain's own search stops with an error at a link to itself or to a folder around it, takes
    hidden folders for classes, and leaves out images that ``LoadImage`` reads (``.webp``, ``.tiff``).

    Args:
        data_root: Root that ``data_prefix`` and ``ann_file`` are relative to. Defaults to ''.
        data_prefix: The folder of the classes' folders. Defaults to ''.
        ann_file: A list, ``path label`` a line, in place of the search. Defaults to ''.
        extensions: Of image files, in any case. Defaults to ``IMAGE_EXTENSIONS``.
        subfolders: Take these classes' folders alone: their names, or a list of ``CLASS_LISTS``; each needs
            an image. Defaults to None: all.
        **kwargs: Of mmpretrain's ``CustomDataset``.

    Raises:
        FileNotFoundError: The folder or one of ``subfolders`` does not exist or has no image.
        ValueError: ``metainfo`` names more or fewer classes than there are folders, or there is no such list;
            or ``extensions`` or ``subfolders`` are no lists of names.
    """

    def __init__(
        self,
        data_root: str = '',
        data_prefix: str | dict = '',
        ann_file: str = '',
        extensions: Sequence[str] = IMAGE_EXTENSIONS,
        subfolders: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        check_extensions(extensions)
        self.subfolders = None if subfolders is None else class_folders(subfolders)
        self.left_out: list[CorruptFile] = []
        super().__init__(data_root, data_prefix, ann_file, extensions=extensions, **kwargs)

    def _find_samples(self) -> list[tuple[str, int]]:
        root = self.img_prefix
        if not (self.with_label and isinstance(get_file_backend(root, enable_singleton=True), LocalBackend)):
            return super()._find_samples()
        classes = self._class_folders(os.path.abspath(root))
        self.folder_to_idx = {name: number for number, name in enumerate(classes)}
        found = {
            name: sorted(find_images(root, self.extensions, (name,), left_out=self.left_out))
            for name in classes
        }
        warn_of_left_out(root, self.left_out)
        samples = [(path, number) for number, name in enumerate(classes) for path in found[name]]
        if not samples:
            raise FileNotFoundError(
                f'No images in the folders of {os.path.abspath(root)}, one for each class: '
                f'{printable(", ".join(classes[:10])) or "there is none"}. An image ends in one of '
                f'{", ".join(self.extensions)}. Mend data_root and data_prefix.'
            )
        if empty := [name for name in classes if not found[name]]:
            if self.subfolders:
                raise FileNotFoundError(
                    f'There is no image in {len(empty)} class folders of {root}, the first is '
                    f'{printable(empty[0])}: unpack it anew, or name its files in `extensions`.'
                )
            MMLogger.get_current_instance().warning(
                f'{root}: no images of the classes {printable(", ".join(empty))}'
            )
        return samples

    def _class_folders(self, root: str) -> list[str]:
        if not os.path.isdir(root):
            raise FileNotFoundError(missing_folder_message(root))
        if self.subfolders:
            check_folders(root, self.subfolders)
            classes = list(self.subfolders)
        else:
            with os.scandir(root) as entries:
                classes = sorted(entry.name for entry in entries if _is_class(entry))
        if self.CLASSES is None:
            self._metainfo['classes'] = tuple(classes)
        elif len(self.CLASSES) != len(classes):
            raise ValueError(
                f'{root} has {len(classes)} folders and metainfo names {len(self.CLASSES)} classes: there '
                'has to be one folder for each.'
            )
        return classes


def _is_class(entry: os.DirEntry) -> bool:
    """Whether something in the root is a class's folder: not hidden, and no link to a folder around it."""
    if entry.name.startswith('.') or not os.path.isdir(entry.path):
        return False
    path = Path(entry.path)
    return not path.parent.resolve().is_relative_to(path.resolve())
