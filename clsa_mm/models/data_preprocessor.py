"""From uint8 views by role to normalised ones on the device."""

from typing import Any

import torch
from mmengine.registry import MODELS
from mmpretrain.models.utils import SelfSupDataPreprocessor


@MODELS.register_module()
class ViewsDataPreprocessor(SelfSupDataPreprocessor):
    """mmpretrain's ``SelfSupDataPreprocessor`` for views by role.

    Views travel to the device as uint8 and become normalised floating point numbers there. A plain tensor or
    a list of tensors as ``inputs`` is treated as mmpretrain does.

    Args:
        as_list: Hand the views over as a flat list, in the order key, weak, strong of :class:`PackViews`, for
            algorithms of mmpretrain. Defaults to False: as they came, role -> list.
        as_batch: Hand all V views over as one batch (V N, 3, H, W), with each sample V times, for
            mmpretrain's ``ImageClassifier``. The views have to be of one size. Defaults to False.
        batch_augments: None, which ``ImageClassifier`` gives; views are augmented by their recipes.
        **kwargs: Of ``SelfSupDataPreprocessor``: ``mean``, ``std``, ``to_rgb``, ``non_blocking``.
    """

    def __init__(
        self, as_list: bool = False, as_batch: bool = False, batch_augments: None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if batch_augments is not None:
            raise ValueError(f'views take no batch_augments, got {batch_augments}: leave out model.train_cfg')
        if as_list and as_batch:
            raise ValueError('views are handed over as_list or as_batch, not both: set one of them')
        self.as_list = as_list
        self.as_batch = as_batch

    def forward(self, data: dict, training: bool = False) -> dict:
        """Move a batch to the device and normalise it.

        Args:
            data: ``inputs``, role -> list of uint8 tensors of shape (N, 3, H, W), or a tensor, or a list of
                tensors; and ``data_samples``.
            training: Not used; mmengine's signature. Defaults to False.

        Returns:
            ``dict(inputs=..., data_samples=...)`` with floating point tensors on the device.

        Raises:
            ValueError: If views of several sizes are to become one batch.
        """
        inputs = data['inputs']
        if not isinstance(inputs, dict):
            return super().forward(data, training)
        flat = [view for views in inputs.values() for view in views]
        batch = super().forward(dict(inputs=flat, data_samples=data.get('data_samples')), training)
        if self.as_batch:
            sizes = [view.shape[-1] for view in flat]
            if len(set(sizes)) > 1:
                raise ValueError(
                    f'views of sizes {sizes} make no batch: set one size in train_dataloader.dataset.views'
                )
            batch['inputs'] = torch.cat(batch['inputs'])
            batch['data_samples'] = (batch['data_samples'] or []) * len(flat) or None
        elif not self.as_list:
            normalised = iter(batch['inputs'])
            batch['inputs'] = {role: [next(normalised) for _ in views] for role, views in inputs.items()}
        return batch
