"""Self-supervised algorithms."""

from clsa_mm.models.selfsup.clsa import CLSA

__all__ = ['CLSA']
