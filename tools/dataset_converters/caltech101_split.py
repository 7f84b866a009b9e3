"""Write the lists of training and test images that Caltech-101 lacks.

Thirty images of each of the 102 folders, drawn with a fixed seed, are for training and the others for
testing, the numbers of Kornblith et al. (arXiv 1805.08974), SimCLR and BYOL. mmpretrain's class reads them.

    python tools/dataset_converters/caltech101_split.py data/caltech-101
"""

import argparse
import random
from pathlib import Path


def main() -> None:
    """Write ``meta/train.txt`` and ``meta/test.txt``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('root', type=Path, help='the folder with 101_ObjectCategories/')
    parser.add_argument('--per-class', type=int, default=30, help='training images of each class')
    parser.add_argument('--seed', type=int, default=0, help='of the draw')
    args = parser.parse_args()
    images = args.root / '101_ObjectCategories'
    if not images.is_dir():
        raise SystemExit(f'{images} does not exist: unpack 101_ObjectCategories.tar.gz in {args.root}')
    lists = split(images, args.per_class, args.seed)
    texts = {args.root / 'meta' / f'{name}.txt': '\n'.join(lines) + '\n' for name, lines in lists.items()}
    for path, text in texts.items():
        if path.exists() and path.read_text() != text:
            raise SystemExit(
                f'{path} exists and is not what this would write: move it away first, so that the split of '
                'earlier results is not lost.'
            )
    (args.root / 'meta').mkdir(exist_ok=True)
    for path, text in texts.items():
        path.write_text(text)
        print(f'wrote {path}, {text.count(chr(10))} images')


def split(images: Path, per_class: int, seed: int) -> dict[str, list[str]]:
    """Draw the training images of each class.

    Args:
        images: Folder of the classes' folders; a class's number is its place among their sorted names.
        per_class: Training images of each class.
        seed: Of the draw.

    Returns:
        The lines ``<class>/<name> <number>`` of the lists ``train`` and ``test``.
    """
    rng = random.Random(seed)
    lists: dict[str, list[str]] = dict(train=[], test=[])
    folders = sorted(folder for folder in images.iterdir() if folder.is_dir())
    for number, folder in enumerate(folders):
        names = sorted(path.name for path in folder.glob('*.jpg'))
        if len(names) <= per_class:
            raise SystemExit(f'{folder} has {len(names)} images, too few to train with {per_class} of them')
        if any(not f'{folder.name}{name}'.isprintable() for name in names):
            raise SystemExit(f'{str(folder)!r} or an image in it has a name that no list can hold: rename it')
        chosen = set(rng.sample(names, per_class))
        for name in names:
            lists['train' if name in chosen else 'test'].append(f'{folder.name}/{name} {number}')
    return lists


if __name__ == '__main__':
    main()
