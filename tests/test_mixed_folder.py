"""The folder every user has: good photos of all kinds between broken ones. All good ones come back as they were."""

import cv2
import numpy as np
import PIL.Image
import pytest
import tifffile
from typer.testing import CliRunner

from restorekit.cli.main import app

HEIC_HEAD = b"\0\0\0\x18ftypheic\0\0\0\0heicmif1"


@pytest.fixture(scope="module")
def clean():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def restored(clean, tmp_path_factory):
    """A folder restored with strength 0: what comes out must equal what went in, sample for sample."""
    root = tmp_path_factory.mktemp("mixed")
    folder = root / "photos"
    folder.mkdir()
    picture = PIL.Image.fromarray(clean)
    exif = PIL.Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera"
    picture.save(folder / "rotated.webp", lossless=True, exif=exif)
    picture.convert("L").save(folder / "gray.png")
    picture.convert("CMYK").save(folder / "cmyk.tif")
    PIL.Image.fromarray(np.dstack([clean, clean[..., 0]])).save(folder / "alpha.png")
    cv2.imwrite(str(folder / "deep.png"), clean[..., ::-1].astype(np.uint16) * 257)
    tifffile.imwrite(folder / "float.tif", clean.astype(np.float32) / 255, photometric="rgb")
    picture.save(folder / "名前 é.png")
    whole = (folder / "名前 é.png").read_bytes()
    (folder / "corrupt.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "phone.heic").write_bytes(HEIC_HEAD)
    (folder / "text.png").write_text("not a picture")
    arguments = ["restore", str(folder), "-o", str(root / "out"), "-m", "classical:median", "--strength", "0"]
    return root / "out", CliRunner().invoke(app, arguments)


def test_exit_code_is_1_and_each_bad_file_has_its_line(restored):
    output, result = restored
    assert result.exit_code == 1
    assert result.stdout.startswith("7 restored, 4 failed -> ")
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    for name in ("corrupt.png", "empty.jpg", "phone.heic", "text.png"):
        assert sum(name in line for line in lines) == 1
        assert not (output / name).exists()


@pytest.mark.parametrize("name", ["alpha.png", "名前 é.png"])
def test_eight_bit_samples_are_unchanged(restored, clean, name):
    after = np.asarray(PIL.Image.open(restored[0] / name))
    np.testing.assert_array_equal(after[..., :3], clean)
    if name == "alpha.png":
        np.testing.assert_array_equal(after[..., 3], clean[..., 0])


def test_gray_stays_gray(restored, clean):
    after = PIL.Image.open(restored[0] / "gray.png")
    assert after.mode == "L"
    np.testing.assert_array_equal(np.asarray(after), np.asarray(PIL.Image.fromarray(clean).convert("L")))


def test_sixteen_bits_stay_sixteen(restored, clean):
    after = cv2.imread(str(restored[0] / "deep.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(after, clean[..., ::-1].astype(np.uint16) * 257)


def test_floats_stay_floats(restored, clean):
    after = tifffile.imread(restored[0] / "float.tif")
    assert after.dtype == np.float32
    np.testing.assert_allclose(after, clean / 255, atol=1e-6)


def test_rotation_is_applied_and_the_tag_reset(restored, clean):
    after = PIL.Image.open(restored[0] / "rotated.webp")
    np.testing.assert_array_equal(np.asarray(after), np.rot90(clean, -1))
    assert (after.getexif()[0x0112], after.getexif()[0x010F]) == (1, "Camera")


def test_cmyk_becomes_rgb_with_a_warning(restored):
    with PIL.Image.open(restored[0] / "cmyk.tif") as after:
        assert after.mode == "RGB"
    assert any("cmyk.tif" in line and "CMYK" in line for line in restored[1].stderr.splitlines())
