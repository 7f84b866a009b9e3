"""Heads: temperatures and weights of the losses."""

from clsa_mm.models.heads.bank_head import BankHead
from clsa_mm.models.heads.batch_heads import BatchHead, MaxMarginHead, SupConHead
from clsa_mm.models.heads.ddm_head import DDMHead
from clsa_mm.models.heads.feature_transform_heads import (
    FeatureTransformBatchHead,
    FeatureTransformHead,
    FeatureTransformPredictHead,
)
from clsa_mm.models.heads.mochi_head import MoCHiHead
from clsa_mm.models.heads.strong_contrastive_head import StrongContrastiveHead

__all__ = [
    'BankHead',
    'BatchHead',
    'DDMHead',
    'FeatureTransformBatchHead',
    'FeatureTransformHead',
    'FeatureTransformPredictHead',
    'MaxMarginHead',
    'MoCHiHead',
    'StrongContrastiveHead',
    'SupConHead',
]
