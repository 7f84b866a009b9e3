"""All layouts of the embedded world at once."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from clsa_mm.datasets.embedded.coco import generate_coco
from clsa_mm.datasets.embedded.imagenet import generate_imagenet
from clsa_mm.datasets.embedded.voc import generate_voc

GENERATORS = {'imagenet': generate_imagenet, 'voc': generate_voc, 'coco': generate_coco}


def generate_all(
    root: str | PathLike[str],
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
    imagenet: Mapping[str, int] | None = None,
    voc: Mapping[str, int] | None = None,
    coco: Mapping[str, int] | None = None,
) -> dict[str, Path]:
    """Write ``<root>/imagenet``, ``<root>/VOCdevkit`` and ``<root>/coco``.

    Args:
        root: Folder of the data sets, made if need be.
        seed: Seed of all three.
        overwrite: Replace generated data sets with other parameters.
        progress: Print progress.
        imagenet: Further arguments of :func:`generate_imagenet`, such as ``num_train``.
        voc: The same for :func:`generate_voc`.
        coco: The same for :func:`generate_coco`.

    Returns:
        The data sets' folders, by the names ``imagenet``, ``voc`` and ``coco``.

    Raises:
        ValueError: An argument is out of range.
        EmbeddedDataError: A folder is taken; the message names the cause and the remedy.
    """
    options = {'imagenet': imagenet, 'voc': voc, 'coco': coco}
    common = {'seed': seed, 'overwrite': overwrite, 'progress': progress}
    return {
        name: generate(root, **{**common, **(options[name] or {})}) for name, generate in GENERATORS.items()
    }
