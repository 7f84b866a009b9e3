"""A folder with one file of every kind that a run may meet: odd ones that load, and bad ones."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (40, 48, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """An image as the content of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def huge_png(width: int, height: int) -> bytes:
    """A PNG file of some bytes that claims a size."""
    header = b'IHDR' + struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    body = b'IDAT' + zlib.compress(bytes(100))
    chunks = b''.join(
        struct.pack('>I', len(c) - 4) + c + struct.pack('>I', zlib.crc32(c)) for c in (header, body, b'IEND')
    )
    return b'\x89PNG\r\n\x1a\n' + chunks


def odd_images() -> dict[str, tuple[bytes, tuple[int, int]]]:
    """Name -> content and (height, width) of files that have to load."""
    image, size = Image.fromarray(RGB), RGB.shape[:2]
    frames = [image.rotate(angle) for angle in (90, 180)]
    movie = dict(save_all=True, append_images=frames)
    exif = b'Exif\0\0' + b'II*\0\x08\0\0\0\xff\xff' + b'\x12\x01\x03\0\xff\xff\xff\xff\xf0\xf0\xf0\xf0' * 3
    return {
        'a png.jpg': (encoded(image, 'PNG'), size),
        'palette.png': (encoded(image.quantize(16), 'PNG'), size),
        'sixteen.png': (encoded(Image.fromarray(RGB[..., 0].astype(np.uint16) * 257), 'PNG'), size),
        'cmyk.jpg': (encoded(image.convert('CMYK'), 'JPEG'), size),
        'progressive.jpg': (encoded(image, 'JPEG', progressive=True), size),
        'animated.gif': (encoded(image, 'GIF', **movie), size),
        'animated.webp': (encoded(image, 'WEBP', **movie), size),
        'pixel.png': (encoded(Image.new('RGB', (1, 1)), 'PNG'), (1, 1)),
        'long.png': (encoded(Image.new('RGB', (1000, 1)), 'PNG'), (1, 1000)),
        'high.jpg': (encoded(Image.new('RGB', (1, 1000)), 'JPEG'), (1000, 1)),
        'broken EXIF.jpg': (encoded(image, 'JPEG', exif=exif), size),
        os.fsdecode(b'\xe9t\xe9.jpg'): (encoded(image, 'JPEG'), size),
    }


def bad_images() -> dict[str, tuple[bytes, str]]:
    """Name -> content and kind of files that cannot be used."""
    image = Image.fromarray(RGB)
    jpeg, gif, tiff = (encoded(image, kind) for kind in ('JPEG', 'GIF', 'TIFF'))
    frame = jpeg.index(b'\xff\xc0') + 5
    width = tiff.index(struct.pack('<HHII', 256, 4, 1, 48)) + 8
    return {
        'cut.jpg': (jpeg[: len(jpeg) // 2], 'damaged'),
        'cut.png': (encoded(image, 'PNG')[:-2000], 'damaged'),
        'cut.webp': (encoded(image, 'WEBP')[:200], 'damaged'),
        'empty.jpg': (b'', 'empty'),
        'text.jpg': (b'<html>404 not found</html>', 'no image'),
        os.fsdecode(b'\xff\xfe\n\x1b[31m.jpg'): (b'GIF', 'no image'),
        'longer.png': (encoded(Image.new('RGB', (20000, 1)), 'PNG'), 'too large'),
        'bomb.png': (huge_png(60_000, 60_000), 'too large'),
        'bomb.gif': (gif[:6] + b'\xff\xff\xff\xff' + gif[10:], 'too large'),
        'bomb.jpg': (jpeg[:frame] + struct.pack('>HH', 65000, 65000) + jpeg[frame + 4 :], 'too large'),
        'bomb.tif': (tiff[:width] + struct.pack('<I', 2**30) + tiff[width + 4 :], 'too large'),
    }


def write_files(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Write all of them, and what is no file at all.

    Returns:
        Names of the files that load, and name -> kind of the others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, (content, _) in (odd_images() | bad_images()).items():
        (folder / name).write_bytes(content)
    kinds = {name: kind for name, (_, kind) in bad_images().items()}
    for name, target in {'dangling.jpg': 'nothing', 'circular.jpg': 'circular.jpg'}.items():
        (folder / name).symlink_to(folder / target)
        kinds[name] = 'missing'
    os.mkfifo(folder / 'pipe.jpg')
    kinds['pipe.jpg'] = 'no file'
    # A regular file, as the system says, that root itself cannot read.
    (folder / 'refused.jpg').symlink_to('/proc/self/mem')
    kinds['refused.jpg'] = 'unreadable'
    (folder / 'folder.jpg').mkdir()
    Image.fromarray(RGB).save(folder / 'folder.jpg/within.png')
    return [*odd_images(), 'folder.jpg/within.png'], kinds
