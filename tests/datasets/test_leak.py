"""Near-duplicates are found through everything that keeps a picture the same, and nothing else is."""

import importlib.resources

import cv2
import numpy as np
import pytest

from restorekit.datasets.fingerprint import ORIENTATIONS, bits_of, hamming, orient, thumbnail
from restorekit.datasets.leak import find_leaks
from restorekit.errors import UsageError

PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")


def jpeg(photo, quality):
    return cv2.imdecode(cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


CHANGES = {
    "copied": lambda photo: photo,
    "halved": lambda photo: cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "enlarged": lambda photo: cv2.resize(photo, None, fx=1.3, fy=1.3, interpolation=cv2.INTER_CUBIC),
    "squeezed": lambda photo: cv2.resize(photo, (200, 150), interpolation=cv2.INTER_LINEAR),
    "jpeg of quality 50": lambda photo: jpeg(photo, 50),
    "halved, then jpeg": lambda photo: jpeg(photo[::2, ::2], 50),
    "brighter": lambda photo: np.clip(photo * 1.1 + 8, 0, 255).astype(np.uint8),
    "darker": lambda photo: (photo * 0.8).astype(np.uint8),
    "gamma 0.8": lambda photo: (255 * (photo / 255) ** 0.8).astype(np.uint8),
    "16 bits": lambda photo: photo.astype(np.uint16) * 257,
    "gray": lambda photo: cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY),
    "mirrored": lambda photo: photo[:, ::-1],
    "turned by 90": lambda photo: np.rot90(photo, -1),
}


@pytest.fixture(scope="module")
def photos():
    folder = importlib.resources.files("skimage") / "data"
    return {name: cv2.imread(str(folder / name)) for name in PHOTOS}


@pytest.fixture(scope="module")
def train(photos, tmp_path_factory):
    root = tmp_path_factory.mktemp("train")
    for name, photo in photos.items():
        cv2.imwrite(str(root / name), photo)
    return root


@pytest.mark.parametrize("change", CHANGES)
def test_find_leaks_finds_changed_copies_and_nothing_else(photos, train, tmp_path, change):
    for name in ("chelsea.png", "coffee.png"):
        cv2.imwrite(str(tmp_path / f"copy_of_{name}"), CHANGES[change](photos[name]))
    report = find_leaks(train, tmp_path)
    assert [(leak.test, leak.train) for leak in report.leaks] == [
        ("copy_of_chelsea.png", "chelsea.png"),
        ("copy_of_coffee.png", "coffee.png"),
    ]
    assert {leak.orientation for leak in report.leaks} == {change if change in ORIENTATIONS else "same"}
    assert (report.train, report.test, report.skipped) == (4, 2, ())


def test_find_leaks_takes_parts_of_photos_for_other_pictures(photos, train, tmp_path):
    for name, photo in photos.items():
        height, width = photo.shape[:2]
        cv2.imwrite(str(tmp_path / name), photo[: height // 2, : width // 2])
    assert find_leaks(train, tmp_path).leaks == ()


def test_find_leaks_of_an_exact_copy_is_at_distance_zero(photos, train, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), photos["coffee.png"])
    (leak,) = find_leaks(train, tmp_path, max_distance=0).leaks
    assert leak.distance == 0
    assert leak.likeness == pytest.approx(1.0)


def test_find_leaks_names_what_it_could_not_compare(photos, train, tmp_path):
    cv2.imwrite(str(tmp_path / "flat.png"), np.full((40, 40, 3), 90, np.uint8))
    (tmp_path / "bad.png").write_bytes(b"nothing")
    report = find_leaks(train, tmp_path)
    assert (report.test, report.leaks) == (0, ())
    assert [line.rpartition("/")[2].partition(":")[0] for line in report.skipped] == ["bad.png", "flat.png"]


def test_find_leaks_refuses_a_folder_within_the_other(train):
    with pytest.raises(UsageError, match="expected two folders apart from each other"):
        find_leaks(train.parent, train)


def test_find_leaks_refuses_a_distance_that_finds_everything(train, tmp_path):
    with pytest.raises(UsageError, match="--distance: expected 0 to 32 bits, got 40"):
        find_leaks(train, tmp_path, max_distance=40)


def test_hamming_counts_bits_as_text_does():
    left, right = (np.random.default_rng(seed).integers(0, 2**64, 5, dtype=np.uint64) for seed in (0, 1))
    expected = [[bin(int(a) ^ int(b)).count("1") for b in right] for a in left]
    assert hamming(left, right).tolist() == expected


def test_bits_are_the_signs_of_the_lowest_frequencies():
    """A picture made of one frequency sets the bit of that frequency, which the transform's definition gives."""
    place = np.arange(32) + 0.5
    small = (0.5 + 0.3 * np.cos(np.pi * place / 32)[None, :] * np.ones((32, 1))).astype(np.float32)
    opposite = (1 - small).astype(np.float32)
    bits, other = bits_of(small), bits_of(opposite)
    assert int(bits) & 1 != int(other) & 1  # (0, 1) is the first of the frequencies


def test_orientations_are_eight_and_return():
    small = np.random.default_rng(0).random((32, 32), dtype=np.float32)
    assert len({orient(small, way).tobytes() for way in range(8)}) == len(ORIENTATIONS) == 8
    for way in (0, 1, 2, 3, 6, 7):
        assert np.array_equal(orient(orient(small, way), way), small)
    assert np.array_equal(orient(orient(small, 4), 5), small)


def test_thumbnail_averages_pixels():
    photo = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    means = photo.reshape(32, 2, 32, 3, 3).mean(axis=(1, 3)) / 255
    expected = means @ np.array([0.299, 0.587, 0.114])
    assert np.abs(thumbnail(photo) - expected).max() < 0.5 / 255 + 1e-6  # rounded to 8 bits
