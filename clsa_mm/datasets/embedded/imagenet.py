"""The embedded world in ImageNet's layout, for pretraining, kNN and linear evaluation."""

from os import PathLike
from pathlib import Path

from clsa_mm.datasets.embedded.kinds import KINDS, imagenet_folder
from clsa_mm.datasets.embedded.scene import image_rng, render_scene
from clsa_mm.datasets.embedded.target import (
    Progress,
    check_parameters,
    new_folder,
    write_jpeg,
    write_text,
)

_STREAMS = {'train': 0, 'val': 1}
_OBJECT_SIZES = (0.46, 0.6)


def generate_imagenet(
    root: str | PathLike[str],
    num_train: int = 2000,
    num_val: int = 500,
    image_size: int = 96,
    num_classes: int = 10,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Write ``<root>/imagenet`` with one large object per picture, whose kind is the class.

    ::

        imagenet/train/c00_disc_stripes/train_00000000.JPEG   and so on, val alike
        imagenet/meta/train.txt, val.txt                      lines "class/NAME.JPEG label"
        imagenet/embedded.json                                what it was made from

    Image ``i`` of a split has label ``i % num_classes``; the lists are in the order of ``i``, so
    that any first part of them is balanced.

    Args:
        root: Folder of the data sets, made if need be.
        num_train: Number of training images, at least 1.
        num_val: Number of validation images, at least 1.
        image_size: Height and width in pixels, at least 32.
        num_classes: Number of classes, 1 to 20. With 5 or 10 each shape and each texture belongs
            to equally many classes.
        seed: Two seeds share no image; at least 0.
        overwrite: Replace a generated data set with other parameters.
        progress: Print progress.

    Returns:
        The folder ``<root>/imagenet``. Where it already holds this very data set, nothing is done.

    Raises:
        ValueError: An argument is out of range.
        EmbeddedDataError: The folder is taken; the message names the cause and the remedy.
    """
    check_parameters(
        num_train=num_train, num_val=num_val, image_size=image_size, num_classes=num_classes,
        seed=seed,
    )  # fmt: skip
    if num_classes > len(KINDS):
        raise ValueError(f'num_classes must be at most {len(KINDS)}, got {num_classes}')
    target = Path(root).expanduser() / 'imagenet'
    counts = {'train': num_train, 'val': num_val}
    parameters = {
        'layout': 'imagenet', 'num_train': num_train, 'num_val': num_val,
        'image_size': image_size, 'num_classes': num_classes, 'seed': seed,
    }  # fmt: skip
    with new_folder(target, parameters, overwrite) as folder:
        if folder is not None:
            for split, count in counts.items():
                bar = Progress(f'{target} {split}', count, progress)
                _write_split(folder, split, count, image_size, num_classes, seed, bar)
    return target


def _write_split(
    folder: Path,
    split: str,
    count: int,
    image_size: int,
    num_classes: int,
    seed: int,
    progress: Progress,
) -> None:
    for label in range(num_classes):
        (folder / split / imagenet_folder(label)).mkdir(parents=True)
    lines = []
    for index in range(count):
        label = index % num_classes
        rng = image_rng(seed, _STREAMS[split], index)
        image, _ = render_scene(rng, image_size, image_size, [label], _OBJECT_SIZES)
        name = f'{imagenet_folder(label)}/{split}_{index:08d}.JPEG'
        write_jpeg(folder / split / name, image)
        lines.append(f'{name} {label}\n')
        progress.step()
    write_text(folder / 'meta' / f'{split}.txt', ''.join(lines))
