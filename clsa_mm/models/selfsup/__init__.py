"""Self-supervised algorithms."""

from clsa_mm.models.selfsup.clsa import CLSA
from clsa_mm.models.selfsup.frameworks import BYOLWithDDM, SimCLRWithDDM, SimSiamWithDDM, SwAVWithDDM
from clsa_mm.models.selfsup.supcon import SupCon
from clsa_mm.models.selfsup.unmix import UnMix
from clsa_mm.models.selfsup.with_ddm import WithDDM, batch_bank, unit_length

__all__ = [
    'BYOLWithDDM',
    'CLSA',
    'SimCLRWithDDM',
    'SimSiamWithDDM',
    'SupCon',
    'SwAVWithDDM',
    'UnMix',
    'WithDDM',
    'batch_bank',
    'unit_length',
]
