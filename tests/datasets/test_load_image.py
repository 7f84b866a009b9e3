"""LoadImage against files of known pixels."""

import io
import pickle
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.fileio import LocalBackend, register_backend
from mmengine.registry import TRANSFORMS
from PIL import Image, ImageOps

from clsa_mm.datasets.transforms import CorruptImageError, LoadImage

RNG = np.random.default_rng(0)
# not square; large enough for JPEG 2000's resolutions
RGB = RNG.integers(0, 256, (3, 4, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
GREY = RGB[..., 0]
ALPHA = RNG.integers(0, 256, (3, 4), dtype=np.uint8).repeat(16, 0).repeat(16, 1)


def load(path: Path | str, **kwargs) -> np.ndarray:
    results = LoadImage(**kwargs).transform({'img_path': str(path)})
    image = results['img']
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    assert image.flags.writeable and image.flags.c_contiguous
    assert results['img_shape'] == results['ori_shape'] == image.shape[:2]
    return image[..., ::-1].astype(int)  # BGR to RGB


def grey3(array: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(array)[..., None], 3, axis=2)


def on_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    weight = alpha[..., None] / 255
    return rgb * weight + 255 * (1 - weight)


def save_cv2(path: Path, array: np.ndarray, flags: Sequence[int] = ()) -> Path:
    """Write with OpenCV; colour in RGB(A) order like everywhere here."""
    order = {2: np.s_[:], 3: np.s_[..., [2, 1, 0, 3][: array.shape[-1]]]}[array.ndim]
    ok, data = cv2.imencode(path.suffix, np.ascontiguousarray(array[order]), list(flags))
    assert ok
    path.write_bytes(data.tobytes())
    return path


def test_registered_in_the_root_registry() -> None:
    assert TRANSFORMS.get('LoadImage') is LoadImage


@pytest.mark.parametrize('name', ['a.png', 'a.bmp', 'a.tif', 'a.ppm', 'a.webp', 'a.jp2', 'A.PNG'])
def test_lossless_colour(tmp_path: Path, name: str) -> None:
    Image.fromarray(RGB).save(tmp_path / name, lossless=True)
    np.testing.assert_array_equal(load(tmp_path / name), RGB)


@pytest.mark.parametrize('name', ['a.jpg', 'a.webp', 'a.avif'])
def test_lossy_colour(tmp_path: Path, name: str) -> None:
    y, x = np.mgrid[:64, :96]  # smooth, as chroma is stored at half the resolution
    array = np.dstack([2 * x + 20, 200 - 3 * y, x + y + 60]).astype(np.uint8)
    Image.fromarray(array).save(tmp_path / name, quality=100)
    assert np.abs(load(tmp_path / name) - array).max() <= 6


@pytest.mark.parametrize('mode', ['RGB', 'L'])
@pytest.mark.parametrize('tail', [b'', b'trailing bytes'])
def test_jpeg_equals_pil(tmp_path: Path, mode: str, tail: bytes) -> None:
    # without a tail OpenCV decodes, with one PIL does
    path = tmp_path / 'a.jpg'
    Image.fromarray(RGB).convert(mode).save(path, quality=70)
    path.write_bytes(path.read_bytes() + tail)
    np.testing.assert_array_equal(load(path), np.asarray(Image.open(path).convert('RGB')))


@pytest.mark.parametrize('name', ['a.png', 'a.bmp', 'a.pgm', 'a.tif'])
def test_grey(tmp_path: Path, name: str) -> None:
    Image.fromarray(GREY).save(tmp_path / name)
    np.testing.assert_array_equal(load(tmp_path / name), grey3(GREY))


def test_one_bit(tmp_path: Path) -> None:
    Image.fromarray(GREY > 127).save(tmp_path / 'a.png')
    assert Image.open(tmp_path / 'a.png').mode == '1'
    np.testing.assert_array_equal(load(tmp_path / 'a.png'), grey3((GREY > 127) * 255))


def test_palette(tmp_path: Path) -> None:
    picture = Image.fromarray(RGB).quantize(256)
    picture.save(tmp_path / 'a.gif')
    picture.save(tmp_path / 'a.png')
    for name in ('a.gif', 'a.png'):  # 12 colours fit in the palette
        np.testing.assert_array_equal(load(tmp_path / name), RGB)


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.fromarray(a).quantize(256) for a in (RGB, 255 - RGB)]
    frames[0].save(tmp_path / 'a.gif', save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(load(tmp_path / 'a.gif'), RGB)


@pytest.mark.parametrize('mode', ['RGBA', 'LA'])
def test_alpha_is_composited_on_white(tmp_path: Path, mode: str) -> None:
    colour = RGB if mode == 'RGBA' else grey3(GREY)
    Image.fromarray(np.dstack([colour, ALPHA]), 'RGBA').convert(mode).save(tmp_path / 'a.png')
    assert Image.open(tmp_path / 'a.png').mode == mode
    assert np.abs(load(tmp_path / 'a.png') - on_white(colour, ALPHA)).max() <= 1


def test_transparent_palette_colour_becomes_white(tmp_path: Path) -> None:
    index = (GREY > GREY.mean()).astype(np.uint8)
    picture = Image.fromarray(index, 'P')
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.save(tmp_path / 'a.png', transparency=0)
    expected = np.where(index[..., None] == 0, 255, [200, 100, 50])
    np.testing.assert_array_equal(load(tmp_path / 'a.png'), expected)


def test_transparent_colour_of_rgb_becomes_white(tmp_path: Path) -> None:
    key = tuple(int(v) for v in RGB[0, 0])
    Image.fromarray(RGB).save(tmp_path / 'a.png', transparency=key)
    expected = np.where((RGB == key).all(-1, keepdims=True), 255, RGB)
    np.testing.assert_array_equal(load(tmp_path / 'a.png'), expected)


def test_cmyk(tmp_path: Path) -> None:
    # pure inks: what they look like needs no colour management
    inks = np.zeros((32, 32, 4), np.uint8)
    inks[:16, :16, 0] = inks[:16, 16:, 1] = inks[16:, :16, 2] = inks[16:, 16:, 3] = 255
    expected = np.zeros((32, 32, 3), int)
    expected[:16, :16] = 0, 255, 255
    expected[:16, 16:] = 255, 0, 255
    expected[16:, :16] = 255, 255, 0
    Image.fromarray(inks, 'CMYK').save(tmp_path / 'a.tif')
    np.testing.assert_array_equal(load(tmp_path / 'a.tif'), expected)
    Image.fromarray(inks, 'CMYK').save(tmp_path / 'a.jpg', quality=100)  # PIL inverts like Adobe
    assert b'Adobe' in (tmp_path / 'a.jpg').read_bytes()[:200]
    assert np.abs(load(tmp_path / 'a.jpg') - expected).max() <= 4


def test_ycbcr(tmp_path: Path) -> None:
    Image.fromarray(RGB).convert('YCbCr').save(tmp_path / 'a.tif', compression='tiff_lzw')
    assert Image.open(tmp_path / 'a.tif').tag_v2[262] == 6  # photometric interpretation
    assert np.abs(load(tmp_path / 'a.tif') - RGB).max() <= 2


@pytest.mark.parametrize('bits', [10, 12, 14, 16])
@pytest.mark.parametrize('name', ['a.png', 'a.tif', 'a.jp2', 'a.ppm', 'grey.png', 'grey.tif'])
def test_more_than_eight_bits(tmp_path: Path, name: str, bits: int) -> None:
    top = 2**bits - 1
    array = (RGB.astype(np.uint16) * (top // 255)).astype(np.uint16)
    array[0, 0] = top
    if name.startswith('grey'):
        array = array[..., 0]
    path = save_cv2(tmp_path / name, array)
    colour = array if array.ndim == 3 else grey3(array)
    np.testing.assert_array_equal(load(path), np.rint(colour / top * 255))


def test_sixteen_bit_alpha(tmp_path: Path) -> None:
    array = np.dstack([RGB, ALPHA]).astype(np.uint16) * 257
    path = save_cv2(tmp_path / 'a.png', array)
    assert np.abs(load(path) - on_white(RGB, ALPHA)).max() <= 1


def test_sixteen_bit_samples_that_fit_in_eight(tmp_path: Path) -> None:
    path = save_cv2(tmp_path / 'a.png', RGB.astype(np.uint16))
    np.testing.assert_array_equal(load(path), RGB)


def test_bit_depth_overrides_inference(tmp_path: Path) -> None:
    dark = RGB.astype(np.uint16)  # 0..255 of 0..4095
    path = save_cv2(tmp_path / 'a.png', dark)
    np.testing.assert_array_equal(load(path, bit_depth=12), np.rint(dark / 4095 * 255))
    with pytest.raises(ValueError, match='bit_depth=17 must lie in 8..16'):
        LoadImage(bit_depth=17)


def test_ten_bit_avif(tmp_path: Path) -> None:
    array = (RGB.astype(np.uint16) * 4).astype(np.uint16)
    path = save_cv2(tmp_path / 'a.avif', array, (cv2.IMWRITE_AVIF_DEPTH, 10, cv2.IMWRITE_AVIF_QUALITY, 100))
    assert np.abs(load(path) - array / 1023 * 255).max() <= 2


@pytest.mark.parametrize('maxval', [1023, 4095])
def test_range_declared_by_a_netpbm_file(tmp_path: Path, maxval: int) -> None:
    values = np.arange(100, dtype='>u2').reshape(10, 10)  # dark: the header counts, not the peak
    for kind, array in ((b'P5', values), (b'P6', np.ascontiguousarray(grey3(values)))):
        path = tmp_path / f'{kind.decode()}.ppm'
        path.write_bytes(kind + b' 10 10 %d\n' % maxval + array.astype('>u2').tobytes())
        assert np.abs(load(path) - grey3(values) / maxval * 255).max() <= 0.5 + 1e-9


@pytest.mark.parametrize('scale', [1 / 255, 1.0, 16.0])
def test_float_tiff(tmp_path: Path, scale: float) -> None:
    array = GREY.astype(np.float32)
    array[0, 0], array[0, 1] = 255, 0
    array *= scale
    array[0, 1] = np.nan
    Image.fromarray(array).save(tmp_path / 'a.tif')
    full = {1 / 255: 1, 1.0: 255, 16.0: 4095}[scale]
    expected = np.clip(np.rint(np.nan_to_num(array) * 255 / full), 0, 255)
    np.testing.assert_array_equal(load(tmp_path / 'a.tif'), grey3(expected))


def test_float_colour_tiff(tmp_path: Path) -> None:
    path = save_cv2(tmp_path / 'a.tif', RGB.astype(np.float32) / 255, (cv2.IMWRITE_TIFF_COMPRESSION, 1))
    assert np.abs(load(path) - RGB).max() <= 1


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('name', ['a.jpg', 'a.png', 'a.tif', 'a.webp', 'wide.png'])
def test_exif_orientation(tmp_path: Path, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / name
    if name == 'wide.png':  # OpenCV decodes 16-bit colour and takes no notice of EXIF
        data = save_cv2(path, RGB.astype(np.uint16) * 257).read_bytes()
        buffer = io.BytesIO()
        Image.fromarray(RGB).save(buffer, 'PNG', exif=exif)
        chunk = buffer.getvalue()
        start = chunk.index(b'eXIf') - 4
        end = start + 12 + int.from_bytes(chunk[start : start + 4], 'big')
        path.write_bytes(data[:33] + chunk[start:end] + data[33:])
        expected = Image.fromarray(RGB)
    else:
        Image.fromarray(RGB).save(path, exif=exif, lossless=True)
        expected = Image.open(path)
        expected.load()
    if not (name.endswith('tif')):  # PIL turns TIFF files itself
        expected.getexif()[0x0112] = orientation
        expected = ImageOps.exif_transpose(expected)
    assert expected.size == ((64, 48) if orientation < 5 else (48, 64))
    np.testing.assert_array_equal(load(path), np.asarray(expected.convert('RGB')))


def test_orientation_by_hand(tmp_path: Path) -> None:
    # 6: the camera was turned, the viewer has to turn the picture by 90 degrees clockwise
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / 'a.png', exif=exif)
    np.testing.assert_array_equal(load(tmp_path / 'a.png'), np.rot90(RGB, -1))


def _jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(buffer, 'JPEG')
    return buffer.getvalue()


def _wide_png() -> bytes:
    return cv2.imencode('.png', RNG.integers(0, 65536, (64, 64, 3), dtype=np.uint16))[1].tobytes()


@pytest.mark.parametrize(
    ('name', 'data'),
    [
        ('empty.jpg', b''),
        ('text.jpg', b'<html>404 not found</html>'),
        ('half.jpg', _jpeg()[: len(_jpeg()) // 2]),
        ('cut.jpg', _jpeg()[:-400]),
        ('half.png', _wide_png()[: len(_wide_png()) // 2]),
        ('tiff.tif', b'II*\0' + b'\0' * 50),
    ],
)
def test_corrupt_files(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(CorruptImageError, match=name):
        load(path)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(CorruptImageError, match='missing.jpg: FileNotFoundError'):
        load(tmp_path / 'missing.jpg')
    (tmp_path / 'folder.jpg').mkdir()
    with pytest.raises(CorruptImageError, match='folder.jpg: a folder, pipe'):
        load(tmp_path / 'folder.jpg')


def test_decompression_bomb(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / 'a.png')
    with pytest.raises(CorruptImageError, match='DecompressionBombError'):
        load(tmp_path / 'a.png', max_pixels=100)
    load(tmp_path / 'a.png', max_pixels=RGB.shape[0] * RGB.shape[1])
    with pytest.raises(ValueError, match='max_pixels=0 must lie in 1..1073741824'):
        LoadImage(max_pixels=0)


@pytest.mark.parametrize('kind', ['jpeg', 'jpeg with EXIF', 'floating point TIFF'])
def test_decompression_bomb_of_a_kind_that_opencv_decodes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / 'a.jpg'
    if kind.startswith('jpeg'):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(RGB).save(path, **(dict(exif=exif) if 'EXIF' in kind else {}))
    else:
        path = save_cv2(tmp_path / 'a.tif', RGB.astype(np.float32), (cv2.IMWRITE_TIFF_COMPRESSION, 1))
    height, width = RGB.shape[:2]
    with pytest.raises(CorruptImageError, match='DecompressionBombError') as caught:
        load(path, max_pixels=height * width - 1)
    assert caught.value.kind == 'too large'
    load(path, max_pixels=height * width)


@pytest.mark.parametrize('options', [dict(progressive=True), dict(comment=b'x' * 60000), dict(dpi=(72, 72))])
def test_kinds_of_jpeg_equal_pil(tmp_path: Path, options: dict) -> None:
    Image.fromarray(RGB).save(tmp_path / 'a.jpg', quality=70, **options)
    np.testing.assert_array_equal(load(tmp_path / 'a.jpg'), np.asarray(Image.open(tmp_path / 'a.jpg')))


def test_whatever_a_decoder_raises_is_the_file_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(RGB).save(tmp_path / 'a.png')

    def broken(*_) -> None:
        raise TypeError('of a plugin')

    monkeypatch.setattr(Image, 'open', broken)
    with pytest.raises(CorruptImageError, match='a.png: TypeError: of a plugin'):
        load(tmp_path / 'a.png')


def test_error_survives_the_way_from_a_worker() -> None:
    error = pickle.loads(pickle.dumps(CorruptImageError('a.jpg: why', 'empty')))
    assert type(error) is CorruptImageError and str(error) == 'a.jpg: why' and error.kind == 'empty'


def test_reads_through_file_back_ends(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / 'a.png')

    @register_backend('test-load-image', prefixes='clsa-test', force=True)
    class Backend(LocalBackend):
        def get(self, filepath: str) -> bytes:
            return super().get(filepath.removeprefix('clsa-test://'))

    np.testing.assert_array_equal(load(f'clsa-test://{tmp_path}/a.png'), RGB)
    by_name = load(tmp_path / 'a.png', backend_args={'backend': 'test-load-image'})
    np.testing.assert_array_equal(by_name, RGB)


def test_broken_avif_is_a_corrupt_image(tmp_path: Path) -> None:
    """PIL's plugin tells of some damages by RuntimeError; four bytes are overwritten at each place."""
    path = tmp_path / 'a.avif'
    Image.fromarray(RGB).save(path)
    data = path.read_bytes()
    seen = set()
    for start in range(0, 400, 3):
        path.write_bytes(data[:start] + b'\xff' * 4 + data[start + 4 :])
        try:
            load(path)
        except CorruptImageError as error:
            seen.add(type(error.__cause__))
    assert RuntimeError in seen
