"""Writing a generated data set so that it is there whole or not at all."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

RECORD = 'embedded.json'
GENERATOR_VERSION = 1  # raise it whenever the same parameters give other files


class EmbeddedDataError(RuntimeError):
    """The data set cannot be written where it was asked for; the message says what to do."""


def check_parameters(**values: int) -> None:
    """Reject numbers that no data set can have.

    Args:
        **values: ``num_*`` must be at least 1, ``image_size`` at least 32, ``seed`` at least 0.

    Raises:
        ValueError: A value is not an integer or below its least value.
    """
    for name, value in values.items():
        least = {'seed': 0, 'image_size': 32}.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f'{name} must be an integer of at least {least}, got {value!r}')


@contextmanager
def new_folder(target: Path, parameters: Mapping[str, object], overwrite: bool) -> Iterator[Path | None]:
    """Give a folder to write a data set into, and move it to its place when all went well.

    Args:
        target: The data set's folder.
        parameters: What the data set is made from, as JSON can hold it; recorded beside the data.
        overwrite: Replace a data set that was generated with other parameters or is incomplete.

    Yields:
        A new empty folder beside ``target``, or None where ``target`` already holds just this
        data set.

    Raises:
        EmbeddedDataError: ``target`` is not a folder, holds files that were not generated, or
            holds another generated data set and ``overwrite`` is False.
    """
    target = target.resolve()  # writes where a link points, instead of replacing the link
    wanted = json.loads(json.dumps({'generator_version': GENERATOR_VERSION, **parameters}))
    if _holds(target, wanted, overwrite):
        yield None
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.parent / f'.{target.name}.partial-{uuid.uuid4().hex[:12]}'
    partial.mkdir()
    try:
        yield partial
        record = {**wanted, 'num_files': _count_files(partial)}
        write_text(partial / RECORD, json.dumps(record, indent=2) + '\n')
        # Again, for another process may have written the same meanwhile.
        if not _holds(target, wanted, overwrite):
            if target.exists():
                shutil.rmtree(target)
            os.rename(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _holds(target: Path, wanted: Mapping[str, object], overwrite: bool) -> bool:
    """Whether the target is the wanted data set; errors where it may not be replaced."""
    if not target.exists():
        return False
    if not target.is_dir():
        raise EmbeddedDataError(f'{target} is not a folder: name another root, or move it away')
    if not any(target.iterdir()):
        return False
    found = _read_record(target)
    num_files = found.pop('num_files', None)
    differences = [
        f'{key} is {found.get(key)!r}, asked for {wanted.get(key)!r}'
        for key in sorted({*found, *wanted})
        if found.get(key) != wanted.get(key)
    ]
    if not differences and num_files != (present := _count_files(target)):
        differences = [f'it holds {present} files instead of {num_files}']
    if differences and not overwrite:
        raise EmbeddedDataError(
            f'{target} holds another generated data set ({"; ".join(differences)}): pass '
            'overwrite=True (--overwrite) to replace it, or name another root'
        )
    return not differences


def _read_record(target: Path) -> dict[str, object]:
    try:
        record = json.loads((target / RECORD).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        record = None
    if not isinstance(record, dict) or 'generator_version' not in record:
        raise EmbeddedDataError(
            f'{target} is not empty and was not made by this generator (it has no valid {RECORD}), '
            'so it is left alone: name another root, or move the folder away'
        )
    return record


def _count_files(folder: Path) -> int:
    """Number of files in the folder, not counting the record itself."""
    return sum(len(files) for _, _, files in os.walk(folder)) - (folder / RECORD).exists()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 with Unix line ends, whatever the machine, making the folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding='utf-8', newline='\n')


def write_jpeg(path: Path, image: np.ndarray) -> None:
    """Write an RGB image, uint8 of shape ``(H, W, 3)``, as JPEG of quality 92."""
    Image.fromarray(image).save(path, format='JPEG', quality=92)


class Progress:
    """Prints how many of a number of images are done, each time another quarter is.

    Args:
        name: What is generated.
        total: Number of images.
        enabled: Print at all.
    """

    def __init__(self, name: str, total: int, enabled: bool = True) -> None:
        self.name, self.total, self.enabled = name, total, enabled
        self.done = 0

    def step(self) -> None:
        """Count one more image."""
        self.done += 1
        quarters_before = (self.done - 1) * 4 // self.total
        if self.enabled and self.done * 4 // self.total > quarters_before:
            print(f'{self.name}: {self.done}/{self.total} images', flush=True)
