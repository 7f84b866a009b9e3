"""MoCo's shared head for detectors with a C4 backbone."""

from mmcv.cnn import build_norm_layer
from mmdet.models.backbones import ResNet
from mmdet.models.roi_heads.shared_heads import ResLayer
from mmengine.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class Res5ExtraNorm(ResLayer):
    """The last stage of a ResNet on the pooled regions, followed by one more normalisation.

    Residual blocks end without normalisation, so that features which were not trained for classification
    come in any magnitude; MoCo's transfer protocol normalises them once more before the box and mask heads
    (arXiv 1911.05722, appendix; ``Res5ROIHeadsExtraNorm`` in the official ``detection/train_net.py``).

    Args:
        depth: 18, 34, 50, 101 or 152.
        **kwargs: See mmdet's ``ResLayer``.
    """

    # No pretraining has these: PretrainedBackboneHook does not miss them.
    new_modules = ('norm',)

    def __init__(self, depth: int, **kwargs: object) -> None:
        super().__init__(depth, **kwargs)
        block, _ = ResNet.arch_settings[depth]
        channels = 64 * 2**self.stage * block.expansion
        self.norm = build_norm_layer(self.norm_cfg, channels)[1]

    def forward(self, x: Tensor) -> Tensor:
        """Pooled regions (R, C, h, w) to (R, 2 C, h / stride, w / stride)."""
        return self.norm(super().forward(x))
