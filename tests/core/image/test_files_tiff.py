"""TIFF as other programs write it: every codec, layout, depth and photometric, without tifffile's optional codecs."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from restorekit.core.image.files import decode_image, encode_image, read_image
from restorekit.core.image.metadata import FileRecord
from restorekit.errors import UnreadableImage, UnsupportedImage

RNG = np.random.default_rng(1)


@pytest.fixture(autouse=True)
def _no_optional_codecs(monkeypatch: pytest.MonkeyPatch) -> None:
    """imagecodecs is no dependency of ours: what is read here must be read without it."""
    monkeypatch.setitem(sys.modules, "imagecodecs", None)


def picture(dtype: str, channels: int) -> np.ndarray:
    if np.dtype(dtype).kind == "f":
        return RNG.random((40, 30, channels)).astype(dtype)
    return RNG.integers(0, np.iinfo(dtype).max + 1, (40, 30, channels)).astype(dtype)


def written(stored: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    options.setdefault("photometric", "rgb" if stored.shape[-1] in (3, 4) and stored.ndim == 3 else "minisblack")
    tifffile.imwrite(buffer, stored, metadata=None, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_tiff_reads_every_layout(dtype: str, channels: int, planar: str, byteorder: str) -> None:
    stored = picture(dtype, channels)
    for options in ({}, {"tile": (16, 32)}, {"rowsperstrip": 7}, {"bigtiff": True}):
        laid = stored[..., 0] if channels == 1 else np.moveaxis(stored, -1, 0) if planar == "separate" else stored
        if channels > 1:
            options = {**options, "planarconfig": planar, "photometric": "rgb"}
        if channels == 4:
            options["extrasamples"] = ["unassalpha"]
        image = decode_image(written(laid, byteorder=byteorder, **options), "a.tif")
        np.testing.assert_array_equal(image.samples, stored[..., : min(channels, 3)])
        assert image.samples.dtype == np.dtype(dtype)
        assert image.samples.dtype.isnative
        if channels == 4:
            np.testing.assert_array_equal(image.alpha, stored[..., 3])
        assert image.warnings == ()


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "packbits", "lzma", "zstd"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16", "F"])
def test_tiff_reads_what_pillow_compresses(mode: str, compression: str, tmp_path: Path) -> None:
    depth = {"I;16": "uint16", "F": "float32"}.get(mode, "uint8")
    stored = picture(depth, {"RGB": 3, "RGBA": 4}.get(mode, 1))
    Image.fromarray(stored if stored.shape[2] > 1 else stored[..., 0]).save(
        tmp_path / "a.tif", compression=compression, tiffinfo={317: 2} if depth != "float32" else {}
    )
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.samples, stored[..., :3])
    if mode == "RGBA":
        np.testing.assert_array_equal(image.alpha, stored[..., 3])
    assert image.record.compression == "deflate"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_tiff_undoes_the_float_predictor(dtype: str, channels: int) -> None:
    stored = picture(dtype, channels)
    size, rows = stored.dtype.itemsize, stored.reshape(40, -1)
    # Naive encoder after Adobe's technical note 3: bytes by significance, then differences along the row.
    planes = np.ascontiguousarray(rows.astype(f">f{size}")).view(np.uint8).reshape(40, -1, size).transpose(0, 2, 1)
    flat = planes.reshape(40, -1).astype(int)
    flat[:, channels:] -= flat[:, :-channels].copy()
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        iter([zlib.compress((flat % 256).astype(np.uint8).tobytes())]),
        shape=stored.shape if channels > 1 else stored.shape[:2],
        dtype=dtype,
        photometric="rgb" if channels > 1 else "minisblack",
        compression="zlib",
        predictor=3,
        rowsperstrip=40,
        metadata=None,
    )
    image = decode_image(buffer.getvalue(), "a.tif")
    np.testing.assert_array_equal(image.samples, stored.astype(np.float32))


@pytest.mark.parametrize("channels", [1, 3])
def test_tiff_reads_jpeg_segments_as_pillow_does(channels: int, tmp_path: Path) -> None:
    photo = Image.fromarray(picture("uint8", 3)).resize((150, 110)).convert("L" if channels == 1 else "RGB")
    photo.save(tmp_path / "a.tif", compression="jpeg")
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.samples, np.asarray(Image.open(tmp_path / "a.tif")).reshape(110, 150, -1))
    assert not image.record.lossless


def test_tiff_reads_white_is_zero_jpeg_segments_inverted_once(tmp_path: Path) -> None:
    Image.fromarray(picture("uint8", 1)[..., 0]).resize((150, 110)).save(tmp_path / "a.tif", compression="jpeg")
    black = read_image(tmp_path / "a.tif").samples
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        struct.pack_into("<HHIHH", data, tiff.pages[0].tags[262].offset, 262, 3, 1, 0, 0)
    np.testing.assert_array_equal(decode_image(bytes(data), "a").samples, 255 - black)


@pytest.mark.parametrize("compression", [None, "group3", "group4", "packbits", "tiff_lzw"])
def test_tiff_reads_bilevel_scans(compression: str | None, tmp_path: Path) -> None:
    photo = Image.fromarray(picture("uint8", 1)[..., 0] > 100).resize((133, 71))
    photo.save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").samples[..., 0], np.asarray(photo.convert("L")))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_tiff_turns_white_is_zero_round(dtype: str) -> None:
    stored = picture(dtype, 1)[..., 0]
    image = decode_image(written(stored, photometric="miniswhite"), "a.tif")
    peak = 1 if dtype == "float32" else np.iinfo(dtype).max
    np.testing.assert_array_equal(image.samples[..., 0], (peak - stored).astype(dtype))


def test_tiff_palette_becomes_rgb(tmp_path: Path) -> None:
    photo = Image.fromarray(picture("uint8", 3)).quantize(32)
    photo.save(tmp_path / "a.tif")
    image = read_image(tmp_path / "a.tif")
    assert image.samples.dtype == np.uint8
    np.testing.assert_array_equal(image.samples, np.asarray(photo.convert("RGB")))


def test_tiff_palette_of_16_bits_is_not_reduced() -> None:
    stored, colours = picture("uint8", 1)[..., 0], RNG.integers(0, 65536, (3, 256), dtype=np.uint16)
    image = decode_image(written(stored, photometric="palette", colormap=colours), "a.tif")
    np.testing.assert_array_equal(image.samples, colours.T[stored])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiff_orientation_is_applied_and_reset(orientation: int) -> None:
    stored = picture("uint16", 3)
    data = written(stored, extratags=[(274, 3, 1, orientation, True)])
    image = decode_image(data, "a.tif")
    turned = [
        ImageOps.exif_transpose(_with_orientation(Image.fromarray(stored[..., channel]), orientation))
        for channel in range(3)
    ]
    np.testing.assert_array_equal(image.samples, np.stack([np.asarray(plane) for plane in turned], axis=2))
    again, _ = encode_image(image.samples, ".tif", record=image.record)
    assert Image.open(io.BytesIO(again)).getexif().get(274, 1) == 1


def _with_orientation(image: Image.Image, orientation: int) -> Image.Image:
    image.getexif()[274] = orientation
    return image


def test_tiff_double_floats_become_single_with_a_warning() -> None:
    stored = picture("float64", 3)
    image = decode_image(written(stored), "a.tif")
    np.testing.assert_array_equal(image.samples, stored.astype(np.float32))
    assert image.warnings == ("64-bit floats were rounded to 32-bit floats",)


def test_tiff_float_values_far_above_white_are_warned_of() -> None:
    image = decode_image(written(picture("float32", 3) * 255), "a.tif")
    assert "1.0 is taken as white" in image.warnings[0]


@pytest.mark.parametrize("kind", ["unspecified", "assocalpha", "unassalpha"])
def test_tiff_keeps_the_kind_of_alpha(kind: str) -> None:
    image = decode_image(written(picture("uint8", 4), extrasamples=[kind]), "a.tif")
    data, warnings = encode_image(image.samples, ".tif", alpha=image.alpha, record=image.record)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        assert tiff.pages[0].extrasamples[0].name.lower() == kind
    assert warnings == ()


def test_premultiplied_alpha_is_divided_out_where_the_format_wants_it_straight() -> None:
    samples = np.full((2, 2, 3), 60, np.uint8)
    alpha = np.array([[255, 120], [60, 0]], np.uint8)
    data, warnings = encode_image(samples, ".png", alpha=alpha, record=FileRecord(alpha_kind="assocalpha"))
    assert np.asarray(Image.open(io.BytesIO(data)))[..., 0].tolist() == [[60, 128], [255, 60]]
    assert "divided by alpha" in warnings[0]


@pytest.mark.parametrize("channels", [2, 4])
def test_tiff_gray_and_rgb_with_alpha_from_tifffile(channels: int) -> None:
    stored = picture("uint16", channels)
    photometric = "minisblack" if channels == 2 else "rgb"
    data = written(stored, photometric=photometric, planarconfig="contig", extrasamples=["unassalpha"])
    image = decode_image(data, "a.tif")
    np.testing.assert_array_equal(image.samples, stored[..., :-1])
    np.testing.assert_array_equal(image.alpha, stored[..., -1])


def test_tiff_preview_pages_do_not_count() -> None:
    buffer, stored = io.BytesIO(), picture("uint8", 3)
    with tifffile.TiffWriter(buffer) as tiff:
        tiff.write(stored, photometric="rgb", metadata=None)
        tiff.write(stored[::4, ::4], photometric="rgb", subfiletype=1, metadata=None)
    np.testing.assert_array_equal(decode_image(buffer.getvalue(), "a.tif").samples, stored)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stored": np.zeros((3, 8, 8), np.uint8)}, r"a\.tif: expected one picture, got a TIFF of 3 pages; split it"),
        ({"stored": np.zeros((8, 8), np.uint32)}, "got 32-bit unsigned integers; convert it to 16 bits or to 32-bit"),
        ({"stored": np.zeros((8, 8), np.int16)}, "got 16-bit signed integers; convert"),
        ({"stored": np.zeros((8, 8), np.complex64)}, "got 64-bit complex floats"),
        ({"stored": np.zeros((8, 8, 3), np.uint8), "photometric": "cielab"}, r"got CIE L\*a\*b\*; convert it to RGB"),
        ({"stored": np.zeros((8, 8, 3), np.uint8), "photometric": "ycbcr"}, "got YCbCr; convert it to RGB"),
        ({"stored": np.zeros((8, 8, 4), np.uint16), "photometric": "separated"}, "CMYK: 8 bits.*got 16-bit"),
        ({"stored": np.zeros((8, 8, 6), np.uint8), "photometric": "rgb"}, "at most one alpha, got 6; remove"),
        ({"stored": np.zeros((8, 8), np.uint16), "photometric": "cfa"}, "got a camera RAW file; develop it"),
        ({"stored": np.full((8, 8), np.nan, np.float32)}, "expected finite values, got NaN"),
    ],
)
def test_tiff_refuses_what_it_cannot_hold_faithfully(options: dict, message: str) -> None:
    with pytest.raises(UnsupportedImage, match=message):
        decode_image(written(options.pop("stored"), **options), "a.tif")


def test_tiff_refuses_unknown_compression_naming_the_known() -> None:
    data = bytearray(written(picture("uint8", 3)))
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        entry = tiff.pages[0].tags[259].offset
    struct.pack_into("<HHIHH", data, entry, 259, 3, 1, 34712, 0)
    with pytest.raises(UnsupportedImage, match=r"expected TIFF compression among none, CCITT fax, LZW.*got JPEG2000"):
        decode_image(bytes(data), "a.tif")


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "packbits", "jpeg", "zstd"])
def test_tiff_truncated_data_is_an_error(compression: str | None, tmp_path: Path) -> None:
    Image.fromarray(picture("uint8", 3)).resize((100, 100)).save(tmp_path / "a.tif", compression=compression)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        page = tiff.pages[0]
        end = page.dataoffsets[-1] + page.databytecounts[-1]
        counts = page.tags[279]
    data = bytearray((tmp_path / "a.tif").read_bytes())
    if counts.count == 1:  # the last strip says to be shorter than it is
        struct.pack_into("<I", data, counts.offset + 8, page.databytecounts[-1] * 2 // 3)
    else:
        struct.pack_into("<I", data, counts.valueoffset + 4 * (counts.count - 1), page.databytecounts[-1] * 2 // 3)
    with pytest.raises(UnreadableImage, match=r"a\.tif: expected a whole TIFF file"):
        decode_image(bytes(data), "a.tif")
    assert end <= len(data)


def test_tiff_cut_anywhere_is_an_error() -> None:
    data = written(picture("uint8", 3))
    for length in (4, 8, 20, 100, 300, len(data) // 2, len(data) - 10):
        with pytest.raises(UnreadableImage, match="TIFF"):
            decode_image(data[:length], "a.tif")


def test_tiff_works_in_a_process_without_imagecodecs(tmp_path: Path) -> None:
    Image.fromarray(picture("uint8", 3)).save(tmp_path / "a.tif", compression="tiff_lzw")
    script = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "from restorekit.core.image.files import read_image, write_image\n"
        "image = read_image(sys.argv[1])\n"
        "write_image(sys.argv[2], image.samples, record=image.record)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "a.tif", tmp_path / "b.tif"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    np.testing.assert_array_equal(Image.open(tmp_path / "b.tif"), Image.open(tmp_path / "a.tif"))
