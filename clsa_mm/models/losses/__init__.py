"""Pure functions: arithmetic without parameters or state."""

from clsa_mm.models.losses.ddm_loss import ddm_loss, multi_view_ddm_loss
from clsa_mm.models.losses.info_nce_loss import info_nce_loss

__all__ = ['ddm_loss', 'info_nce_loss', 'multi_view_ddm_loss']
