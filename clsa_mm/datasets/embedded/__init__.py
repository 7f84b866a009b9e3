"""A generated, labelled picture world in the layouts of ImageNet, PASCAL VOC and COCO.

It needs no download: objects of 20 kinds, each a pair of shape and texture, in random colours, on
random backgrounds. The same seed gives the same files, byte for byte.
"""

from clsa_mm.datasets.embedded.coco import generate_coco
from clsa_mm.datasets.embedded.imagenet import generate_imagenet
from clsa_mm.datasets.embedded.kinds import COCO_NAMES, KINDS, VOC_NAMES, imagenet_folder
from clsa_mm.datasets.embedded.target import GENERATOR_VERSION, EmbeddedDataError
from clsa_mm.datasets.embedded.voc import generate_voc

GENERATORS = {'imagenet': generate_imagenet, 'voc': generate_voc, 'coco': generate_coco}

__all__ = [
    'COCO_NAMES',
    'GENERATORS',
    'GENERATOR_VERSION',
    'KINDS',
    'VOC_NAMES',
    'EmbeddedDataError',
    'generate_coco',
    'generate_imagenet',
    'generate_voc',
    'imagenet_folder',
]
