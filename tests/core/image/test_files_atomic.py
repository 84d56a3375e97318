"""A file is there complete or not at all, and looks like any new file."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from restorekit.core.image.files import read_image, write_image
from restorekit.errors import ImageError

OLD, NEW = np.zeros((5, 5, 3), np.uint8), np.full((5, 5, 3), 200, np.uint8)


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt(), SystemExit()])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_write_failure_leaves_the_old_file_and_nothing_else(
    step: str, failure: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "a.png", OLD)
    before = (tmp_path / "a.png").read_bytes()

    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), fail)
    with pytest.raises(ImageError if isinstance(failure, OSError) else type(failure)) as caught:
        write_image(tmp_path / "a.png", NEW)
    if isinstance(failure, OSError):
        assert str(caught.value).endswith("a.png: could not be written: no space left on device")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == before


def test_write_flushes_before_it_replaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (steps.append("fsync"), fsync(handle))[1])
    monkeypatch.setattr(Path, "replace", lambda path, to: (steps.append("replace"), replace(path, to))[1])
    write_image(tmp_path / "a.png", NEW)
    assert steps == ["fsync", "replace"]


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_write_gives_the_permissions_of_a_new_file(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        write_image(tmp_path / "a.png", NEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o666 & ~mask


def test_write_replaces_what_a_link_points_to(tmp_path: Path) -> None:
    write_image(tmp_path / "real" / "a.png", OLD)
    (tmp_path / "link.png").symlink_to(tmp_path / "real" / "a.png")
    write_image(tmp_path / "link.png", NEW)
    assert (tmp_path / "link.png").is_symlink()
    np.testing.assert_array_equal(read_image(tmp_path / "real" / "a.png").samples, NEW)


def test_write_reports_a_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(ImageError, match=r"a\.png: could not be written: is a directory"):
        write_image(tmp_path / "a.png", NEW)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_write_takes_the_longest_file_names(tmp_path: Path) -> None:
    write_image(tmp_path / ("x" * 251 + ".png"), NEW)
    assert len(next(tmp_path.iterdir()).name) == 255
