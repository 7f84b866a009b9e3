"""From uint8 views by role to normalised ones on the device."""

from typing import Any

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
        **kwargs: Of ``SelfSupDataPreprocessor``: ``mean``, ``std``, ``to_rgb``, ``non_blocking``.
    """

    def __init__(self, as_list: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.as_list = as_list

    def forward(self, data: dict, training: bool = False) -> dict:
        """Move a batch to the device and normalise it.

        Args:
            data: ``inputs``, role -> list of uint8 tensors of shape (N, 3, H, W), or a tensor, or a list of
                tensors; and ``data_samples``.
            training: Not used; mmengine's signature. Defaults to False.

        Returns:
            ``dict(inputs=..., data_samples=...)`` with floating point tensors on the device.
        """
        inputs = data['inputs']
        if not isinstance(inputs, dict):
            return super().forward(data, training)
        flat = [view for views in inputs.values() for view in views]
        batch = super().forward(dict(inputs=flat, data_samples=data.get('data_samples')), training)
        if not self.as_list:
            normalised = iter(batch['inputs'])
            batch['inputs'] = {role: [next(normalised) for _ in views] for role, views in inputs.items()}
        return batch
