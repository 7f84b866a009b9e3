"""What a folder of images holds, from a look at some of them."""

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from clsa_mm.datasets.corrupt_files import CorruptImageError
from clsa_mm.datasets.image_folder import ImageFolder
from clsa_mm.datasets.isolated import each_isolated
from clsa_mm.datasets.transforms.load_image import LoadImage
from clsa_mm.given_names import check_names

# Files that are decoded at most; of a larger folder a random choice.
_LOOK_AT = 2000
_FILE_SECONDS = 60.0
# A picture's hash has 16 x 16 bits. Scaled, recompressed or slightly cropped copies differ in few of them.
_HASH_SIDE, _NEAR_BITS = 16, 10
# The darkest and brightest value are as near as in a plain picture, whose hash is noise.
_PLAIN = 8


@dataclass(frozen=True)
class FolderFacts:
    """What a look at a folder has found.

    Attributes:
        folder: The folder.
        images: Files with an image's extension.
        looked_at: How many of them were decoded.
        bad: Kind of fault -> number among those.
        short_side: Median of the shorter sides, in pixels.
        smallest: Shorter side of the smallest image.
        largest: Longer side of the largest image.
        near_duplicates: How many of those looked at nearly equal one before them.
    """

    folder: Path
    images: int
    looked_at: int
    bad: dict[str, int]
    short_side: int
    smallest: int
    largest: int
    near_duplicates: int


class _Look(NamedTuple):
    kind: str
    sides: tuple[int, int] = (0, 0)
    bits: bytes = b''


def look_at_folder(folder: str | Path, workers: int) -> FolderFacts:
    """Count the images of a folder and decode some of them, each time the same.

    Args:
        folder: Flat or nested.
        workers: Processes that decode, >= 1.

    Raises:
        FileNotFoundError: If the folder does not exist, or there is no image in it.
        ValueError: If ``folder`` is no path, or none of those looked at can be decoded.
    """
    check_names('look_at_folder', folder=folder)
    dataset = ImageFolder(data_prefix=str(folder))
    chosen = np.random.default_rng(0).permutation(len(dataset))[:_LOOK_AT]
    paths = [dataset.get_data_info(int(i))['img_path'] for i in chosen]
    found: list[_Look] = [_Look('kills the decoder or takes too long')] * len(paths)
    for outcome in each_isolated(partial(_look_at, LoadImage()), paths, workers, _FILE_SECONDS):
        if outcome.state == 'done':
            found[outcome.index] = outcome.result
    good = [look for look in found if not look.kind]
    bad = Counter(look.kind for look in found if look.kind)
    if not good:
        raise ValueError(
            f'{Path(folder).absolute()}: none of the {len(paths)} images looked at can be decoded '
            f'({", ".join(f"{n} {kind}" for kind, n in bad.items())}); tools/check_data.py lists them'
        )
    sides = np.array([look.sides for look in good])
    return FolderFacts(
        folder=Path(folder),
        images=len(dataset),
        looked_at=len(paths),
        bad=dict(bad),
        short_side=int(np.median(sides.min(axis=1))),
        smallest=int(sides.min()),
        largest=int(sides.max()),
        near_duplicates=_count_near([look.bits for look in good if look.bits]),
    )


def _look_at(load: LoadImage, path: str) -> _Look:
    try:
        image = load.transform(dict(img_path=path))['img']
    except CorruptImageError as error:
        return _Look(error.kind)
    return _Look('', image.shape[:2], _bits_of(image))


def _bits_of(image: np.ndarray) -> bytes:
    """Whether each cell of a coarse grid is brighter than its left neighbour; b'' of a plain picture."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    grey = cv2.resize(grey, (_HASH_SIDE + 1, _HASH_SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    if np.ptp(grey) <= _PLAIN:
        return b''
    return np.packbits(np.diff(grey, axis=1) > 0).tobytes()


def _count_near(hashes: list[bytes]) -> int:
    """How many differ in at most ``_NEAR_BITS`` bits from one before them."""
    if not hashes:
        return 0
    bits = np.unpackbits(np.frombuffer(b''.join(hashes), np.uint8).reshape(len(hashes), -1), axis=1)
    signs = bits.astype(np.float32) * 2 - 1
    distances = (signs.shape[1] - signs @ signs.T) / 2
    return int((np.tril(distances <= _NEAR_BITS, k=-1)).any(axis=1).sum())
