"""Colour profiles, CMYK, and what a file holds that cannot be carried over: converted or warned of, never wrong."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from restorekit.core.image.files import decode_image, encode_image, read_image, write_image
from restorekit.core.image.formats.png_chunks import chunk
from restorekit.core.image.formats.profiles import srgb_profile
from restorekit.core.image.metadata import FileRecord, clean_dpi, fit_record

RNG = np.random.default_rng(4)
RGB = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_large_icc_profiles_survive_jpeg() -> None:
    icc = ICC[:16] + b"RGB " + ICC[20:] + RNG.bytes(200_000)
    assert decode_image(encode_image(RGB, ".jpg", record=FileRecord(icc=icc))[0], "a").record.icc == icc


@pytest.mark.parametrize(
    ("space", "channels", "target", "kept"),
    [
        (b"RGB ", 3, "PNG", True),
        (b"GRAY", 1, "PNG", True),
        (b"RGB ", 1, "PNG", False),
        (b"RGB ", 1, "JPEG", True),
        (b"GRAY", 3, "TIFF", False),
        (b"GRAY", 1, "WEBP", False),
        (b"CMYK", 3, "JPEG", False),
    ],
)
def test_icc_of_another_colour_space_is_dropped_with_a_warning(
    space: bytes, channels: int, target: str, kept: bool
) -> None:
    record, warnings = fit_record(FileRecord(icc=bytes(16) + space + bytes(200)), target, channels=channels)
    assert (record.icc is not None) == kept
    assert len(warnings) == (0 if kept else 1)
    assert kept or f"{target} cannot hold this ICC profile ({space.decode().strip()})" in warnings[0]


def test_png_warns_of_xmp_that_is_not_text() -> None:
    data, warnings = encode_image(RGB, ".png", record=FileRecord(xmp=b"\xff\xfe<\0x\0"))
    assert warnings == ("PNG cannot hold XMP that is not UTF-8: not written",)
    assert b"iTXt" not in data


@pytest.mark.parametrize("icc_embedded", [False, True])
@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_is_converted_with_a_warning(format: str, icc_embedded: bool, tmp_path: Path) -> None:
    inks = Image.fromarray(RGB).resize((64, 48), Image.Resampling.BICUBIC).convert("CMYK")
    icc = cmyk_profile()
    inks.save(tmp_path / "a", format, **({"icc_profile": icc} if icc_embedded else {}), quality=95, subsampling=0)
    image = read_image(tmp_path / "a")
    stored = Image.open(io.BytesIO((tmp_path / "a").read_bytes()))
    if icc_embedded:
        expected = ImageCms.profileToProfile(
            stored,
            ImageCms.ImageCmsProfile(io.BytesIO(icc)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        assert image.warnings == ("CMYK was converted to sRGB through the embedded ICC profile; the output is RGB",)
        assert image.record.icc is not None
        assert "sRGB" in ImageCms.getProfileName(ImageCms.ImageCmsProfile(io.BytesIO(image.record.icc)))
    else:
        expected = stored.convert("RGB")
        assert "without a usable ICC profile" in image.warnings[0]
        assert image.record.icc is None
    np.testing.assert_array_equal(image.samples, np.asarray(expected))
    write_image(tmp_path / "b.png", image.samples, record=image.record)
    assert decode_image((tmp_path / "b.png").read_bytes(), "b").record.icc == image.record.icc


def cmyk_profile() -> bytes:
    """A CMYK ICC profile, version 2, with a coarse table: L* falls with the sum of inks, a* and b* with their mix."""
    grid, inks = 2, 4
    corners = np.stack(np.meshgrid(*[np.linspace(0, 1, grid)] * inks, indexing="ij"), axis=-1).reshape(-1, inks)
    cyan, magenta, yellow, black = corners.T
    light = 100 * (1 - black) * (1 - 0.25 * (cyan + magenta + yellow))
    lab = np.stack([light, 60 * (magenta - cyan) * (1 - black), 60 * (yellow - 0.5 * magenta) * (1 - black)], axis=1)
    encoded = np.clip(lab * [652.8, 256, 256] + [0, 32768, 32768], 0, 65535).astype(">u2")
    ramp = np.array([0, 65535], ">u2").tobytes()
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft2" + bytes(4) + bytes([inks, 3, grid, 0]) + identity + struct.pack(">HH", 2, 2)
    table += ramp * inks + encoded.tobytes() + ramp * 3
    text = b"text" + bytes(4) + b"none\0"
    name = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    tags = {b"desc": name, b"cprt": text, b"wtpt": white, b"A2B0": table, b"A2B1": table}
    directory, body, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for key, value in tags.items():
        padded = value + bytes(-len(value) % 4)
        directory += key + struct.pack(">II", at + len(body), len(value))
        body += padded
    head = bytearray(128)
    struct.pack_into(">I4sI4s4s4s", head, 0, at + len(body), b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    head[36:40] = b"acsp"
    head[68:80] = struct.pack(">3i", 63190, 65536, 54061)
    return bytes(head) + directory + body


def test_cmyk_jpeg_without_adobe_marker_is_not_inverted() -> None:
    inks = np.zeros((8, 8, 4), np.uint8)
    inks[..., 0] = 255  # pure cyan
    buffer = io.BytesIO()
    Image.frombytes("CMYK", (8, 8), (255 - inks).tobytes()).save(buffer, "JPEG", quality=100)
    data = buffer.getvalue()  # Pillow inverts on writing, as Adobe does: stored are now the inks themselves
    start = data.index(b"\xff\xee")
    length = struct.unpack(">H", data[start + 2 : start + 4])[0]
    image = decode_image(data[:start] + data[start + 2 + length :], "a")
    assert image.samples[4, 4].tolist() == [0, 255, 255]


def test_srgb_profile_has_the_same_bytes_every_time() -> None:
    assert srgb_profile() == srgb_profile()
    assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile())))


def test_jpeg_warns_of_what_it_leaves_behind() -> None:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "JPEG")
    data = buffer.getvalue()

    def with_segment(marker: int, body: bytes) -> bytes:
        return data[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + data[2:]

    iptc = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", 4) + b"\x1c\x02\0\0"
    cases = {
        "extended XMP": with_segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(40)),
        "further pictures": with_segment(0xE2, b"MPF\0II*\0\x08\0\0\0\0\0\0\0\0\0"),
        "IPTC fields": with_segment(0xED, iptc),
    }
    for words, file in cases.items():
        (warning,) = decode_image(file, "a").warnings
        assert words in warning


def test_png_warns_of_damaged_and_uncarried_chunks() -> None:
    data, _ = encode_image(RGB, ".png")
    broken = bytearray(chunk(b"iCCP", b"x\0\0" + bytes(20)))
    broken[-1] ^= 1
    damaged = decode_image(data[:33] + bytes(broken) + data[33:], "a")
    assert damaged.warnings == ("the PNG chunk iCCP is damaged: not carried over",)
    hdr = decode_image(data[:33] + chunk(b"cICP", b"\x09\x10\0\1") + data[33:], "a")
    assert "cICP (HDR or wide gamut) is not carried over" in hdr.warnings[0]


def test_png_text_of_any_size_does_not_stop_reading() -> None:
    data, _ = encode_image(RGB, ".png")
    note = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(5_000_000)))
    np.testing.assert_array_equal(decode_image(data[:33] + note + data[33:], "a").samples, RGB)


@pytest.mark.parametrize(
    ("pair", "expected"),
    [((72.0, 72.0), (72.0, 72.0)), ((0.0, 72.0), None), ((float("nan"), 72.0), None), ((72.0, 1e9), None)],
)
def test_dpi_that_makes_no_sense_is_dropped(pair: tuple[float, float], expected: tuple[float, float] | None) -> None:
    assert clean_dpi(*pair) == expected
