"""SimCLR, BYOL, SimSiam and SwAV of mmpretrain with DDM: each adds only its bank."""

import math
from typing import Any

from mmengine.dist import get_world_size
from mmengine.registry import MODELS
from mmpretrain.models import BYOL, SimCLR, SimSiam, SwAV
from torch import Tensor

from clsa_mm.models.bank import Bank
from clsa_mm.models.selfsup.with_ddm import WithDDM, batch_bank, unit_length


@MODELS.register_module()
class SimCLRWithDDM(WithDDM, SimCLR):
    """SimCLR (arXiv 2002.05709) with DDM; the bank has the key views' projections of the global batch.

    Args:
        ddm: Config of the :class:`~clsa_mm.models.DDMHead`.
        **kwargs: Of mmpretrain's ``SimCLR``.
    """

    def queries_and_bank(self, neck: list[Tensor]) -> tuple[Tensor, Bank]:
        """The two views of an image are neighbours in mmpretrain's one batch of both."""
        keys, weak = neck[0].unflatten(0, (-1, 2)).unbind(dim=1)
        return unit_length(weak), batch_bank(keys)

    def loss(self, inputs: dict[str, list[Tensor]], *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """As :meth:`WithDDM.loss`, with ``chance_level``: the logarithm of the number of candidates.

        mmpretrain gathers features so that each of W processes gets the gradient of its own, and
        DistributedDataParallel averages: the contrastive loss moves the weights by a W-th of its gradient.
        DDM's gradient is divided likewise, so that ``beta`` is the weight that it says.
        """
        terms = super().loss(inputs, *args, **kwargs)
        world_size = get_world_size()
        if 'loss_ddm' in terms:
            value = terms['loss_ddm'].detach()
            terms['loss_ddm'] = value + (terms['loss_ddm'] - value) / world_size
        candidates = 2 * len(inputs['key'][0]) * world_size - 1
        terms['chance_level'] = terms[self.loss_name].new_full((), math.log(candidates))
        return terms


class _PredictingWithDDM(WithDDM):
    """What BYOL and SimSiam share: queries are predictions, as in their own loss, and targets the bank."""

    loss_name = 'loss_latent'

    def queries_and_bank(self, predictions: list[Tensor], targets: list[Tensor]) -> tuple[Tensor, Bank]:
        """Both modules see the key view first, then the weak one."""
        return unit_length(predictions[1]), batch_bank(targets[0])

    def embed(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) -> predictions (N, C)."""
        return self.head.predictor(self.neck(self.backbone(images)))[0]


@MODELS.register_module()
class BYOLWithDDM(_PredictingWithDDM, BYOL):
    """BYOL (arXiv 2006.07733) with DDM; the bank has the key views' target projections of the global batch.

    Args:
        ddm: Config of the :class:`~clsa_mm.models.DDMHead`.
        **kwargs: Of mmpretrain's ``BYOL``.
    """

    watched = ('head.predictor', 'target_net')


@MODELS.register_module()
class SimSiamWithDDM(_PredictingWithDDM, SimSiam):
    """SimSiam (arXiv 2011.10566) with DDM; the bank has the key views' projections of the global batch.

    Args:
        ddm: Config of the :class:`~clsa_mm.models.DDMHead`.
        **kwargs: Of mmpretrain's ``SimSiam``.
    """

    watched = ('head.predictor', 'neck')


@MODELS.register_module()
class SwAVWithDDM(WithDDM, SwAV):
    """SwAV (arXiv 2006.09882) with DDM; the bank has the prototypes.

    So the distributions are SwAV's predicted assignments. The key view and the first weak one are the two
    large crops, of which the second is the teacher. No gradient of DDM reaches the prototypes, and none of
    them is a sample's positive.

    Args:
        ddm: Config of the :class:`~clsa_mm.models.DDMHead`.
        **kwargs: Of mmpretrain's ``SwAV``.
    """

    loss_name = 'loss_swap'

    def queries_and_bank(self, neck: list[Tensor]) -> tuple[Tensor, Bank]:
        """The neck returns all crops at once, the crops one after the other."""
        key, weak, *_ = neck[0].chunk(self.num_plain_views())
        # Of unit length: SwAV's loss makes them so before it uses them.
        prototypes = self.head.loss_module.prototypes.weight.detach()
        return unit_length(weak), Bank(unit_length(key.detach()), [prototypes], holds_positives=False)

    def embed(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) -> projections (N, C)."""
        return self.neck([self.backbone(images)])

    def num_plain_views(self) -> int:
        """Number of SwAV's crops: large ones, the key view among them, then small ones."""
        return sum(self.head.loss_module.num_crops)
