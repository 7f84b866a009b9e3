"""Algorithms, heads, banks, queues, losses and a normalisation."""

from clsa_mm.models.bank import Bank
from clsa_mm.models.data_preprocessor import ViewsDataPreprocessor
from clsa_mm.models.heads import BankHead, BatchHead, DDMHead, MaxMarginHead, SupConHead
from clsa_mm.models.labelled_bank import LabelledBank
from clsa_mm.models.queues import KeyQueue
from clsa_mm.models.selfsup import CLSA, SupCon
from clsa_mm.models.split_batch_norm import SplitBN

__all__ = [
    'CLSA',
    'Bank',
    'BankHead',
    'BatchHead',
    'DDMHead',
    'KeyQueue',
    'LabelledBank',
    'MaxMarginHead',
    'SplitBN',
    'SupCon',
    'SupConHead',
    'ViewsDataPreprocessor',
]
