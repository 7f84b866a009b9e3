"""Losses of transformed features: over a bank, in a batch, and of predictions."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from mmpretrain.models.heads import LatentPredictHead
from torch import Tensor

from clsa_mm.models.bank import Bank, dot
from clsa_mm.models.heads.batch_heads import SupConHead
from clsa_mm.models.heads.ddm_head import DDMHead
from clsa_mm.models.heads.feature_transform import FeatureTransform
from clsa_mm.models.losses.precision import at_least_float32, full_precision


@MODELS.register_module()
class FeatureTransformHead(FeatureTransform, DDMHead):
    r"""Contrasts transformed features with a queue: MoCo, InfoMin, CLSA.

    The contrastive loss is that of :math:`\hat z` against :math:`\hat k` and the :math:`\hat n_j`, mixed out
    of the queue. The keys of the bank and of the queue stay as they are, so do the DDM loss and what it
    compares.

    Args:
        **kwargs: Of :class:`~clsa_mm.models.heads.feature_transform.FeatureTransform` and :class:`DDMHead`.
    """

    def loss(self, weak: Sequence[Tensor], strong: Sequence[Tensor], bank: Bank) -> dict[str, Tensor]:
        """As :meth:`DDMHead.loss`; without DDM nothing is asked of the bank as it is."""
        if (strong and self.beta > 0) or not self.contrastive_weight > 0 or not self.started():
            return super().loss(weak, strong, bank)
        self._check_views(weak, (), bank)
        return self._transformed_terms(weak, bank.positives, bank.negatives)

    def contrastive_terms(
        self, queries: Sequence[Tensor], log_partitions: Tensor, bank: Bank
    ) -> dict[str, Tensor]:
        """InfoNCE of transformed features, from ``start_epoch`` on.

        Args:
            queries: Unit-length queries of V views, each (N, C).
            log_partitions: Those of the features as they are, at ``temperature``, shape (V, N).
            bank: What they belong to, with positives apart from the negatives (``model.bank='own'``).

        Raises:
            ValueError: If the positives are among the shared keys.
        """
        negatives = bank.negatives
        if not self.started():
            return super().contrastive_terms(queries, log_partitions, bank)
        return self._transformed_terms(queries, bank.positives, negatives)

    def _transformed_terms(
        self, queries: Sequence[Tensor], positives: Tensor, negatives: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        queries, keys = self.transform_pairs(torch.stack(tuple(queries)), positives)
        if self.negative:
            pool = torch.cat(negatives) if len(negatives) > 1 else negatives[0]  # of one, cat makes a copy
            mixed, _ = self.mix_negatives(pool)
            negatives = (mixed,) if self.negative == 'replace' else (mixed, *negatives)
        transformed = Bank(positives, negatives, holds_positives=False)
        _, log_partitions = transformed.attention(queries, self.temperature)
        similarities = dot(queries, keys)
        log_partitions = torch.logaddexp(log_partitions, similarities / self.temperature)
        return self.info_nce(log_partitions, similarities, 1 + len(transformed))


@MODELS.register_module()
class FeatureTransformBatchHead(FeatureTransform, SupConHead):
    r"""Contrasts the two views of each image of a batch after their transformation: SimCLR.

    For :class:`~clsa_mm.models.SupCon` with ``supervised=False``. Every feature is an anchor :math:`\hat z`
    whose positive is the image's other view :math:`\hat k`, with a :math:`\lambda` for the batch, or for each
    anchor. One mixture :math:`\hat n_j` of each feature is a negative of all anchors of other images; an
    anchor of the image of :math:`n_{\pi(j)}` meets :math:`n_j` as it is. So there are as many negatives as
    without the transformation, and none has a share of the anchor or its positive. (The sources have no code
    for it, and do not say.) Gradients reach all features, mixed ones too, as they do in SimCLR.

    Args:
        **kwargs: Of :class:`~clsa_mm.models.heads.feature_transform.FeatureTransform` and
            :class:`SupConHead`.
    """

    def loss(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Loss terms of one batch, see :class:`BatchHead`; from ``start_epoch`` on of transformed features.

        Raises:
            ValueError: If a label is not that of two features.
        """
        partners = _partners(labels)
        if not self.started():
            return super().loss(features, labels)
        features = at_least_float32(features)
        anchors, positives = self.transform_pairs(features, features[partners])
        own = labels[:, None] == labels
        with full_precision(features):
            negatives = [anchors @ features.T]
            if self.negative:
                mixed, others = self.mix_negatives(features)
                mixtures = torch.where(own[:, others], negatives[0], anchors @ mixed.T)
                negatives = [mixtures] if self.negative == 'replace' else [mixtures, *negatives]
        scores = (anchors * positives).sum(dim=1, keepdim=True)
        logits = torch.cat([scores, *(each.masked_fill(own, -math.inf) for each in negatives)], dim=1)
        losses = torch.logsumexp(logits / self.temperature, dim=1) - scores[:, 0] / self.temperature
        chance = self.scale * math.log(1 + len(negatives) * (len(labels) - 2))
        return dict(loss_contrastive=self.scale * losses.mean(), chance_level=losses.new_full((), chance))


@MODELS.register_module()
class FeatureTransformPredictHead(FeatureTransform, LatentPredictHead):
    r"""Extrapolates prediction and target before their cosine: SimSiam, which has no negatives.

    Of unit-length prediction :math:`z` and target :math:`k`, with :math:`s = z \cdot k` and one
    :math:`\lambda`, mmpretrain's cosine of what the transformation returns is

    .. math::
        \frac{\hat z \cdot \hat k}{\lVert \hat z \rVert \lVert \hat k \rVert} = \frac{s - a}{1 + a} \leq s,
        \qquad a = 2 \lambda (\lambda - 1) (1 - s)

    The target is a constant in both; the gradient reaches the prediction in both.

    Args:
        positive: As in :class:`~clsa_mm.models.heads.feature_transform.FeatureTransform`, as the others.
        positive_alpha: :math:`\alpha_{ex}`. Defaults to 2.0.
        level: What has a :math:`\lambda` of its own. Defaults to ``'batch'``.
        start_epoch: First epoch of the transformation, from 0. Defaults to 0.
        **kwargs: Of mmpretrain's ``LatentPredictHead``.
    """

    def __init__(
        self,
        positive: str | None = 'extrapolate',
        positive_alpha: float = 2.0,
        level: str = 'batch',
        start_epoch: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(positive, None, positive_alpha, level=level, start_epoch=start_epoch, **kwargs)

    def loss(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of the projections of one view, which the predictor takes, and of the other, both (N, C)."""
        if not self.started():
            return super().loss(input, target)
        prediction, target = (
            F.normalize(at_least_float32(each), dim=1)
            for each in (self.predictor([input])[0], target.detach())
        )
        return self.loss_module(*self.transform_pairs(prediction, target))


def _partners(labels: Tensor) -> Tensor:
    """Where the other feature of each label stands, for labels (M,) that all come twice."""
    same = (labels[:, None] == labels).fill_diagonal_(False)
    if (same.sum(dim=1) != 1).any():
        raise ValueError(
            'feature transformation in a batch takes two views of each image, but a label is not that of two '
            'features: set model.supervised=False, and one key and one weak view in '
            'train_dataloader.dataset.views'
        )
    return same.int().argmax(dim=1)
