"""What we write, other libraries read; what other libraries write, we read; lossless formats return every value."""

import io
import itertools
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from restorekit.core.image.files import IMAGE_SUFFIXES, decode_image, encode_image, read_image, write_image
from restorekit.core.image.formats.png_chunks import PNG_SIGNATURE, chunk
from restorekit.core.image.metadata import FileRecord

RNG = np.random.default_rng(0)


def picture(dtype: str, channels: int, size: tuple[int, int] = (13, 21)) -> np.ndarray:
    if dtype == "float32":
        return RNG.random((*size, channels), np.float32)
    return RNG.integers(0, np.iinfo(dtype).max + 1, (*size, channels)).astype(dtype)


def by_opencv(data: bytes) -> np.ndarray:
    """(height, width, channels) in RGB order, as OpenCV decodes it."""
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    stored = stored[..., None] if stored.ndim == 2 else stored
    return np.concatenate([stored[..., 2::-1], stored[..., 3:]], axis=2) if stored.shape[2] > 1 else stored


@st.composite
def lossless_cases(draw: st.DrawFn) -> tuple[str, np.ndarray, np.ndarray | None]:
    suffix = draw(st.sampled_from([".png", ".tif", ".webp"]))
    depths = {".png": ["uint8", "uint16"], ".tif": ["uint8", "uint16", "float32"], ".webp": ["uint8"]}
    dtype = draw(st.sampled_from(depths[suffix]))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    elements = st.floats(-2, 2, width=32) if dtype == "float32" else None
    channels = 3 if suffix == ".webp" else draw(st.sampled_from([1, 3]))
    samples = draw(hnp.arrays(dtype, (height, width, channels), elements=elements))
    alpha = draw(st.none() | hnp.arrays(dtype, (height, width), elements=elements))
    return suffix, samples, alpha


@given(lossless_cases())
@settings(max_examples=150, deadline=None)
def test_lossless_formats_return_what_was_written(case: tuple[str, np.ndarray, np.ndarray | None]) -> None:
    suffix, samples, alpha = case
    data, warnings = encode_image(samples, suffix, alpha=alpha)
    image = decode_image(data, "case")
    assert image.samples.dtype == samples.dtype
    np.testing.assert_array_equal(image.samples, samples)
    if alpha is None:
        assert image.alpha is None
    else:  # libwebp leaves out an alpha channel that is opaque everywhere
        np.testing.assert_array_equal(np.full_like(alpha, 255) if image.alpha is None else image.alpha, alpha)
    assert warnings == ()
    assert image.samples.flags.c_contiguous


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_png_output_is_read_by_opencv(dtype: str, channels: int, alpha: bool) -> None:
    samples, opacity = picture(dtype, channels), picture(dtype, 1)[..., 0] if alpha else None
    data, _ = encode_image(samples, ".png", alpha=opacity)
    read = by_opencv(data)
    assert read.dtype == samples.dtype
    np.testing.assert_array_equal(read[..., :channels], samples)
    if opacity is not None:
        np.testing.assert_array_equal(read[..., -1], opacity)
    assert data[24] == samples.itemsize * 8
    assert data[25] == {(1, False): 0, (3, False): 2, (1, True): 4, (3, True): 6}[channels, alpha]


@pytest.mark.parametrize("record", [FileRecord(), FileRecord(compression="none")], ids=["deflate", "none"])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_tiff_output_is_read_by_tifffile(dtype: str, channels: int, alpha: bool, record: FileRecord) -> None:
    samples, opacity = picture(dtype, channels), picture(dtype, 1)[..., 0] if alpha else None
    data, _ = encode_image(samples, ".tif", alpha=opacity, record=record)
    read = tifffile.imread(io.BytesIO(data)).reshape(13, 21, -1)
    assert read.dtype == samples.dtype
    np.testing.assert_array_equal(read[..., :channels], samples)
    if opacity is not None:
        np.testing.assert_array_equal(read[..., channels], opacity)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        assert int(tiff.pages[0].compression) == (1 if record.compression == "none" else 8)
        assert tiff.pages[0].extrasamples == ((2,) if alpha else ())


@pytest.mark.parametrize(("suffix", "record"), [(".webp", None), (".webp", FileRecord(format="WEBP", lossless=True))])
def test_webp_output_is_lossless_unless_the_source_was_not(suffix: str, record: FileRecord | None) -> None:
    samples = picture("uint8", 3)
    data, _ = encode_image(samples, suffix, record=record)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), samples)
    assert b"VP8L" in data
    lossy, _ = encode_image(samples, suffix, record=FileRecord(format="WEBP", lossless=False))
    asked, _ = encode_image(samples, suffix, record=record, quality=80)
    assert b"VP8L" not in lossy
    assert b"VP8L" not in asked


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_output_has_full_chroma_and_stays_close(channels: int, tmp_path: Path) -> None:
    samples = np.asarray(Image.fromarray(picture("uint8", 3, (6, 9))).resize((90, 60), Image.Resampling.BICUBIC))
    samples = samples[..., :channels].copy()
    write_image(tmp_path / "a.jpg", samples)
    with Image.open(tmp_path / "a.jpg") as image:
        read = np.asarray(image).reshape(samples.shape)
        assert image.mode == {1: "L", 3: "RGB"}[channels]
        assert {layer[1:3] for layer in image.layer} == {(1, 1)}
        reference = io.BytesIO()
        image.save(reference, "JPEG", quality=95, subsampling=0)
        assert Image.open(reference).quantization == image.quantization
    assert np.abs(read.astype(int) - samples).mean() < 2.5


def test_jpeg_quality_changes_the_quantisation() -> None:
    samples = picture("uint8", 3)
    small, large = (encode_image(samples, ".jpg", quality=quality)[0] for quality in (30, 90))
    assert len(small) < len(large)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_input_equals_opencv(subsampling: int, progressive: bool, tmp_path: Path) -> None:
    photo = Image.fromarray(picture("uint8", 3, (10, 16))).resize((131, 77), Image.Resampling.BICUBIC)
    photo.save(tmp_path / "a.jpg", quality=85, subsampling=subsampling, progressive=progressive)
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg").samples, by_opencv((tmp_path / "a.jpg").read_bytes()))


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("lossless", [False, True])
def test_webp_input_equals_pillow(lossless: bool, alpha: bool, tmp_path: Path) -> None:
    photo = Image.fromarray(picture("uint8", 3, (10, 16))).resize((131, 77), Image.Resampling.BICUBIC)
    if alpha:
        photo.putalpha(Image.fromarray(picture("uint8", 1, (77, 131))[..., 0]))
    photo.save(tmp_path / "a.webp", lossless=lossless, quality=80, exact=True)
    expected = np.asarray(Image.open(tmp_path / "a.webp"))
    image = read_image(tmp_path / "a.webp")
    np.testing.assert_array_equal(image.samples, expected[..., :3])
    assert (image.alpha is not None) == alpha
    if image.alpha is not None:
        np.testing.assert_array_equal(image.alpha, expected[..., 3])
    assert image.record.lossless == lossless


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_png_input_from_opencv_keeps_depth(dtype: str, channels: int, tmp_path: Path) -> None:
    stored = picture(dtype, channels)
    cv2.imwrite(str(tmp_path / "a.png"), stored if channels == 1 else cv2.cvtColor(stored, [0, 0, 0, 4, 5][channels]))
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(image.samples, stored[..., : min(channels, 3)])
    if channels == 4:
        assert image.alpha is not None
        np.testing.assert_array_equal(image.alpha, stored[..., 3])


def test_png_interlaced_16_bit_is_read() -> None:
    # OpenCV and Pillow do not write Adam7: a 1 x 1 picture has one pass only, so it is valid with the flag set.
    data, _ = encode_image(np.full((1, 1, 3), 4660, np.uint16), ".png")
    header = data[12:28] + b"\1"
    data = data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]
    assert decode_image(data, "a").samples.tolist() == [[[4660] * 3]]


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_png_low_bit_gray_is_scaled(bits: int, tmp_path: Path) -> None:
    levels = np.arange(2**bits, dtype=np.uint8)[None]
    packed = np.packbits(np.unpackbits(levels[0, :, None], axis=1)[:, 8 - bits :].ravel()).tobytes()
    header = struct.pack(">IIBBBBB", levels.size, 1, bits, 0, 0, 0, 0)
    data = PNG_SIGNATURE + chunk(b"IHDR", header) + chunk(b"tRNS", b"\0\1")
    data += chunk(b"IDAT", zlib.compress(b"\0" + packed)) + chunk(b"IEND", b"")
    image = decode_image(data, "a")
    assert image.samples[0, :, 0].tolist() == [round(255 * level / (2**bits - 1)) for level in range(2**bits)]
    assert image.alpha is not None
    assert image.alpha[0].tolist() == [255, 0] + [255] * (2**bits - 2)


def test_png_palette_becomes_rgb_and_its_transparency_alpha(tmp_path: Path) -> None:
    photo = Image.fromarray(picture("uint8", 3)).quantize(16)
    photo.save(tmp_path / "opaque.png")
    photo.save(tmp_path / "clear.png", transparency=bytes([0, 128, 7]))
    opaque, clear = read_image(tmp_path / "opaque.png"), read_image(tmp_path / "clear.png")
    expected = np.asarray(Image.open(tmp_path / "clear.png").convert("RGBA"))
    np.testing.assert_array_equal(opaque.samples, expected[..., :3])
    np.testing.assert_array_equal(clear.samples, expected[..., :3])
    assert opaque.alpha is None
    assert clear.alpha is not None
    np.testing.assert_array_equal(clear.alpha, expected[..., 3])


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_png_colour_key_becomes_alpha(mode: str, tmp_path: Path) -> None:
    photo = Image.fromarray((picture("uint8", 3) // 128 * 128).astype(np.uint8)).convert(mode)
    key = photo.getpixel((4, 5))
    photo.save(tmp_path / "a.png", transparency=key)
    alpha = read_image(tmp_path / "a.png").alpha
    assert alpha is not None
    np.testing.assert_array_equal(alpha, np.asarray(Image.open(tmp_path / "a.png").convert("RGBA"))[..., 3])
    assert 0 < (alpha == 0).mean() < 1


def test_png_colour_key_of_16_bits_becomes_alpha() -> None:
    samples = picture("uint16", 3)
    data, _ = encode_image(samples, ".png")
    key = samples[3, 4].astype(">u2").tobytes()
    image = decode_image(data[:33] + chunk(b"tRNS", key) + data[33:], "a")
    assert image.alpha is not None
    assert image.alpha[3, 4] == 0
    assert (image.alpha == 65535).sum() == image.alpha.size - 1
    np.testing.assert_array_equal(image.samples, samples)


@pytest.mark.parametrize("name", ["schön 写真 🌧.png", "фото.tif", "ñ.jpg", "α.webp"])
def test_write_and_read_take_unicode_paths(name: str, tmp_path: Path) -> None:
    path = tmp_path / "Ordner mit ü" / name
    write_image(path, picture("uint8", 3))
    assert read_image(path).samples.shape == (13, 21, 3)
    assert read_image(path).record.name == str(path)


@pytest.mark.parametrize("suffix", [*IMAGE_SUFFIXES, ".PNG", ".Jpg", ".TIFF"])
def test_write_takes_every_suffix_in_any_case(suffix: str, tmp_path: Path) -> None:
    write_image(tmp_path / f"a{suffix}", picture("uint8", 3))
    names = {"JPG": "JPEG", "JFIF": "JPEG", "TIF": "TIFF"}
    expected = suffix[1:].upper()
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert image.format == names.get(expected, expected)


def test_read_tells_the_format_from_the_content(tmp_path: Path) -> None:
    samples = picture("uint8", 3)
    (tmp_path / "a.jpg").write_bytes(encode_image(samples, ".png")[0])
    image = read_image(tmp_path / "a.jpg")
    assert image.record.format == "PNG"
    np.testing.assert_array_equal(image.samples, samples)


def test_gray_webp_has_three_equal_channels() -> None:
    samples = picture("uint8", 1)
    image = decode_image(encode_image(samples, ".webp")[0], "a")
    np.testing.assert_array_equal(image.samples, np.repeat(samples, 3, axis=2))


def test_source_image_says_its_size_and_type() -> None:
    image = decode_image(encode_image(picture("uint16", 1), ".png")[0], "a")
    assert (image.height, image.width, image.dtype) == (13, 21, np.dtype("uint16"))


def test_formats_convert_into_each_other_without_loss() -> None:
    samples, alpha = picture("uint8", 3), picture("uint8", 1)[..., 0]
    for source, target in itertools.permutations([".png", ".tif", ".webp"], 2):
        image = decode_image(encode_image(samples, source, alpha=alpha)[0], "a")
        data, warnings = encode_image(image.samples, target, alpha=image.alpha, record=image.record)
        again = decode_image(data, "b")
        np.testing.assert_array_equal(again.samples, samples)
        np.testing.assert_array_equal(again.alpha, alpha)
        assert warnings == ()
