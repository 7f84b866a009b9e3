"""iNaturalist 2018, which mmpretrain has no class for."""

from mmengine.fileio import join_path, load
from mmengine.registry import DATASETS
from mmpretrain.datasets import BaseDataset


@DATASETS.register_module()
class INaturalist2018(BaseDataset):
    """iNaturalist 2018: 8142 species, 437513 training and 24426 validation images.

    In the published layout: ``train2018.json`` and ``val2018.json`` hold ``images`` (``id``, and
    ``file_name`` relative to the root) and ``annotations`` (``image_id``, ``category_id`` from 0).

    Args:
        data_root: The folder of the json files and of ``train_val2018/``.
        split: ``'train'`` or ``'val'``. The test labels are not public, so results are those of ``val``.
        **kwargs: Of mmpretrain's ``BaseDataset``: ``pipeline``, ``indices``, ...

    Raises:
        ValueError: For another split, or an image without a label.
    """

    def __init__(self, data_root: str, split: str = 'train', **kwargs) -> None:
        if split not in ('train', 'val'):
            raise ValueError(f"split must be 'train' or 'val', got {split!r}")
        super().__init__(
            ann_file=f'{split}2018.json', data_root=data_root, test_mode=split == 'val', **kwargs
        )

    def load_data_list(self) -> list[dict]:
        """Join images and labels.

        Returns:
            ``img_path`` and ``gt_label`` of each image, in the file's order.
        """
        content = load(self.ann_file)
        labels = {entry['image_id']: entry['category_id'] for entry in content['annotations']}
        unlabelled = [image['file_name'] for image in content['images'] if image['id'] not in labels]
        if unlabelled:
            raise ValueError(
                f'{self.ann_file}: {len(unlabelled)} images have no annotation, the first is {unlabelled[0]}'
            )
        return [
            dict(img_path=join_path(self.data_root, image['file_name']), gt_label=labels[image['id']])
            for image in content['images']
        ]
