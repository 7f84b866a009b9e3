"""Losses: arithmetic without parameters or state."""

from clsa_mm.models.losses.bank_attention import bank_attention, merge_attention, own_attention
from clsa_mm.models.losses.ddm_loss import ddm_loss, multi_view_ddm_loss
from clsa_mm.models.losses.info_nce_loss import info_nce_loss
from clsa_mm.models.losses.max_margin_loss import max_margin_loss
from clsa_mm.models.losses.summed_bce_loss import SummedBCELoss
from clsa_mm.models.losses.supcon_loss import supcon_loss

__all__ = [
    'SummedBCELoss',
    'bank_attention',
    'ddm_loss',
    'info_nce_loss',
    'max_margin_loss',
    'merge_attention',
    'multi_view_ddm_loss',
    'own_attention',
    'supcon_loss',
]
