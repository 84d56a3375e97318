"""The header says what decoding would: size upright and depth, for every kind of file that is read."""

import io
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
import tifffile

from restorekit.core.image.files import read_image
from restorekit.core.image.headers import read_header
from restorekit.errors import UnreadableImage, UnsupportedImage

COLOURS = np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8)


def written(folder: Path) -> Iterator[Path]:
    """Files as Pillow, OpenCV and tifffile write them, of every depth, turned ones and palettes too."""
    picture = PIL.Image.fromarray(COLOURS)
    for suffix in ("png", "jpg", "webp", "tif"):
        for turn in (1, 6, 8):
            exif = PIL.Image.Exif()
            exif[0x0112] = turn
            picture.save(path := folder / f"turned{turn}.{suffix}", exif=exif)
            yield path
    for mode, suffix in (("L", "png"), ("1", "png"), ("P", "png"), ("RGBA", "webp"), ("CMYK", "jpg"), ("P", "tif")):
        picture.convert(mode).save(path := folder / f"{mode}.{suffix}")
        yield path
    for name, dtype in (("deep.png", "uint16"), ("deep.tif", "uint16")):
        cv2.imwrite(str(path := folder / name), COLOURS.astype(dtype) * 257)
        yield path
    for dtype in ("float16", "float32", "float64"):
        tifffile.imwrite(path := folder / f"{dtype}.tif", (COLOURS / 255).astype(dtype), photometric="rgb")
        yield path
    fine = np.random.default_rng(1).integers(0, 65536, (3, 256), dtype=np.uint16)
    tifffile.imwrite(path := folder / "fine.tif", COLOURS[..., 0], photometric="palette", colormap=fine)
    yield path


def test_header_says_what_decoding_gives(tmp_path: Path) -> None:
    for path in written(tmp_path):
        image, header = read_image(path), read_header(path)
        assert (header.width, header.height, header.depth) == (image.width, image.height, image.dtype.name), path.name


def test_header_finds_an_orientation_behind_the_picture(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    PIL.Image.fromarray(COLOURS).save(buffer, "PNG", exif=exif)
    data = buffer.getvalue()
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    tail = data.index(b"IEND") - 4
    (tmp_path / "a.png").write_bytes(data[:start] + data[end:tail] + data[start:end] + data[tail:])
    assert (read_header(tmp_path / "a.png").width, read_header(tmp_path / "a.png").height) == (9, 14)
    assert read_image(tmp_path / "a.png").width == 9


def test_header_of_a_sample_is_that_of_its_crop() -> None:
    for name in ("sample:coffee", "sample:rocket@256"):
        image, header = read_image(name), read_header(name)
        assert (header.width, header.height, header.depth) == (image.width, image.height, "uint8")


def test_header_refuses_what_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="got an error: no such file or directory; check the path"):
        read_header(tmp_path / "absent.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(UnreadableImage, match="got another kind of file"):
        read_header(tmp_path / "text.png")
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0heicmif1")
    with pytest.raises(UnsupportedImage, match="got a HEIC/HEIF image"):
        read_header(tmp_path / "phone.heic")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_header_refuses_a_file_cut_within_its_header(suffix: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    PIL.Image.fromarray(COLOURS).save(buffer, {"jpg": "jpeg", "tif": "tiff"}.get(suffix, suffix))
    (tmp_path / f"a.{suffix}").write_bytes(buffer.getvalue()[:20])
    with pytest.raises(UnreadableImage, match="expected a whole"):
        read_header(tmp_path / f"a.{suffix}")
