"""ICC, EXIF, XMP and resolution: carried between all formats, true after turning, warned of where they cannot go."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

from restorekit.core.image.files import decode_image, encode_image, read_image, write_image
from restorekit.core.image.formats.exif import exif_orientation, upright_exif
from restorekit.core.image.formats.png_chunks import chunk
from restorekit.core.image.metadata import FileRecord, upright_record

RNG = np.random.default_rng(3)
RGB = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" dc:title="\xc3\xbc"/></x:xmpmeta>'
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif", "WEBP": ".webp"}
FORMATS = list(SUFFIXES)


def camera_exif(orientation: int = 1, endian: str = "<", thumbnail: bytes | None = None) -> bytes:
    """An EXIF block made by Pillow, without the prefix."""
    exif = Image.Exif()
    exif.endian = endian
    exif.update({271: "Maker", 272: "Model X", 274: orientation, 306: "2024:05:06 07:08:09", 315: "Zoë".encode()})
    exif.get_ifd(0x8769).update(
        {33434: IFDRational(1, 250), 37500: b"MakerNote\0\1\2\3", 40962: 30, 40963: 20, 37380: -0.5}
    )
    exif.get_ifd(0x8825).update({1: "N", 2: (47.0, 30.0, 15.5)})
    if thumbnail is None:
        return exif.tobytes().removeprefix(b"Exif\0\0")
    block = bytearray(exif.tobytes().removeprefix(b"Exif\0\0"))
    first = struct.unpack_from(f"{endian}I", block, 4)[0]
    count = struct.unpack_from(f"{endian}H", block, first)[0]
    second = len(block) + len(block) % 2
    block += b"\0" * (second - len(block))
    struct.pack_into(f"{endian}I", block, first + 2 + 12 * count, second)
    start = second + 2 + 2 * 12 + 4
    block += struct.pack(f"{endian}HHHIIHHIII", 2, 0x201, 4, 1, start, 0x202, 4, 1, len(thumbnail), 0) + thumbnail
    return bytes(block)


def told(exif: Image.Exif) -> dict[str, object]:
    """What a reader learns about the picture, whatever the container."""
    private, position = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
    return {
        "maker": exif.get(271),
        "model": exif.get(272),
        "date": exif.get(306),
        "orientation": exif.get(274, 1),
        "exposure": float(private[33434]),
        "bias": float(private[37380]),
        "note": private[37500],
        "position": (position[1], tuple(float(part) for part in position[2])),
    }


@pytest.fixture(params=["<", ">"], ids=["II", "MM"])
def photo(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    """A JPEG as a camera writes it, in either byte order."""
    buffer = io.BytesIO()
    exif = b"Exif\0\0" + camera_exif(6, endian=request.param)
    Image.fromarray(RGB).save(buffer, "JPEG", exif=exif, icc_profile=ICC, xmp=XMP, dpi=(300, 200), subsampling=0)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("target", "dtype"), [*((name, "uint8") for name in FORMATS), ("PNG", "uint16"), ("TIFF", "uint16")]
)
def test_metadata_is_carried_from_a_camera_to_every_format(target: str, dtype: str, photo: bytes) -> None:
    source = decode_image(photo, "photo.jpg")
    expected = told(Image.open(io.BytesIO(photo)).getexif()) | {"orientation": 1}
    data, warnings = encode_image(source.samples.astype(dtype), SUFFIXES[target], record=source.record)
    with Image.open(io.BytesIO(data)) as written:
        assert told(written.getexif()) == expected
        assert written.info["icc_profile"] == ICC
        xmp = written.info.get("xmp", b"")
        xmp = xmp if isinstance(xmp, bytes) else xmp.encode()
        assert xmp == XMP.replace(b'Orientation="6"', b'Orientation="1"')
        if target != "WEBP":
            assert written.info["dpi"] == pytest.approx((200, 300), abs=0.02)  # the picture was turned
    assert warnings == ()
    assert source.warnings == ()


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
def test_metadata_survives_from_every_format_to_every_other(source: str, target: str) -> None:
    record = FileRecord(icc=ICC, exif=camera_exif(), xmp=XMP.replace(b'"6"', b'"1"'), dpi=(96.0, 96.0))
    first, _ = encode_image(RGB, SUFFIXES[source], record=record)
    read = decode_image(first, "first")
    second, warnings = encode_image(read.samples, SUFFIXES[target], record=read.record)
    again = decode_image(second, "second").record
    assert warnings == read.warnings == ()
    assert (again.icc, again.xmp) == (record.icc, record.xmp)
    assert again.exif is not None
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + again.exif)
    expected = Image.Exif()
    expected.load(b"Exif\0\0" + camera_exif())
    assert told(exif) == told(expected)
    if "WEBP" not in (source, target):
        assert again.dpi == pytest.approx((96, 96), abs=0.02)


@pytest.mark.parametrize("target", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_as_pillow_does(orientation: int, target: str) -> None:
    buffer = io.BytesIO()
    options = {"lossless": True} if target == "WEBP" else {}
    Image.fromarray(RGB).save(buffer, target, exif=b"Exif\0\0" + camera_exif(orientation), **options)
    image = decode_image(buffer.getvalue(), "photo")
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(buffer.getvalue())))
    np.testing.assert_array_equal(image.samples, np.asarray(expected))
    assert image.samples.flags.c_contiguous
    assert image.record.exif is not None
    assert exif_orientation(image.record.exif) == 1
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + image.record.exif)
    sides = exif.get_ifd(0x8769)
    assert (sides[40962], sides[40963]) == expected.size


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_turns_alpha_too(orientation: int) -> None:
    picture = Image.fromarray(RNG.integers(0, 256, (20, 30, 4), dtype=np.uint8))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", exif=b"Exif\0\0" + camera_exif(orientation))
    image = decode_image(buffer.getvalue(), "photo")
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(buffer.getvalue()))))
    assert image.alpha is not None
    np.testing.assert_array_equal(np.dstack([image.samples, image.alpha]), expected)


def test_orientation_of_16_bit_png_is_applied() -> None:
    samples = RNG.integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    data, _ = encode_image(samples, ".png")
    exif = chunk(b"eXIf", camera_exif(8))
    np.testing.assert_array_equal(decode_image(data[:33] + exif + data[33:], "a").samples, np.rot90(samples))


def test_orientation_in_xmp_alone_is_left_to_those_who_heed_it() -> None:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "JPEG", xmp=XMP, quality=95)
    image = decode_image(buffer.getvalue(), "photo")
    assert image.samples.shape == RGB.shape
    assert image.record.xmp == XMP


@pytest.mark.parametrize("value", ["6", "8"])
def test_orientation_in_xmp_is_reset_in_both_spellings(value: str) -> None:
    for spelling in ('tiff:Orientation="{}"', "tiff:Orientation = '{}'", "<tiff:Orientation>{}</tiff:Orientation>"):
        record = FileRecord(xmp=spelling.format(value).encode())
        assert upright_record(record, 6)[0].xmp == spelling.format(1).encode()


@pytest.mark.parametrize("endian", ["<", ">"])
def test_exif_thumbnail_is_dropped_and_the_rest_stays_in_place(endian: str) -> None:
    thumbnail = b"\xff\xd8" + bytes(range(200)) + b"\xff\xd9"
    exif = camera_exif(6, endian, thumbnail)
    before, after = Image.Exif(), Image.Exif()
    before.load(b"Exif\0\0" + exif)
    assert thumbnail_in(exif) == thumbnail
    turned = upright_exif(exif, swap_sides=True)
    after.load(b"Exif\0\0" + turned)
    assert thumbnail_in(turned) is None
    assert thumbnail[4:150] not in turned
    assert told(after) == told(before) | {"orientation": 1}
    assert turned.index(b"MakerNote") == exif.index(b"MakerNote")


def thumbnail_in(exif: bytes) -> bytes | None:
    """The picture that the second directory points to, as Pillow parses it."""
    stream = io.BytesIO(exif)
    first, second = ImageFileDirectory_v2(exif[:8]), ImageFileDirectory_v2(exif[:8])
    stream.seek(first.next)
    first.load(stream)
    if not first.next:
        return None
    stream.seek(first.next)
    second.load(stream)
    return exif[second[513] : second[513] + second[514]]


@pytest.mark.parametrize("exif", [b"", b"no exif at all", b"II*\0\xff\xff\0\0", b"II*\0\x08\0\0\0\xff\xff"])
def test_damaged_exif_is_dropped_with_a_warning(exif: bytes) -> None:
    record, warnings = upright_record(FileRecord(exif=exif), 1)
    assert record.exif is None
    assert warnings == ("the EXIF block is damaged: not carried over",)
    data, warnings = encode_image(RGB, ".tif", record=FileRecord(exif=exif))
    assert warnings == ("the EXIF block is damaged: not written",)
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(data)), RGB)


@pytest.mark.parametrize(("field", "limit"), [("exif", 65527), ("xmp", 65504)])
def test_jpeg_warns_of_blocks_beyond_its_limit(field: str, limit: int) -> None:
    block = camera_exif() if field == "exif" else XMP
    fits = FileRecord(**{field: block.ljust(limit, b" ")})
    data, warnings = encode_image(RGB, ".jpg", record=fits)
    assert warnings == ()
    assert getattr(decode_image(data, "a").record, field) is not None
    data, warnings = encode_image(RGB, ".jpg", record=FileRecord(**{field: block.ljust(limit + 1, b" ")}))
    assert warnings == (f"JPEG cannot hold {field.upper()} of {limit + 1} bytes (at most {limit}): not written",)
    assert getattr(decode_image(data, "a").record, field) is None


def test_write_never_leaves_an_orientation_that_was_applied() -> None:
    data, _ = encode_image(RGB, ".jpg", record=FileRecord(exif=camera_exif(6)))
    assert Image.open(io.BytesIO(data)).getexif()[274] == 1


def test_written_png_is_valid_for_every_depth() -> None:
    record = FileRecord(icc=ICC, exif=camera_exif(), xmp=XMP, dpi=(300.0, 300.0))
    for dtype in (np.uint8, np.uint16):
        data, _ = encode_image(RGB.astype(dtype), ".png", record=record)
        with Image.open(io.BytesIO(data)) as image:
            image.verify()  # checks every CRC
        kinds, at = [], 8
        while at < len(data):
            size, kind = struct.unpack_from(">I4s", data, at)
            kinds.append(kind)
            at += 12 + size
        assert kinds[0] == b"IHDR"
        assert kinds[-1] == b"IEND"
        assert kinds.index(b"iCCP") < kinds.index(b"IDAT")


def test_tiff_base_tags_are_carried_but_not_layout_descriptions(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb", extratags=[(315, "s", 0, "Zoe", True)])
    image = read_image(tmp_path / "a.tif")
    write_image(tmp_path / "b.tif", image.samples[:, ::2].copy(), record=image.record)
    with tifffile.TiffFile(tmp_path / "a.tif") as before, tifffile.TiffFile(tmp_path / "b.tif") as after:
        assert before.pages[0].description.startswith('{"shape"')
        assert after.pages[0].description == ""
        assert after.pages[0].tags["Artist"].value == "Zoe"
        assert after.pages[0].tags["Software"].value == before.pages[0].tags["Software"].value
        assert after.asarray().shape == (20, 15, 3)


def test_tiff_written_with_everything_is_read_by_tifffile_and_pillow(tmp_path: Path) -> None:
    record = FileRecord(icc=ICC, exif=camera_exif(endian=">"), xmp=XMP, dpi=(300.0, 150.0))
    for dtype in (np.uint8, np.uint16, np.float32):
        samples = RGB.astype(dtype) / np.float32(255) if dtype == np.float32 else RGB.astype(dtype)
        write_image(tmp_path / "a.tif", samples, record=record)
        with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
            page = tiff.pages[0]
            np.testing.assert_array_equal(page.asarray(), samples)
            assert page.tags[34675].value == ICC
            assert bytes(page.tags[700].value) == XMP
            assert page.tags[34665].value["ExposureTime"] == (1, 250)
            assert page.tags[34853].value["GPSLatitudeRef"] == "N"
            assert page.tags["Make"].value == "Maker"
            assert page.get_resolution("inch") == pytest.approx((300, 150))
            assert len(tiff.pages) == 1
