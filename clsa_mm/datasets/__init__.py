"""Data sets, samplers and transforms."""

from . import transforms
from .image_folder import ImageFolder
from .seeded_sampler import SeededIndex, SeededSampler

__all__ = ['ImageFolder', 'SeededIndex', 'SeededSampler', 'transforms']
