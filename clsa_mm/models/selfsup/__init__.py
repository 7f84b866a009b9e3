"""Self-supervised algorithms."""

from clsa_mm.models.selfsup.clsa import CLSA
from clsa_mm.models.selfsup.frameworks import BYOLWithDDM, SimCLRWithDDM, SimSiamWithDDM, SwAVWithDDM
from clsa_mm.models.selfsup.with_ddm import WithDDM, batch_bank, unit_length

__all__ = [
    'CLSA',
    'BYOLWithDDM',
    'SimCLRWithDDM',
    'SimSiamWithDDM',
    'SwAVWithDDM',
    'WithDDM',
    'batch_bank',
    'unit_length',
]
