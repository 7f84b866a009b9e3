"""Decode the content of any common image file, whatever it holds, within a limit of pixels."""

import io
import os
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin

MAX_PIXELS = 178_956_970
"""Height x width above which nothing is decoded, unless told otherwise: where Pillow raises an error."""

_BIT_DEPTHS = (8, 10, 12, 14, 16)
_JPEG_START, _JPEG_END = b'\xff\xd8', b'\xff\xd9'


class DecodingError(ValueError):
    """PIL or OpenCV cannot decode a file; its cause is what they raised."""


def decode_image(data: bytes, bit_depth: int | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode the content of an image file.

    Args:
        data: The content.
        bit_depth: See :class:`~clsa_mm.datasets.transforms.load_image.LoadImage`.
        max_pixels: Largest height x width, >= 1, for whichever decoder. Defaults to ``MAX_PIXELS``.

    Returns:
        uint8 BGR array of shape (H, W, 3), writable and contiguous.

    Raises:
        DecodingError: The content is no image, cut short, too large, or of a kind that neither PIL nor OpenCV
            converts.
    """
    with _decoders(max_pixels):
        if _is_plain_jpeg(data, max_pixels):
            return _decode_jpeg(data)
        try:
            image = Image.open(io.BytesIO(data))
        except Image.UnidentifiedImageError:
            if data[:4] in (b'II*\0', b'MM\0*'):
                _check_tiff_size(data, max_pixels)
                return _decode_wide_colour(data, bit_depth)  # floating point colour TIFF
            reason = f'no image in a format that PIL knows; it begins with {data[:12]!r}'
            raise Image.UnidentifiedImageError(reason) from None
        with image:
            whole_jpeg = image.format == 'JPEG' and image.mode in ('RGB', 'L') and data.endswith(_JPEG_END)
            array = _decode_jpeg(data) if whole_jpeg else _decode_any(image, data, bit_depth)
            return _orient(array, _orientation(image))


@contextmanager
def _decoders(max_pixels: int) -> Iterator[None]:
    """Hold PIL to the limit, keep it and the C libraries quiet, and give their errors one name.

    What they raise for a broken file is documented nowhere: besides OSError, ValueError and SyntaxError there
    are RuntimeError (AVIF), struct.error, zlib.error, TypeError and others. So any error is taken for the
    file's; a fault of ours would soon reach the limit of corrupt files, with its cause in the message.
    """
    limit = Image.MAX_IMAGE_PIXELS
    # PIL warns above its number and raises an error above twice that.
    Image.MAX_IMAGE_PIXELS = max_pixels / 2
    try:
        with warnings.catch_warnings(), _quiet():
            warnings.simplefilter('ignore')
            yield
    except Exception as error:
        raise DecodingError(f'{type(error).__name__}: {error}') from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep libjpeg, libpng and libtiff from writing a line to stderr for each fault, each epoch anew.

    Only in the main thread, where a worker decodes: two threads would restore each other's stderr.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    try:
        saved = os.dup(2)
    except OSError:  # there is no stderr
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _orientation(image: Image.Image) -> object:
    """The EXIF orientation; 1, upright, where the metadata is broken: the pixels are whole."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # of which kind is documented nowhere
        return 1


def _is_plain_jpeg(data: bytes, max_pixels: int) -> bool:
    """Whether PIL need not look at a file: a whole JPEG of 8 bits, grey or colour, of a safe size, no EXIF.

    This reads the few bytes that count, in a fraction of the time that PIL takes for all of the header.
    """
    if not (data.startswith(_JPEG_START) and data.endswith(_JPEG_END)):
        return False
    start = len(_JPEG_START)
    while start + 10 <= len(data) and data[start] == 0xFF:
        marker, length = struct.unpack_from('>xBH', data, start)
        if marker == 0xE1 and data.startswith(b'Exif', start + 4):
            return False
        if marker in (0xC0, 0xC1, 0xC2):  # the frame: baseline, extended or progressive
            depth, height, width, channels = struct.unpack_from('>BHHB', data, start + 4)
            return depth == 8 and channels in (1, 3) and height * width <= max_pixels
        start += 2 + length
    return False


def _check_tiff_size(data: bytes, max_pixels: int) -> None:
    """Hold a TIFF file that PIL does not open to the limit of pixels."""
    header = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
    file = io.BytesIO(data)
    file.seek(header.next)
    header.load(file)
    width, height = header.get(TiffImagePlugin.IMAGEWIDTH), header.get(TiffImagePlugin.IMAGELENGTH)
    if not width or not height:
        raise ValueError('a TIFF file without a width or height')
    if height * width > max_pixels:
        raise Image.DecompressionBombError(f'{width}x{height} pixels are more than max_pixels={max_pixels}')


def _decode_jpeg(data: bytes) -> np.ndarray:
    """Decode with OpenCV, 20 % faster than PIL and pixel by pixel the same.

    It fills up a truncated file with grey and says nothing, so the end of the file is checked before.
    """
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if array is None:
        raise ValueError('OpenCV cannot decode this JPEG')
    return array


def _decode_any(image: Image.Image, data: bytes, bit_depth: int | None) -> np.ndarray:
    declared = _declared_depth(image, data)
    wide_colour = _is_wide_colour(image, declared)
    image.load()  # raises if the file is truncated, which OpenCV would not
    if wide_colour:
        return _decode_wide_colour(data, bit_depth)
    if image.mode.startswith(('I', 'F')):
        # PIL has stretched a declared range of fewer than 16 bits to 16
        depth = 16 if declared is not None and declared < 16 else bit_depth
        return cv2.cvtColor(_to_uint8(np.asarray(image), depth), cv2.COLOR_GRAY2BGR)
    return cv2.cvtColor(np.asarray(_to_rgb(image)), cv2.COLOR_RGB2BGR)


def _declared_depth(image: Image.Image, data: bytes) -> float | None:
    """Bits per sample by the header, for the formats in which PIL scales the samples by it."""
    codec, _, _, args = image.tile[0] if image.tile else (None,) * 4
    if codec == 'ppm':  # a PGM or PPM names its largest value
        return np.log2(args[1] + 1)
    if codec == 'jpeg2k':  # precision of the first component in the SIZ segment
        start = data.find(b'\xff\x4f\xff\x51')
        return (data[start + 42] & 0x7F) + 1 if 0 <= start < len(data) - 42 else None
    return None


def _is_wide_colour(image: Image.Image, declared: float | None) -> bool:
    """Whether PIL would keep only the high bytes of 16-bit colour, so that 10-bit data go black."""
    if image.mode not in ('RGB', 'RGBA'):
        return False
    args = image.tile[0][3] if image.tile else None
    raw_mode = args[0] if isinstance(args, tuple) else args
    return declared == 16 or (isinstance(raw_mode, str) and ';16' in raw_mode)


def _decode_wide_colour(data: bytes, bit_depth: int | None) -> np.ndarray:
    """Decode 16-bit or floating point colour with OpenCV, transparent pixels on white."""
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or array.ndim != 3 or array.shape[2] not in (3, 4):
        raise ValueError('neither PIL nor OpenCV decodes this kind of file; convert it to PNG')
    if array.shape[2] == 3:
        return _to_uint8(array, bit_depth)
    # The alpha channel is not data: its full scale is that of the container.
    full = np.iinfo(array.dtype).max if array.dtype.kind == 'u' else 1.0
    alpha = array[..., 3:].astype(np.float32) / full
    colour = _to_uint8(array[..., :3], bit_depth)
    return np.rint(colour * alpha + 255 * (1 - alpha)).astype(np.uint8)


def _to_uint8(array: np.ndarray, bit_depth: int | None) -> np.ndarray:
    """Scale samples of more than 8 bits, or floating point ones, to 0..255."""
    if array.dtype.kind == 'f':
        array = np.nan_to_num(array)
    peak = array.max()
    if array.dtype.kind == 'f' and peak <= 2:
        peak = 1
    elif bit_depth is not None:
        peak = 2**bit_depth - 1
    else:
        peak = next((2**bits - 1 for bits in _BIT_DEPTHS if peak < 2**bits), peak)
    return np.rint(np.clip(array * (255.0 / peak), 0, 255)).astype(np.uint8)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert('RGBA')
        return Image.alpha_composite(Image.new('RGBA', image.size, 'white'), image).convert('RGB')
    return image if image.mode == 'RGB' else image.convert('RGB')


def _orient(array: np.ndarray, orientation: object) -> np.ndarray:
    """Undo the EXIF orientation 1..8 (1: upright; any other number is ignored)."""
    if orientation not in range(2, 9):
        return array
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)
