"""Losses: arithmetic without parameters or state."""

from clsa_mm.models.losses.bank_attention import bank_attention, merge_attention, own_attention
from clsa_mm.models.losses.ddm_loss import ddm_loss, multi_view_ddm_loss
from clsa_mm.models.losses.info_nce_loss import info_nce_loss
from clsa_mm.models.losses.summed_bce_loss import SummedBCELoss

__all__ = [
    'SummedBCELoss',
    'bank_attention',
    'ddm_loss',
    'info_nce_loss',
    'merge_attention',
    'multi_view_ddm_loss',
    'own_attention',
]
