"""Transforms: everything that touches pixels."""

from clsa_mm.datasets.corrupt_files import CorruptImageError
from clsa_mm.datasets.transforms.load_image import LoadImage
from clsa_mm.datasets.transforms.make_views import MakeView, MakeViews, PackViews
from clsa_mm.datasets.transforms.seeded_multi_view import SeededMultiView
from clsa_mm.datasets.transforms.strong_augment import StrongAugment

__all__ = [
    'CorruptImageError',
    'LoadImage',
    'MakeView',
    'MakeViews',
    'PackViews',
    'SeededMultiView',
    'StrongAugment',
]
