"""Algorithms, heads, banks, queues and losses."""

from clsa_mm.models.bank import Bank
from clsa_mm.models.data_preprocessor import ViewsDataPreprocessor
from clsa_mm.models.heads import DDMHead
from clsa_mm.models.queues import KeyQueue
from clsa_mm.models.selfsup import CLSA

__all__ = ['CLSA', 'Bank', 'DDMHead', 'KeyQueue', 'ViewsDataPreprocessor']
