"""The images of a run, by its settings: which to show, and how a network sees them.

Of the settings only plain values are taken, folders and numbers; no class that they name is built.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from clsa_mm.datasets.image_files import IMAGE_EXTENSIONS, find_images
from clsa_mm.datasets.tolerant import UNREADABLE
from clsa_mm.datasets.transforms import LoadImage
from clsa_mm.printable import printable
from clsa_mm.reports.run_facts import RunFacts

_FOLDERS = ('LabelledFolder', 'CustomDataset')
_SHRUNK = 64  # pixels; test pipelines crop larger images to 7/8 of their shorter edge
_LARGEST_VIEW = 1024  # pixels
_DATASET = 'train_dataloader.dataset.'
_load = LoadImage()


@dataclass(frozen=True)
class ImageList:
    """Images of a folder.

    Attributes:
        folder: It.
        paths: Relative to it, in the order of an ``ImageFolder``.
        labels: Of each the first folder of its path; None where the folders are no classes.
    """

    folder: Path
    paths: list[str]
    labels: list[str] | None

    def chosen(self, number: int, seed: int) -> 'ImageList':
        """So many of them at random, in order; all if there are fewer."""
        if number >= len(self.paths):
            return self
        places = sorted(np.random.default_rng(seed).permutation(len(self.paths))[:number].tolist())
        return self.at(places)

    def at(self, places: list[int]) -> 'ImageList':
        """Those at these places."""
        labels = None if self.labels is None else [self.labels[i] for i in places]
        return ImageList(self.folder, [self.paths[i] for i in places], labels)

    def whole_path(self, place: int) -> str:
        """The file at a place."""
        return os.path.join(self.folder, self.paths[place])


def training_folder(run: RunFacts) -> Path | None:
    """The folder of the training set; None where the settings do not tell."""
    return _folder(run.data_setting('data_root'), run.data_setting('data_prefix'))


def test_folder(run: RunFacts) -> Path | None:
    """The folder of classes that the run's kNN is measured on; None where there is none."""
    settings = run.log.settings
    hooks = [name.removesuffix('.type') for name, value in settings.items() if value == 'KNNHook']
    for hook in hooks:
        given = {
            name: settings.get(f'{hook}.test.{name}', settings.get(f'{hook}.dataset.{name}'))
            for name in ('type', 'data_root', 'data_prefix', 'ann_file')
        }
        if given['type'] in _FOLDERS and not given['ann_file']:
            return _folder(given['data_root'], given['data_prefix'])
    return None


def list_images(folder: Path | None) -> ImageList:
    """All images below a folder.

    Args:
        folder: The folder; None is none that is there.

    Raises:
        FileNotFoundError: If it or an image in it is not there.
    """
    remedy = 'Write the report from the folder that the training ran in, or name the images with --data.'
    if folder is None:
        raise FileNotFoundError(f'The settings of the run name no folder of images. {remedy}')
    if not folder.is_dir():
        place = '' if folder.is_absolute() else f' below {Path.cwd()}'
        raise FileNotFoundError(printable(f'There is no folder {folder}{place}. {remedy}'))
    paths = list(find_images(str(folder), IMAGE_EXTENSIONS))
    if not paths:
        raise FileNotFoundError(printable(f'There is no image in {folder.absolute()}. {remedy}'))
    tops = [path.partition(os.sep)[0] for path in paths if os.sep in path]
    classes = len(set(tops))
    are_classes = len(tops) == len(paths) and 2 <= classes <= len(paths) / 2
    return ImageList(folder, paths, tops if are_classes else None)


def read_image(path: str) -> np.ndarray | None:
    """An image as uint8 BGR of shape (H, W, 3); None if it cannot be read."""
    try:
        return _load.transform(dict(img_path=path))['img']
    except UNREADABLE:
        return None


def whole_view(image: np.ndarray, size: int) -> np.ndarray:
    """What a test pipeline shows of an image.

    Args:
        image: uint8 BGR of shape (H, W, 3).
        size: Height and width to give it. The shorter edge becomes 8/7 of it, of small images as long.

    Returns:
        The middle, uint8 of shape (size, size, 3).
    """
    edge = round(size * 8 / 7) if size > _SHRUNK else size
    scale = edge / min(image.shape[:2])
    height, width = (max(edge, round(scale * side)) for side in image.shape[:2])
    if (height, width) != image.shape[:2]:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    top, left = (height - size) // 2, (width - size) // 2
    return np.ascontiguousarray(image[top : top + size, left : left + size])


def shrunk(picture: Image.Image, edge: int) -> Image.Image:
    """A copy whose longer side is no longer than ``edge`` pixels."""
    shown = picture.copy()
    shown.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    return shown


def view_settings(run: RunFacts) -> dict[str, dict]:
    """The settings of the training set's views by role, as a config has them.

    Args:
        run: The run.

    Raises:
        ValueError: If it has none, or views of absurd sizes.
    """
    views: dict[str, dict] = {}
    for name, value in run.log.settings.items():
        for prefix in (f'{_DATASET}views.', f'{_DATASET}dataset.views.'):
            if name.startswith(prefix):
                *path, last = name.removeprefix(prefix).split('.')
                place: dict = views
                for key in path:
                    place = place.setdefault(key, {})
                place[last] = value
    if not views:
        raise ValueError(
            'The views are not settings of the training set (`views`): see them with '
            'tools/analysis_tools/browse_views.py CONFIG.'
        )
    if any(size > _LARGEST_VIEW for settings in views.values() for size in _sizes(settings)):
        raise ValueError(f'The settings ask for views of more than {_LARGEST_VIEW} pixels: none are made.')
    return views


def input_size(run: RunFacts) -> int:
    """The size in pixels at which the network saw whole images: that of the key view, or else 224."""
    try:
        return _sizes(view_settings(run).get('key', {}))[0]
    except (ValueError, IndexError):
        return 224


def _sizes(settings: object) -> list[int]:
    size = settings.get('size') if isinstance(settings, Mapping) else None
    return [each for each in (size if isinstance(size, list | tuple) else [size]) if isinstance(each, int)]


def _folder(root: object, prefix: object) -> Path | None:
    if isinstance(prefix, dict):
        prefix = next(iter(prefix.values()), '')
    parts = [part for part in (root, prefix) if isinstance(part, str) and part]
    return Path(*parts) if parts and not any('\0' in part or '://' in part for part in parts) else None
