"""Convert CIFAR-10 or CIFAR-100 to folders of PNG files: {train,test}/<class>/NNNNN.png.

The source is the official python version, packed (cifar-10-python.tar.gz) or unpacked
(cifar-10-batches-py/), or a tar archive of images (train/<class>/*.jpg, test/<class>/*.jpg).
"""

import argparse
import io
import pickle
import re
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from clsa_mm.checkpoints.unfinished import unfinished

Sample = tuple[str, str, Image.Image]  # split, class, picture
LARGEST_BATCH = 2**28  # bytes; CIFAR-100's training images take 155 million
CLASS_NAME = re.compile(r'[\w-]+')
IMAGE_MEMBER = re.compile(rf'(?:.*/)?(train|test)/({CLASS_NAME.pattern})/[^/]+\.(?:png|jpe?g)', re.IGNORECASE)


class Layout(NamedTuple):
    """Names inside an official release."""

    batches: dict[str, str]  # file name: split
    meta: str
    label_names: bytes
    labels: bytes


CIFAR10 = Layout(
    {**{f'data_batch_{i}': 'train' for i in range(1, 6)}, 'test_batch': 'test'},
    'batches.meta',
    b'label_names',
    b'labels',
)
CIFAR100 = Layout({'train': 'train', 'test': 'test'}, 'meta', b'fine_label_names', b'fine_labels')


class ArrayUnpickler(pickle.Unpickler):
    """Unpickle plain containers and NumPy arrays only: any other pickle could run code."""

    ALLOWED = {
        ('numpy.core.multiarray', '_reconstruct'),
        ('numpy._core.multiarray', '_reconstruct'),
        ('numpy', 'ndarray'),
        ('numpy', 'dtype'),
        ('_codecs', 'encode'),
    }

    def find_class(self, module: str, name: str) -> Any:
        """Look up an allowed global."""
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(
                f'refused to load {module}.{name}: a CIFAR batch holds NumPy arrays and plain '
                'containers only. Download the file again from its official place.'
            )
        if name == '_reconstruct':  # its module has another name in each generation of NumPy
            return np.ndarray((0,)).__reduce__()[0]
        return super().find_class(module, name)


def unpickle(data: bytes) -> dict[bytes, Any]:
    """Load a batch, which Python 2 wrote, without running code from it."""
    return ArrayUnpickler(io.BytesIO(data), encoding='bytes').load()


def read_release(layout: Layout, names: Sequence[str], read: Callable[[str], bytes]) -> Iterator[Sample]:
    """Read the official python version.

    Args:
        layout: CIFAR-10's or CIFAR-100's.
        names: Base names of the files there are.
        read: Reads a file by its base name.

    Yields:
        Split, class name and picture of each sample.

    Raises:
        FileNotFoundError: A batch is missing.
        ValueError: A class cannot be the name of a folder, two are the same, or a label has no class.
    """
    missing = [name for name in layout.batches if name not in names]
    if missing:
        raise FileNotFoundError(
            f'The source has no {", ".join(missing)}: it is incomplete. Download it again.'
        )
    classes = _class_names(unpickle(read(layout.meta))[layout.label_names], layout.meta)
    for name, split in layout.batches.items():
        batch = unpickle(read(name))
        # rows of 3072 bytes: 1024 red, 1024 green, 1024 blue, each row by row
        pictures = np.asarray(batch[b'data'], np.uint8).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        for picture, label in zip(pictures, batch[layout.labels], strict=True):
            if not 0 <= label < len(classes):
                raise ValueError(
                    f'{name} has the label {label}, and there are {len(classes)} classes: it is damaged or '
                    'of another data set. Download it again.'
                )
            yield split, classes[label], Image.fromarray(np.ascontiguousarray(picture))


def _class_names(names: Sequence[bytes], source: str) -> list[str]:
    """Decode the names; refuse those that would write elsewhere than in a folder of their own."""
    # What is no text becomes a sign that no name may have.
    classes = [name.decode(errors='replace') if isinstance(name, bytes) else '?' for name in names]
    counts = Counter(classes)
    pairs = zip(names, classes, strict=True)
    bad = [repr(name) for name, text in pairs if not CLASS_NAME.fullmatch(text) or counts[text] > 1]
    if bad:
        raise ValueError(
            f'{source} has classes that cannot be folders of their own: {", ".join(dict.fromkeys(bad))} '
            '(bytes of UTF-8: letters, digits, _ and -, each name once). The file is not the official one: '
            'download it again.'
        )
    return classes


def read_images(archive: tarfile.TarFile) -> Iterator[Sample]:
    """Read a tar archive of ``{train,test}/<class>/<name>.{jpg,png}``, in its own order."""
    for member in archive.getmembers():  # any other order seeks back, slow in a packed archive
        match = IMAGE_MEMBER.fullmatch(member.name)
        if match and member.isfile():
            with Image.open(archive.extractfile(member)) as image:
                yield match[1].lower(), match[2], image.convert('RGB')


def read_source(source: Path) -> Iterator[Sample]:
    """Recognise the kind of source and read it."""
    if source.is_dir():
        names = [path.name for path in source.iterdir() if path.is_file()]
        yield from read_release(_layout(names, source), names, lambda n: (source / n).read_bytes())
        return
    with tarfile.open(source) as archive:
        files = [member for member in archive.getmembers() if member.isfile()]
        if any(IMAGE_MEMBER.fullmatch(member.name) for member in files):
            yield from read_images(archive)
            return
        by_name = {Path(member.name).name: member for member in files if member.size <= LARGEST_BATCH}
        layout = _layout(list(by_name), source)
        yield from read_release(layout, list(by_name), lambda name: archive.extractfile(by_name[name]).read())


def _layout(names: Sequence[str], source: Path) -> Layout:
    for layout in (CIFAR10, CIFAR100):
        if layout.meta in names:
            return layout
    raise ValueError(
        f'{source} holds neither {CIFAR10.meta} (CIFAR-10), nor {CIFAR100.meta} (CIFAR-100), nor '
        'images in train/<class>/ and test/<class>/. Give cifar-10-python.tar.gz, the folder '
        'cifar-10-batches-py unpacked from it, or an archive of images.'
    )


def convert(source: Path, target: Path) -> Counter[str]:
    """Write all samples as PNG files.

    Args:
        source: Archive or folder, see the module.
        target: Folder to make; may exist if empty.

    Returns:
        Number of pictures per split.

    Raises:
        FileExistsError: ``target`` is not empty.
        FileNotFoundError: ``source`` or one of its batches is missing.
        ValueError: ``source`` is of no known kind.
    """
    if not source.exists():
        raise FileNotFoundError(f'{source.absolute()} does not exist.')
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f'{target.absolute()} is not empty: remove it or name another one.')
    per_class: Counter[tuple[str, str]] = Counter()
    with unfinished(target.absolute()) as part:
        for split, name, picture in read_source(source):
            folder = part / split / name
            folder.mkdir(parents=True, exist_ok=True)
            picture.save(folder / f'{per_class[split, name]:05d}.png', compress_level=1)
            per_class[split, name] += 1
            if sum(per_class.values()) % 5000 == 0:
                print(f'{sum(per_class.values())} pictures written', flush=True)
        if target.exists():
            target.rmdir()
        part.rename(target)
    totals: Counter[str] = Counter()
    for (split, _), count in per_class.items():
        totals[split] += count
    return totals


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', type=Path, help='archive or folder')
    parser.add_argument('target', type=Path, nargs='?', default=Path('data/cifar10'))
    args = parser.parse_args(arguments)
    try:
        totals = convert(args.source, args.target)
    except (OSError, ValueError, tarfile.TarError, pickle.UnpicklingError) as error:
        sys.exit(f'error: {error}')
    print(f'{args.target}: ' + ', '.join(f'{n} {split}' for split, n in sorted(totals.items())))


if __name__ == '__main__':
    main()
