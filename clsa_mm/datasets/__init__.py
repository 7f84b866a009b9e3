"""Data sets, samplers and transforms."""

from . import transforms
from .image_folder import ImageFolder
from .imagenet_subset import ImageNetSubset
from .inaturalist import INaturalist2018
from .layouts import LAYOUTS, Layout, check_layout, published_dataset
from .seeded_sampler import SeededIndex, SeededSampler

__all__ = [
    'INaturalist2018',
    'ImageFolder',
    'ImageNetSubset',
    'LAYOUTS',
    'Layout',
    'SeededIndex',
    'SeededSampler',
    'check_layout',
    'published_dataset',
    'transforms',
]
