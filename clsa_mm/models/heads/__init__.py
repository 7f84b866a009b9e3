"""Heads: temperatures and weights of the losses."""

from clsa_mm.models.heads.bank_head import BankHead
from clsa_mm.models.heads.batch_heads import BatchHead, MaxMarginHead, SupConHead
from clsa_mm.models.heads.ddm_head import DDMHead

__all__ = ['BankHead', 'BatchHead', 'DDMHead', 'MaxMarginHead', 'SupConHead']
