"""ImageNet with the labels of some of its training images only."""

import os

from mmengine.fileio import list_from_file
from mmengine.registry import DATASETS
from mmpretrain.datasets import ImageNet

from clsa_mm.given_names import check_names

SUBSETS_URL = 'https://github.com/google-research/simclr/tree/master/imagenet_subsets'


@DATASETS.register_module()
class ImageNetSubset(ImageNet):
    """The training images of ImageNet that a list names.

    The published lists of SimCLR (arXiv 2002.05709), ``1percent.txt`` with 12811 and ``10percent.txt``
    with 128116 images, hold bare file names such as ``n01440764_10026.JPEG``: the part before the
    underscore is the class's folder. A class has the number that mmpretrain's ``ImageNet`` gives it: that
    of ``meta/train.txt`` if there is one, else its place among the sorted folders of the training set.

    Args:
        data_root: ImageNet's folder, with ``train/<wnid>/*.JPEG``.
        subset: The list, relative to ``data_root``.
        **kwargs: Of mmpretrain's ``ImageNet`` but for ``split``, ``data_prefix`` and ``ann_file``.

    Raises:
        FileNotFoundError: If the list or the training set is missing, or an image that is listed.
        ValueError: If the training set has not one folder for each class, or the list is empty or of
            another kind, or ``data_root`` or ``subset`` no path.
    """

    def __init__(self, data_root: str, subset: str, **kwargs) -> None:
        check_names('ImageNetSubset', data_root=data_root, subset=subset)
        path = os.path.join(data_root, subset)
        if not os.path.isfile(path):
            raise FileNotFoundError(
                f'There is no list of labelled images {path}. SimCLR published them: download '
                f'{os.path.basename(subset)} from {SUBSETS_URL} and put it there.'
            )
        super().__init__(data_root, data_prefix='train', ann_file=subset, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Find the folder and the label of each name.

        Returns:
            ``img_path`` and ``gt_label`` of each image, in the list's order.
        """
        numbers = self._class_numbers()
        names = [name.strip() for name in list_from_file(self.ann_file) if name.strip()]
        if not names:
            raise ValueError(f'{self.ann_file} names no image: download it anew from {SUBSETS_URL}.')
        data_list = []
        for name in names:
            wnid = name.rpartition('_')[0]
            if wnid not in numbers:
                raise ValueError(
                    f'{self.ann_file}: {name!r} names no class of {self.img_prefix}; expected lines such '
                    'as n01440764_10026.JPEG, without folder and label.'
                )
            path = os.path.join(self.img_prefix, wnid, name)
            data_list.append(dict(img_path=path, gt_label=numbers[wnid]))
        absent = [entry['img_path'] for entry in data_list if not os.path.isfile(entry['img_path'])]
        if absent:
            raise FileNotFoundError(
                f'{len(absent)} of the {len(names)} images in {self.ann_file} do not exist, the first is '
                f'{absent[0]}: the training set is incomplete.'
            )
        return data_list

    def _class_numbers(self) -> dict[str, int]:
        whole = os.path.join(self.data_root, 'meta', 'train.txt')
        if os.path.isfile(whole):
            lines = (line.rsplit(' ', 1) for line in list_from_file(whole) if line.strip())
            return {path.partition('/')[0]: int(number) for path, number in lines}
        if not os.path.isdir(self.img_prefix):
            raise FileNotFoundError(
                f'There is no folder {self.img_prefix}: expected train/<wnid>/*.JPEG below {self.data_root}.'
            )
        folders = sorted(entry.name for entry in os.scandir(self.img_prefix) if os.path.isdir(entry.path))
        if len(folders) != len(self.CLASSES):
            raise ValueError(
                f'{self.img_prefix} has {len(folders)} class folders instead of {len(self.CLASSES)}, so the '
                'classes cannot be numbered as in the validation set: unpack the whole training set.'
            )
        return {wnid: number for number, wnid in enumerate(folders)}
