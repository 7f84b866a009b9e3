"""Self-supervised algorithms."""

from clsa_mm.models.selfsup.clsa import CLSA
from clsa_mm.models.selfsup.unmix import UnMix

__all__ = ['CLSA', 'UnMix']
