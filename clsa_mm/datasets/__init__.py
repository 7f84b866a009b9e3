"""Data sets, samplers and transforms."""

from clsa_mm.datasets import transforms
from clsa_mm.datasets.class_lists import CLASS_LISTS
from clsa_mm.datasets.image_folder import ImageFolder
from clsa_mm.datasets.imagenet_subset import ImageNetSubset
from clsa_mm.datasets.inaturalist import INaturalist2018
from clsa_mm.datasets.labelled_folder import LabelledFolder
from clsa_mm.datasets.published import LAYOUTS, Layout, check_layout, published_dataset
from clsa_mm.datasets.seeded_sampler import SeededIndex, SeededSampler

__all__ = [
    'CLASS_LISTS',
    'INaturalist2018',
    'ImageFolder',
    'ImageNetSubset',
    'LAYOUTS',
    'LabelledFolder',
    'Layout',
    'SeededIndex',
    'SeededSampler',
    'check_layout',
    'published_dataset',
    'transforms',
]
