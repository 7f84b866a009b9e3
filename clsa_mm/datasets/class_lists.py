"""Published lists of classes: which folders of a data set belong to a part of it."""

import os
from collections.abc import Sequence

from clsa_mm.datasets.views.nearest_name import choose

_IMAGENET100 = """
    n01558993 n01692333 n01729322 n01735189 n01749939 n01773797 n01820546 n01855672 n01978455 n01980166
    n01983481 n02009229 n02018207 n02085620 n02086240 n02086910 n02087046 n02089867 n02089973 n02090622
    n02091831 n02093428 n02099849 n02100583 n02104029 n02105505 n02106550 n02107142 n02108089 n02109047
    n02113799 n02113978 n02114855 n02116738 n02119022 n02123045 n02138441 n02172182 n02231487 n02259212
    n02326432 n02396427 n02483362 n02488291 n02701002 n02788148 n02804414 n02859443 n02869837 n02877765
    n02974003 n03017168 n03032252 n03062245 n03085013 n03259280 n03379051 n03424325 n03492542 n03494278
    n03530642 n03584829 n03594734 n03637318 n03642806 n03764736 n03775546 n03777754 n03785016 n03787032
    n03794056 n03837869 n03891251 n03903868 n03930630 n03947888 n04026417 n04067472 n04099969 n04111531
    n04127249 n04136333 n04229816 n04238763 n04336792 n04418357 n04429376 n04435653 n04485082 n04493381
    n04517823 n04589890 n04592741 n07714571 n07715103 n07753275 n07831146 n07836838 n13037406 n13040303
"""

CLASS_LISTS = dict(imagenet100=tuple(_IMAGENET100.split()))
"""Sorted names of folders. ``imagenet100``: the 100 classes of ImageNet of Contrastive Multiview Coding
(arXiv 1906.05849, ``imagenet100.txt`` of HobbitLong/CMC); feature transformation (arXiv 2108.02982) has the
same ones."""


def class_folders(names: str | Sequence[str]) -> tuple[str, ...]:
    """Names of class folders, sorted.

    Args:
        names: The folders' names, or the name of a list in ``CLASS_LISTS``.

    Raises:
        ValueError: If there is no such list, or they are no names, each once.
    """
    if isinstance(names, str):
        return CLASS_LISTS[choose(names, CLASS_LISTS, 'subfolders')]
    fine = isinstance(names, Sequence) and names and all(isinstance(name, str) and name for name in names)
    if not fine or len(set(names)) != len(names):
        raise ValueError(f'subfolders must be different names, at least one, got {names!r}')
    return tuple(sorted(names))


def check_folders(root: str, names: Sequence[str]) -> None:
    """Make sure that class folders are there.

    Args:
        root: The folder that holds them.
        names: Theirs.

    Raises:
        FileNotFoundError: If one is missing.
    """
    missing = [name for name in names if not os.path.isdir(os.path.join(root, name))]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of {len(names)} class folders are missing in {os.path.abspath(root)}, the first '
            f'is {missing[0]}: point data_root and data_prefix to the folder of the class folders, with all '
            'images of a class in its own (validation images, too).'
        )
