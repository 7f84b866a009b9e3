"""Labelled images of some of a data set's classes."""

from collections.abc import Sequence
from typing import Any

from mmengine.registry import DATASETS
from mmpretrain.datasets import CustomDataset
from mmpretrain.datasets.custom import get_samples

from clsa_mm.datasets.class_lists import check_folders, class_folders
from clsa_mm.datasets.image_folder import IMAGE_EXTENSIONS


@DATASETS.register_module()
class ClassFolders(CustomDataset):
    """The images below chosen class folders; a class's number is its place among the sorted names.

    ImageNet-100 of a complete ImageNet, or of a copy that has these 100 folders alone::

        dict(type='ClassFolders', data_root='data/imagenet', data_prefix='val', subfolders='imagenet100')

    Args:
        subfolders: Names of the folders, or of a list in ``CLASS_LISTS``.
        data_root: Root that ``data_prefix`` is relative to. Defaults to ''.
        data_prefix: The folder of the class folders. Defaults to ''.
        extensions: Of image files, in any case. Defaults to ``IMAGE_EXTENSIONS``.
        **kwargs: Of mmpretrain's ``BaseDataset``: ``pipeline``, ``indices``, ``test_mode``, ...

    Raises:
        ValueError: If there is no such list.
        FileNotFoundError: If a folder is missing, or has no image.
    """

    def __init__(
        self,
        subfolders: str | Sequence[str],
        data_root: str = '',
        data_prefix: str | dict = '',
        extensions: Sequence[str] = IMAGE_EXTENSIONS,
        **kwargs: Any,
    ) -> None:
        self.subfolders = class_folders(subfolders)
        kwargs['metainfo'] = dict(classes=self.subfolders) | (kwargs.get('metainfo') or {})
        super().__init__(data_root, data_prefix, extensions=extensions, **kwargs)

    def load_data_list(self) -> list[dict]:
        """List the images.

        Returns:
            ``img_path`` and ``gt_label`` of each, class by class.
        """
        check_folders(self.img_prefix, self.subfolders)
        numbers = {name: number for number, name in enumerate(self.subfolders)}
        samples, empty = get_samples(self.img_prefix, numbers, self.is_valid_file)
        if empty:
            raise FileNotFoundError(
                f'There is no image in {len(empty)} class folders of {self.img_prefix}, the first is '
                f'{min(empty)}: unpack it anew, or name its files in `extensions`.'
            )
        return [dict(img_path=f'{self.img_prefix}/{path}', gt_label=number) for path, number in samples]
