"""Files that cannot be used, and outputs that would lose something: one clear line each."""

import io
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from restorekit.core.image.files import decode_image, encode_image, read_image, write_image
from restorekit.core.image.formats.kinds import UNSUPPORTED_SUFFIXES
from restorekit.core.image.formats.png_chunks import PNG_SIGNATURE, chunk
from restorekit.core.image.metadata import FileRecord
from restorekit.errors import ImageError, OversizedImage, UnreadableImage, UnsupportedImage, UsageError

RNG = np.random.default_rng(2)
GRAY, RGB = (RNG.integers(0, 256, (24, 32, channels), dtype=np.uint8) for channels in (1, 3))
ALPHA = GRAY[..., 0]


def saved(format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"", r"^photo: expected an image, got an empty file; copy or export it again$"),
        (bytes(500), "got a file of zeros"),
        (
            b"hello, this is no image",
            r"another kind of file \(it begins with 68 65 6c 6c\); check that it is an image$",
        ),
        (b"<!DOCTYPE html><html>", "got a web page; the download probably failed"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "got a HEIC/HEIF image; convert it .* heif-convert INPUT output.png"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0avifmif1", "got an AVIF image"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avif", "got an AVIF image; convert it to PNG first, for example with: avifdec"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "got a camera RAW file; develop it to a 16-bit TIFF first"),
        (b"\0\0\0\x18ftypisom\0\0\0\0mp41", "got a video; extract its frames first"),
        (b"II*\0\x10\0\0\0CR\x02\0", "got a camera RAW file"),
        (b"FUJIFILMCCD-RAW 0201", "got a camera RAW file"),
        (b"GIF89a\1\0\1\0", "got a GIF image; convert it to PNG first"),
        (b"BM\x36\0\0\0", "got a BMP image"),
        (b"8BPS\0\1", "got a Photoshop document; export it as PNG or TIFF first"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "got a JPEG 2000 image"),
        (b"\xff\x0a\xff\xff", "got a JPEG XL image"),
        (b"\x76\x2f\x31\x01", "got an OpenEXR image; convert it to a float TIFF first"),
        (b"%PDF-1.7", "got a PDF document"),
        (b"<svg xmlns=", "got an SVG drawing"),
        (b"version https://git-lfs.github.com/spec/v1", "got a Git LFS pointer; fetch the file itself: git lfs pull"),
    ],
)
def test_read_names_what_the_file_is_and_what_to_do(head: bytes, message: str) -> None:
    with pytest.raises((UnreadableImage, UnsupportedImage), match=message):
        decode_image(head, "photo")


@pytest.mark.parametrize("suffix", [".dng", ".nef", ".arw", ".NEF"])
def test_read_takes_tiff_content_for_raw_by_its_suffix(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"a{suffix}").write_bytes(saved("TIFF"))
    with pytest.raises(UnsupportedImage, match=f"a{suffix}: expected PNG, JPEG, TIFF or WebP, got a camera RAW file"):
        read_image(tmp_path / f"a{suffix}")


@pytest.mark.parametrize(
    ("path", "message"),
    [("absent.png", "absent.png: expected an image file, got an error: no such file"), (".", "is a directory")],
)
def test_read_reports_paths_that_cannot_be_opened(path: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match=message):
        read_image(tmp_path / path)


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"II*\0\x08\0\0\0\0\0\0\0\0\0"}),
    ],
)
def test_read_reports_every_truncation(format: str, options: dict) -> None:
    data = saved(format, **options)
    for length in [*range(8 if format == "PNG" else 12, 60, 7), *range(60, len(data) - 1, 97), len(data) - 2]:
        with pytest.raises(UnreadableImage, match=r"^photo: expected "):
            decode_image(data[:length], "photo")


def test_read_reports_truncation_of_16_bit_png() -> None:
    data, _ = encode_image(RGB.astype(np.uint16) * 257, ".png")
    for length in range(10, len(data) - 1, 53):
        with pytest.raises(UnreadableImage, match="photo: expected a whole PNG file, got a truncated one"):
            decode_image(data[:length], "photo")
    # All checksums are right here, but the picture data stops: OpenCV would return what there is.
    body = data[33:-12]
    size = struct.unpack(">I", body[:4])[0]
    cut = PNG_SIGNATURE + data[8:33] + chunk(b"IDAT", body[8 : 8 + size // 2]) + chunk(b"IEND", b"")
    with pytest.raises(UnreadableImage, match="truncated"):
        decode_image(cut, "photo")


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_read_reports_flipped_bits_in_png(depth: type) -> None:
    data = bytearray(encode_image(RGB.astype(depth), ".png")[0])
    data[len(data) // 2] ^= 4
    with pytest.raises(UnreadableImage, match=r"got (wrong checksum in IDAT|a corrupt or truncated one)"):
        decode_image(bytes(data), "photo")


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_read_damaged_files_raise_our_errors_only(data: st.DataObject) -> None:
    format = data.draw(st.sampled_from(["PNG", "JPEG", "WEBP", "TIFF"]))
    file = bytearray(DAMAGEABLE[format])
    for _ in range(data.draw(st.integers(1, 4))):
        file[data.draw(st.integers(12, min(len(file), 900) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ImageError):
        decode_image(bytes(file), "photo", max_megapixels=1.0)


DAMAGEABLE = {format: saved(format) for format in ("PNG", "JPEG", "WEBP")}
DAMAGEABLE["TIFF"] = encode_image(RGB, ".tif")[0]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_read_checks_the_pixel_limit_and_takes_an_override(suffix: str, tmp_path: Path) -> None:
    write_image(tmp_path / f"a{suffix}", RGB)
    message = r"expected at most 0\.0005 megapixels, got 0\.0 \(32 x 24\); raise the limit with --max-megapixels"
    with pytest.raises(OversizedImage, match=message):
        read_image(tmp_path / f"a{suffix}", max_megapixels=0.0005)
    assert read_image(tmp_path / f"a{suffix}", max_megapixels=0.001).width == 32


def test_read_refuses_a_bomb_before_decoding_it() -> None:
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    bomb = PNG_SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", b"never looked at")
    with pytest.raises(OversizedImage, match=r"at most 300 megapixels, got 3600\.0 \(60000 x 60000\)"):
        decode_image(bomb, "photo")


def test_read_is_not_held_back_by_pillow_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for suffix in (".png", ".jpg", ".tif", ".webp"):
        assert decode_image(encode_image(RGB, suffix)[0], "photo").width == 32
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize(("format", "word"), [("PNG", "PNG"), ("WEBP", "WebP")])
def test_read_refuses_animations_naming_the_frames(format: str, word: str) -> None:
    buffer, frames = io.BytesIO(), [Image.fromarray(RGB[::-1]), Image.fromarray(RGB[:, ::-1])]
    Image.fromarray(RGB).save(buffer, format, save_all=True, append_images=frames)
    with pytest.raises(UnsupportedImage, match=f"photo: expected one picture, got an animated {word} of 3 frames"):
        decode_image(buffer.getvalue(), "photo")


def test_unsupported_suffixes_cover_the_formats_of_phones_and_cameras() -> None:
    assert {".heic", ".avif", ".cr2", ".cr3", ".nef", ".dng", ".arw", ".gif", ".bmp", ".psd"} <= set(
        UNSUPPORTED_SUFFIXES
    )


@pytest.mark.parametrize(
    ("dtype", "suffix", "message"),
    [
        ("uint16", ".jpg", r"expected 8 bits for JPEG, got uint16; choose \.png or \.tif, or convert .* --depth 8"),
        ("uint16", ".webp", "expected 8 bits for WEBP, got uint16"),
        ("float32", ".jpg", r"expected 8 bits for JPEG, got float32; choose \.tif"),
        ("float32", ".webp", "expected 8 bits for WEBP, got float32"),
        ("float32", ".png", r"expected 8 or 16 bits for PNG, got float32; choose \.tif, or convert .* --depth 16"),
        ("uint8", ".heic", r"expected an output suffix among \.png, \.jpg, .*, got '\.heic'"),
        ("uint8", "", "got 'none'"),
    ],
)
def test_write_refuses_to_lose_depth(dtype: str, suffix: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedImage, match=message):
        write_image(tmp_path / f"a{suffix}", RGB.astype(dtype))
    assert list(tmp_path.iterdir()) == []


def test_write_refuses_to_drop_alpha_silently(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedImage, match=r"choose \.png, \.tif or \.webp, or drop alpha .* --drop-alpha"):
        write_image(tmp_path / "a.jpg", RGB, alpha=ALPHA)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("samples", "alpha", "message"),
    [
        (RGB[..., 0], None, r"expected samples of shape \(height, width, 1 or 3\), got \(24, 32\)"),
        (np.zeros((4, 4, 2), np.uint8), None, r"got \(4, 4, 2\)"),
        (np.zeros((0, 4, 3), np.uint8), None, r"got \(0, 4, 3\)"),
        (RGB, ALPHA[:-1], r"expected alpha of shape \(24, 32\) and type uint8, got \(23, 32\)"),
        (RGB, ALPHA.astype(np.uint16), "and uint16"),
    ],
)
def test_write_checks_the_samples(samples: np.ndarray, alpha: np.ndarray | None, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        encode_image(samples, ".png", alpha=alpha)


@pytest.mark.parametrize("quality", [0, 101])
def test_write_checks_the_quality(quality: int) -> None:
    with pytest.raises(UsageError, match=f"quality: expected 1 to 100, got {quality}"):
        encode_image(RGB, ".jpg", quality=quality)


@pytest.mark.parametrize(("suffix", "side"), [(".webp", 16384), (".jpg", 65501)])
def test_write_refuses_sides_beyond_the_format(suffix: str, side: int) -> None:
    with pytest.raises(UnsupportedImage, match=f"px a side for .*, got {side} x 1"):
        encode_image(np.zeros((1, side, 3), np.uint8), suffix, record=FileRecord(name="wide"))


def test_read_makes_no_noise_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    for format, data in DAMAGEABLE.items():
        for cut in (len(data) // 3, len(data) // 2):
            with pytest.raises(ImageError):
                decode_image(data[:cut] + b"\0" * 40, f"photo.{format}")
    assert capfd.readouterr() == ("", "")
