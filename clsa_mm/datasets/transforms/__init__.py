"""Transforms: everything that touches pixels."""

from .load_image import CorruptImageError, LoadImage
from .seeded_multi_view import SeededMultiView
from .strong_augment import StrongAugment

__all__ = ['CorruptImageError', 'LoadImage', 'SeededMultiView', 'StrongAugment']
