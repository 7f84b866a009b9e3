"""Load any common image file as what the transforms expect: uint8, BGR."""

from mmcv.transforms import BaseTransform
from mmengine import fileio
from mmengine.registry import TRANSFORMS

from clsa_mm.datasets.corrupt_files import CorruptImageError, check_regular, kind_of
from clsa_mm.datasets.transforms.decode_image import MAX_PIXELS, DecodingError, decode_image
from clsa_mm.given_numbers import check_numbers
from clsa_mm.printable import printable

_LARGEST_LIMIT = 2**30  # OpenCV's own, CV_IO_MAX_IMAGE_PIXELS
_LARGEST_RATIO = 1000
_BYTES_PER_PIXEL = 16  # four floating point samples, the most that any format here stores


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Load ``results['img_path']`` as a uint8 BGR array of shape (H, W, 3).

    - Grey, 1-bit, palette, YCbCr and CMYK files (Adobe's inverted JPEGs too) become colour ones.
    - Transparent pixels are composited on white.
    - EXIF orientation is applied; broken EXIF counts as none.
    - Samples of more than 8 bits (PNG, TIFF, JPEG 2000, PGM) are scaled to 0..255 with rounding.
      Files seldom tell how many of the 16 bits of a sample are used (10-bit data is stored as
      0..1023), so the depth is the smallest of 8, 10, 12, 14, 16 that holds the largest sample of
      the image. A dark image may be taken for one of fewer bits: give ``bit_depth`` where all
      files have the same one.
    - Floating point files: 0..1 if no sample is above 2 (resampling overshoots 1 a little), else
      as above; NaN is 0.
    - Of animations and stacks the first frame.

    What is no regular file is not opened, as a pipe would keep the reader waiting. An image longer than 1000
    to 1 counts as too large: to scale its shorter edge to 256, as test pipelines do, takes more than 65
    million pixels.

    Required key: ``img_path`` (any path mmengine's file back ends read). Added keys: ``img``,
    ``img_shape`` and ``ori_shape``, both (H, W).

    Args:
        bit_depth: Bits used by samples wider than 8 bits, 8 to 16. Defaults to
            None: from the largest sample.
        max_pixels: Height x width that no decoder goes beyond, 1 to 2**30; the file may have 16 times as
            many bytes. Defaults to ``MAX_PIXELS``, 178 956 970: Pillow's own limit, 0.5 GB when decoded.
        backend_args: Passed to ``mmengine.fileio.get``. Defaults to None.

    Raises:
        ValueError: A number is out of its range.
    """

    def __init__(
        self,
        bit_depth: int | None = None,
        max_pixels: int = MAX_PIXELS,
        backend_args: dict | None = None,
    ) -> None:
        check_numbers('LoadImage', whole=True, bit_depth=bit_depth, max_pixels=max_pixels)
        if bit_depth is not None and not 8 <= bit_depth <= 16:
            raise ValueError(f'bit_depth={bit_depth} must lie in 8..16, or be None to infer it.')
        if not 1 <= max_pixels <= _LARGEST_LIMIT:
            raise ValueError(f'max_pixels={max_pixels} must lie in 1..{_LARGEST_LIMIT}.')
        self.bit_depth = bit_depth
        self.max_pixels = max_pixels
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
            image = decode_image(self._read(path), self.bit_depth, self.max_pixels)
        except (OSError, CorruptImageError, DecodingError) as error:
            cause = error.__cause__ if isinstance(error, DecodingError) else error
            name = '' if isinstance(error, CorruptImageError) else f'{type(cause).__name__}: '
            reason = f'{printable(path)}: {name}{printable(cause)}'
            raise CorruptImageError(reason, kind_of(cause)) from cause
        height, width = image.shape[:2]
        if max(height, width) > _LARGEST_RATIO * min(height, width):
            reason = f'{printable(path)}: {width}x{height} pixels are longer than {_LARGEST_RATIO} to 1'
            raise CorruptImageError(reason, 'too large')
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def _read(self, path: str) -> bytes:
        if not self.backend_args and '://' not in str(path):
            check_regular(path, _BYTES_PER_PIXEL * self.max_pixels)
        data = fileio.get(path, backend_args=self.backend_args)
        if not data:
            raise CorruptImageError('the file is empty', 'empty')
        return data

    def __repr__(self) -> str:
        """Name the arguments."""
        return f'{type(self).__name__}(bit_depth={self.bit_depth}, max_pixels={self.max_pixels})'
