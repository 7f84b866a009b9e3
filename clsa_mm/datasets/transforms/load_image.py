"""Decode any common image file to what the transforms expect: uint8, BGR."""

import io
import struct

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio
from mmengine.registry import TRANSFORMS
from PIL import ExifTags, Image, TiffImagePlugin

# What PIL and the file back ends raise for unreadable or broken files (UnidentifiedImageError is
# an OSError). Anything else is a bug and goes through.
_DECODING_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
    cv2.error,
)
_BIT_DEPTHS = (8, 10, 12, 14, 16)
_JPEG_START, _JPEG_END = b'\xff\xd8', b'\xff\xd9'


class CorruptImageError(ValueError):
    """A file that cannot be read or decoded; the message names it and the reason."""


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Load ``results['img_path']`` as a uint8 BGR array of shape (H, W, 3).

    - Grey, 1-bit, palette, YCbCr and CMYK files (Adobe's inverted JPEGs too) become colour ones.
    - Transparent pixels are composited on white.
    - EXIF orientation is applied.
    - Samples of more than 8 bits (PNG, TIFF, JPEG 2000, PGM) are scaled to 0..255 with rounding.
      Files seldom tell how many of the 16 bits of a sample are used (10-bit data is stored as
      0..1023), so the depth is the smallest of 8, 10, 12, 14, 16 that holds the largest sample of
      the image. A dark image may be taken for one of fewer bits: give ``bit_depth`` where all
      files have the same one.
    - Floating point files: 0..1 if no sample is above 2 (resampling overshoots 1 a little), else
      as above; NaN is 0.
    - Of animations and stacks the first frame.

    Required key: ``img_path`` (any path mmengine's file back ends read). Added keys: ``img``,
    ``img_shape`` and ``ori_shape``, both (H, W).

    Args:
        bit_depth: Bits used by samples wider than 8 bits, 8 to 16. Defaults to
            None: from the largest sample.
        backend_args: Passed to ``mmengine.fileio.get``. Defaults to None.
    """

    def __init__(self, bit_depth: int | None = None, backend_args: dict | None = None) -> None:
        if bit_depth is not None and not 8 <= bit_depth <= 16:
            raise ValueError(f'bit_depth={bit_depth} must lie in 8..16, or be None to infer it.')
        self.bit_depth = bit_depth
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Load the image.

        Args:
            results: Holds ``img_path``.

        Returns:
            dict: The same dict with ``img``, ``img_shape`` and ``ori_shape``.

        Raises:
            CorruptImageError: The file cannot be read or decoded.
        """
        path = results['img_path']
        try:
            data = fileio.get(path, backend_args=self.backend_args)
            image = decode_image(data, self.bit_depth)
        except _DECODING_ERRORS as error:
            raise CorruptImageError(f'{path}: {type(error).__name__}: {error}') from error
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def __repr__(self) -> str:
        """Name the arguments."""
        return f'{type(self).__name__}(bit_depth={self.bit_depth})'


def decode_image(data: bytes, bit_depth: int | None = None) -> np.ndarray:
    """Decode the content of an image file.

    Args:
        data: The content.
        bit_depth: See :class:`LoadImage`.

    Returns:
        uint8 BGR array of shape (H, W, 3), writable and contiguous.

    Raises:
        OSError: The content is no image, or cut short.
        ValueError: PIL and OpenCV cannot convert this kind of image.
    """
    if _is_plain_jpeg(data):
        return _decode_jpeg(data)
    try:
        image = Image.open(io.BytesIO(data))
    except Image.UnidentifiedImageError:
        if data[:4] in (b'II*\0', b'MM\0*'):
            _check_tiff_size(data)
            return _decode_wide_colour(data, bit_depth)  # floating point colour TIFF
        reason = f'no image in a format that PIL knows; it begins with {data[:12]!r}'
        raise Image.UnidentifiedImageError(reason) from None
    with image:
        whole_jpeg = image.format == 'JPEG' and image.mode in ('RGB', 'L') and data.endswith(_JPEG_END)
        array = _decode_jpeg(data) if whole_jpeg else _decode_any(image, data, bit_depth)
        return _orient(array, image.getexif().get(ExifTags.Base.Orientation, 1))


def _is_plain_jpeg(data: bytes) -> bool:
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
            return depth == 8 and channels in (1, 3) and _is_safe_size(height, width)
        start += 2 + length
    return False


def _is_safe_size(height: int, width: int) -> bool:
    """Whether PIL opens an image of this size without a warning of a decompression bomb."""
    return Image.MAX_IMAGE_PIXELS is None or height * width <= Image.MAX_IMAGE_PIXELS


def _check_tiff_size(data: bytes) -> None:
    """Hold a TIFF file that PIL does not open to PIL's limit of pixels."""
    header = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
    file = io.BytesIO(data)
    file.seek(header.next)
    header.load(file)
    width, height = header.get(TiffImagePlugin.IMAGEWIDTH), header.get(TiffImagePlugin.IMAGELENGTH)
    if not width or not height:
        raise ValueError('a TIFF file without a width or height')
    if Image.MAX_IMAGE_PIXELS is not None and height * width > 2 * Image.MAX_IMAGE_PIXELS:  # PIL's rule
        raise Image.DecompressionBombError(
            f'{width}x{height} pixels are more than twice PIL.Image.MAX_IMAGE_PIXELS={Image.MAX_IMAGE_PIXELS}'
        )


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


def _orient(array: np.ndarray, orientation: int) -> np.ndarray:
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
