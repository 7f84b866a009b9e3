"""Self-supervised algorithms."""

from clsa_mm.models.selfsup.clsa import CLSA
from clsa_mm.models.selfsup.supcon import SupCon

__all__ = ['CLSA', 'SupCon']
