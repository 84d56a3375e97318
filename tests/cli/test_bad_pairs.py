"""Pairs that do not fit: everything that is wrong in one message, exit code 2, nothing restored, nothing written."""

import numpy as np
import pytest
from typer.testing import CliRunner

from restorekit.cli.main import app
from restorekit.comparison import run
from restorekit.core.image.files import write_image

PROBLEMS = (
    "lonely: only in",
    "twice: several files in",
    "wide.png: 24x20 px, its clean image 26x20 px",
    "deep.png: 8 bits a sample, its clean image 16 bits a sample",
)


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def picture(path, *, width=24, dtype=np.uint8):
    write_image(path, np.zeros((20, width, 3), dtype))


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Folders of pairs of which one pair is sound; restoring anything is an error of the test's own."""
    monkeypatch.setattr(run, "restore_row", None)
    for name in ("sound.png", "lonely.png", "twice.png", "twice.tif", "wide.png", "deep.png"):
        picture(tmp_path / "lq" / name)
    for name in ("sound.png", "twice.png"):
        picture(tmp_path / "gt" / name)
    picture(tmp_path / "gt" / "wide.png", width=26)
    picture(tmp_path / "gt" / "deep.png", dtype=np.uint16)
    return tmp_path


@pytest.mark.parametrize("command", ["compare", "score", "score --explain"])
def test_bad_pairs_are_listed_before_any_work(command, data):
    name, *flags = command.split()
    arguments = ("--clean", data / "gt", "-o", data / "out") if name == "compare" else (data / "gt",)
    result = call(name, data / "lq", *arguments, *flags)
    assert result.exit_code == 2, result.stderr
    assert "got 4 problems; mend or remove these files" in result.stderr
    assert all(problem in result.stderr for problem in PROBLEMS)
    assert not (data / "out").exists()


@pytest.mark.parametrize("flags", [("--degrade", "noise"), ()])
def test_photos_that_cannot_be_measured_together_are_listed_before_any_work(flags, data):
    (data / "lq" / "empty.jpg").touch()
    picture(data / "lq" / "deeper.tif", dtype=np.uint16)
    result = call("compare", data / "lq", *flags, "-o", data / "out")
    assert result.exit_code == 2, result.stderr
    assert "got 2 problems; mend or remove these files" in result.stderr
    assert "empty.jpg: expected an image, got an empty file" in result.stderr
    assert "deeper.tif: 16 bits a sample, most photos 8 bits a sample" in result.stderr
    assert not (data / "out").exists()


def test_bench_lists_what_is_wrong_with_every_set_before_the_first(data):
    (data / "torn").mkdir()
    (data / "torn" / "text.png").write_text("not a picture")
    picture(data / "torn" / "a.png"), picture(data / "torn" / "b.png", dtype=np.uint16)
    picture(data / "good" / "a.png")
    picture(data / "other" / "a.png", width=30)
    suite = data / "suite.toml"
    suite.write_text(
        'title = "t"\n'
        '[[sets]]\nname = "sound"\nclean = "good"\ndegrade = "noise"\n'
        '[[sets]]\nname = "first"\nclean = "gt"\ndegraded = "lq"\n'
        '[[sets]]\nname = "absent"\nclean = "none"\ndegraded = "lq"\n'
        '[[sets]]\nname = "third"\nclean = "torn"\ndegrade = "noise"\n'
        '[[sets]]\nname = "second"\nclean = "good"\ndegraded = "other"\n'
    )
    result = call("bench", suite, "--data", data, "-o", data / "out")
    assert result.exit_code == 2, result.stderr
    assert "first: pairs: expected" in result.stderr
    assert "second: pairs: expected" in result.stderr
    assert "third: images: expected photos that can be read, all of one bit depth, got 2 problems" in result.stderr
    assert all(problem in result.stderr for problem in (*PROBLEMS, "a.png: 30x20 px, its clean image 24x20 px"))
    assert not (data / "out").exists()
