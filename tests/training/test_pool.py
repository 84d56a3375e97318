import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from restorekit.errors import RestorekitError, UsageError
from restorekit.training.pool import PhotoPool, open_pool


def test_pool_holds_the_pixels_of_every_photo(photos: Path, pool: PhotoPool) -> None:
    assert [view.name for view in pool.views] == ["a.png", "b.png", "gray.png"]
    for index, view in enumerate(pool.views):
        expected = cv2.imread(str(photos / view.name), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(pool.pixels(index), expected[..., ::-1])


def test_pool_scales_by_averaging_areas(photos: Path, tmp_path: Path) -> None:
    whole, half = (open_pool(photos, (scale,), cache=tmp_path).pixels(0) for scale in (1.0, 0.5))
    blocks = whole.reshape(20, 2, 24, 2, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(half - blocks).max() <= 0.5


def test_pool_is_decoded_once_and_anew_when_a_photo_changes(photos: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    folder = tmp_path / "mine"
    folder.mkdir()
    for photo in photos.iterdir():
        (folder / photo.name).write_bytes(photo.read_bytes())
    first = open_pool(folder, cache=tmp_path / "cache", on_note=notes.append)
    again = open_pool(folder, cache=tmp_path / "cache", on_note=notes.append)
    assert first.path == again.path
    assert len(notes) == 1
    cv2.imwrite(str(folder / "a.png"), np.zeros((20, 20, 3), np.uint8))
    changed = open_pool(folder, cache=tmp_path / "cache", on_note=notes.append)
    assert changed.pixels(0).shape == (20, 20, 3)
    assert len(notes) == 2


def test_pool_replaces_a_damaged_cache_file(photos: Path, tmp_path: Path) -> None:
    pool = open_pool(photos, cache=tmp_path)
    pool.path.write_bytes(b"cut short")
    assert open_pool(photos, cache=tmp_path).pixels(0).shape == (40, 48, 3)
    assert list(tmp_path.iterdir()) == [pool.path]


def test_pool_travels_without_its_pixels(pool: PhotoPool) -> None:
    pool.pixels(0)
    sent = pickle.dumps(pool)
    assert len(sent) < 2000
    np.testing.assert_array_equal(pickle.loads(sent).pixels(1), pool.pixels(1))


def test_pool_names_every_photo_that_cannot_be_read(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "good.png").write_bytes((photos / "a.png").read_bytes())
    for name in ("bad1.png", "bad2.png"):
        (folder / name).write_bytes(b"no image")
    with pytest.raises(UsageError, match=r"(?s)got 2 that are not; remove or replace them:.*bad1\.png.*bad2\.png"):
        open_pool(folder, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_pool_says_when_the_cache_cannot_be_written(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RestorekitError, match=r"could not be written: .*choose a folder with room by --cache"):
        open_pool(photos, cache=tmp_path / "file" / "cache")
