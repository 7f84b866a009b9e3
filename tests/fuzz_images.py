"""Damage image files in many ways and load them: ``python tests/fuzz_images.py --number 20000``.

Whatever a file holds, ``LoadImage`` has to decode it or refuse it by kind, within the time limit and without
the end of its process. Exits with status 1 otherwise; the files that did it lie in ``--out``, and
``--first N --number 1`` makes number N again.
"""

import argparse
import io
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

import cv2
import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from clsa_mm.datasets.corrupt_files import CorruptImageError
from clsa_mm.datasets.isolated import each_isolated
from clsa_mm.datasets.transforms import LoadImage

SLOW = 2.0
_EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@cache
def whole_files() -> list[tuple[str, bytes]]:
    """(Format, content) of undamaged files: two photographs, encoded in the ways that formats have."""
    files = []
    for photo in load_sample_images().images:
        image = Image.fromarray(photo).resize((120, 80))
        exif = Image.Exif()
        exif[0x0112], exif[0x010F], exif[0x8825] = 6, 'maker', {1: 'N', 2: (1.0, 2.0, 3.0)}
        alpha, palette = image.convert('RGBA'), image.quantize(64)
        alpha.putalpha(image.convert('L'))
        movie = dict(save_all=True, append_images=[image.rotate(90), image.rotate(180)])
        ways = [
            ('JPEG', image, {}), ('JPEG', image, dict(progressive=True)), ('JPEG', image.convert('L'), {}),
            ('JPEG', image.convert('CMYK'), {}), ('JPEG', image, dict(exif=exif)),
            ('JPEG', image, dict(restart_marker_blocks=4)),
            ('PNG', image, {}), ('PNG', alpha, {}), ('PNG', palette, dict(transparency=3)),
            ('PNG', image.convert('1'), {}), ('PNG', image, dict(exif=exif)),
            ('WEBP', image, {}), ('WEBP', image, dict(lossless=True)), ('WEBP', alpha, {}),
            ('WEBP', image, movie), ('WEBP', image, dict(exif=exif)),
            ('TIFF', image, {}), ('TIFF', image, dict(compression='tiff_lzw')),
            ('TIFF', image, dict(compression='tiff_adobe_deflate')),
            ('TIFF', image, dict(compression='jpeg')),
            ('TIFF', image.convert('CMYK'), dict(compression='packbits')),
            ('TIFF', image.convert('1'), dict(compression='group4')), ('TIFF', image.convert('F'), {}),
            ('GIF', palette, {}), ('GIF', image, movie), ('GIF', palette, dict(interlace=1)),
        ]  # fmt: skip
        for kind, picture, options in ways:
            buffer = io.BytesIO()
            picture.save(buffer, kind, **options)
            files.append((kind, buffer.getvalue()))
        wide = np.asarray(image)[..., ::-1].astype(np.uint16) * 257
        files += [('PNG', cv2.imencode('.png', wide)[1].tobytes())]
        files += [('TIFF', cv2.imencode('.tiff', wide)[1].tobytes())]
        files += [('TIFF', cv2.imencode('.tiff', wide.astype(np.float32) / 65535)[1].tobytes())]
    return files


def fields(kind: str, data: bytes) -> list[tuple[int, str]]:
    """(Offset, struct format) of what says how long a part of a file is, or how it is to be read."""
    found, start = [], {'JPEG': 2, 'PNG': 8, 'WEBP': 12, 'GIF': 13}.get(kind, 0)
    if kind == 'JPEG':
        while start + 4 <= len(data) and data[start] == 0xFF and data[start + 1] != 0xDA:
            found += [(start + 2, '>H'), (start + 5, '>H'), (start + 7, '>H')]
            start += 2 + int.from_bytes(data[start + 2 : start + 4], 'big')
    elif kind == 'PNG':
        found += [(16, '>I'), (20, '>I'), (24, 'B'), (25, 'B'), (28, 'B')]
        while start + 12 <= len(data):
            found.append((start, '>I'))
            start += 12 + int.from_bytes(data[start : start + 4], 'big')
    elif kind == 'WEBP':
        found.append((4, '<I'))
        while start + 8 <= len(data):
            found += [(start + 4, '<I'), (start + 8, '<I'), (start + 12, '<I')]
            length = int.from_bytes(data[start + 4 : start + 8], 'little')
            start += 8 + length + length % 2
    elif kind == 'TIFF':
        start = int.from_bytes(data[4:8], 'little')
        for entry in range(start + 2, start + 2 + 12 * int.from_bytes(data[start : start + 2], 'little'), 12):
            found += [(entry, '<H'), (entry + 2, '<H'), (entry + 4, '<I'), (entry + 8, '<I')]
        found += [(4, '<I'), (start, '<H')]
    else:
        found += [(6, '<H'), (8, '<H'), (10, 'B')]
        found += [(i + 1, '<H') for i in range(len(data) - 9) if data[i] == 0x2C]
    return [(at, form) for at, form in found if at + struct.calcsize(form) <= len(data)]


def flip_bits(data: bytearray, kind: str, rng: np.random.Generator) -> bytearray:
    """Up to 32 of them, anywhere or near the start."""
    reach = len(data) if rng.random() < 0.5 else min(len(data), 128)
    for _ in range(rng.integers(1, 33)):
        data[rng.integers(reach)] ^= 1 << rng.integers(8)
    return data


def cut(data: bytearray, kind: str, rng: np.random.Generator) -> bytearray:
    """Keep the start; half the time with the end that the format asks for."""
    end = data[-2:] if kind == 'JPEG' else data[-12:]
    return data[: rng.integers(len(data))] + (end if rng.random() < 0.5 else b'')


def splice(data: bytearray, kind: str, rng: np.random.Generator) -> bytearray:
    """Put a part of another file, or of this one, over, into or in place of a part."""
    other = whole_files()[rng.integers(len(whole_files()))][1] if rng.random() < 0.5 else bytes(data)
    first, last = sorted(rng.integers(0, len(other) + 1, 2))
    at, until = sorted(rng.integers(0, len(data) + 1, 2))
    data[at : until if rng.random() < 0.5 else at] = other[first : min(last, first + 4096)]
    return data


def set_fields(data: bytearray, kind: str, rng: np.random.Generator) -> bytearray:
    """Extreme or random values for up to three lengths, sizes and types."""
    places = fields(kind, bytes(data)) or [(0, 'B')]  # of a file that was cut before
    for _ in range(rng.integers(1, 4)):
        at, form = places[rng.integers(len(places))]
        size = struct.calcsize(form)
        value = _EXTREMES[rng.integers(len(_EXTREMES))] if rng.random() < 0.6 else int(rng.integers(2**32))
        struct.pack_into(form, data, at, value % 256**size)
    return data


def set_bytes(data: bytearray, kind: str, rng: np.random.Generator) -> bytearray:
    """A run of equal or random bytes somewhere."""
    at, length = int(rng.integers(len(data))), int(rng.integers(1, 65))
    run = rng.bytes(length) if rng.random() < 0.5 else bytes([int(rng.integers(256))]) * length
    data[at : at + length] = run
    return data


DAMAGES: tuple[Callable[[bytearray, str, np.random.Generator], bytearray], ...] = (
    flip_bits, cut, splice, set_fields, set_bytes,
)  # fmt: skip


def mend_checksums(data: bytearray) -> bytearray:
    """Right CRCs in a PNG file, so that damage gets past the first look."""
    start = 8
    while start + 12 <= len(data):
        end = start + 8 + int.from_bytes(data[start : start + 4], 'big')
        if end + 4 > len(data):
            break
        struct.pack_into('>I', data, end, zlib.crc32(data[start + 4 : end]))
        start = end + 4
    return data


def damaged(number: int, seed: int) -> tuple[str, bytes]:
    """Format and content of a damaged file; a function of its number and the seed."""
    rng = np.random.default_rng((seed, number))
    kind, content = whole_files()[rng.integers(len(whole_files()))]
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        data = DAMAGES[rng.integers(len(DAMAGES))](data, kind, rng) or bytearray(b'\0')
    if kind == 'PNG' and rng.random() < 0.7:
        data = mend_checksums(data)
    return kind, bytes(data)


def load(folder: Path, seed: int, number: int) -> tuple[str, str]:
    """Format of a damaged file, and what the loader makes of it."""
    kind, data = damaged(number, seed)
    path = folder / f'{number}.{kind.lower()}'
    path.write_bytes(data)
    try:
        image = LoadImage().transform(dict(img_path=str(path)))['img']
        fine = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size
        result = 'decoded' if fine else f'FAULT: an image {image.dtype} {image.shape}'
    except CorruptImageError as error:
        result = error.kind
    except Exception as error:
        result = f'FAULT: {type(error).__name__}: {error}'
    path.unlink()
    return kind, result


def fuzz(numbers: range, seed: int, workers: int, timeout: float, out: Path) -> tuple[Counter, int]:
    """Load damaged files; what takes too long gets ten times as long once more, for a machine may be busy.

    Returns:
        How often each (format, result) came, and how many of these must not.
    """
    found, bad, told = Counter(), 0, time.monotonic()
    whole_files()  # once, before the workers are forked
    with tempfile.TemporaryDirectory() as folder:
        work = partial(load, Path(folder), seed)
        for done, outcome in enumerate(each_isolated(work, numbers, workers, timeout), 1):
            number = numbers[outcome.index]
            if outcome.state == 'hang':
                (outcome,) = each_isolated(work, [number], 1, 10 * timeout)
            kind, result = outcome.result if outcome.state == 'done' else (damaged(number, seed)[0], '')
            result = result or f'{outcome.state.upper()} ({outcome.result})'
            found[kind, result] += 1
            found['any', 'slow'] += outcome.seconds > SLOW
            if result.startswith(('FAULT', 'CRASH', 'HANG')):
                bad += 1
                out.mkdir(parents=True, exist_ok=True)
                (out / f'{number}.{kind.lower()}').write_bytes(damaged(number, seed)[1])
                print(f'number {number}, {kind}: {result}', flush=True)
            if time.monotonic() - told > 30:
                told = time.monotonic()
                print(f'{done}/{len(numbers)}', file=sys.stderr, flush=True)
    return found, bad


def main() -> None:
    """Fuzz and show a table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--number', type=int, default=20000, help='of files')
    parser.add_argument('--first', type=int, default=0, help='number of the first one')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--workers', type=int, default=1)
    parser.add_argument('--timeout', type=float, default=30.0, help='seconds for a file')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/fuzz'), help='for files that must not be')
    args = parser.parse_args()
    start = time.monotonic()
    numbers = range(args.first, args.first + args.number)
    found, bad = fuzz(numbers, args.seed, args.workers, args.timeout, args.out)
    slow = found.pop(('any', 'slow'), 0)
    for (kind, result), count in sorted(found.items()):
        print(f'{kind:<5} {result:<12} {count:>7}')
    totals = Counter(result.split(' ')[0].rstrip(':') for _, result in found.elements())
    print(
        f'{args.number} files in {time.monotonic() - start:.0f} s: {totals["decoded"]} decoded, crashes '
        f'{totals["CRASH"]}, hangs {totals["HANG"]}, faults {totals["FAULT"]}, {slow} took over {SLOW:g} s'
    )
    raise SystemExit(bool(bad))


if __name__ == '__main__':
    main()
