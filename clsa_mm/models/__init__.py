"""Algorithms, heads, banks, queues, losses and a normalisation."""

from clsa_mm.models.bank import Bank
from clsa_mm.models.data_preprocessor import ViewsDataPreprocessor
from clsa_mm.models.heads import (
    BankHead,
    BatchHead,
    DDMHead,
    FeatureTransformBatchHead,
    FeatureTransformHead,
    FeatureTransformPredictHead,
    MaxMarginHead,
    MoCHiHead,
    StrongContrastiveHead,
    SupConHead,
)
from clsa_mm.models.labelled_bank import LabelledBank
from clsa_mm.models.queues import KeyQueue
from clsa_mm.models.selfsup import (
    CLSA,
    BYOLWithDDM,
    SimCLRWithDDM,
    SimSiamWithDDM,
    SupCon,
    SwAVWithDDM,
    UnMix,
    WithDDM,
    batch_bank,
    unit_length,
)
from clsa_mm.models.split_batch_norm import SplitBN

__all__ = [
    'BYOLWithDDM',
    'Bank',
    'BankHead',
    'BatchHead',
    'CLSA',
    'DDMHead',
    'FeatureTransformBatchHead',
    'FeatureTransformHead',
    'FeatureTransformPredictHead',
    'KeyQueue',
    'LabelledBank',
    'MaxMarginHead',
    'MoCHiHead',
    'SimCLRWithDDM',
    'SimSiamWithDDM',
    'SplitBN',
    'StrongContrastiveHead',
    'SupCon',
    'SupConHead',
    'SwAVWithDDM',
    'UnMix',
    'ViewsDataPreprocessor',
    'WithDDM',
    'batch_bank',
    'unit_length',
]
