"""``restorekit constyle embed`` as a user types it."""

import csv
import json

import numpy as np
import PIL.Image
import pytest
import torch
from typer.testing import CliRunner

import restorekit
from restorekit.cli.main import app
from restorekit.constyle import embed

RECIPE = """
method = "constyle"
[config.network.unet]
block = "dense"
width = 4
encoder_blocks = [1]
middle_blocks = 1
decoder_blocks = [1]
encoder_width = 4
"""


def call(*arguments):
    return CliRunner().invoke(app, ["constyle", "embed", *(str(argument) for argument in arguments)])


@pytest.fixture
def model(tmp_path):
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return f"recipe:{tmp_path / 'tiny.toml'}"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index, name in enumerate(("a.png", "b.png")):
        pixels = rng.integers(0, 100 * (index + 1), (24, 32, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(folder / name)
    return folder


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def code_in(row):
    return torch.tensor([float(row[f"code_{index}"]) for index in range(128)])


def test_each_photo_appears_once_for_each_spec(photos, model, tmp_path) -> None:
    specs = ["noise:sigma=25,clip=0", "haze:beta=1"]
    options = [word for spec in specs for word in ("-d", spec)]
    result = call(photos, "-o", tmp_path / "codes.csv", "-m", model, *options, "--plot", tmp_path / "codes.png")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"4 codes, 0 failed -> {tmp_path / 'codes.csv'}; they differ by ")
    rows = rows_of(tmp_path / "codes.csv")
    assert [(row["name"], row["degradation"]) for row in rows] == [(n, s) for n in ("a.png", "b.png") for s in specs]
    restorer = restorekit.load(model)
    for row in rows:
        clean = np.asarray(PIL.Image.open(photos / row["name"])).astype(np.float32) / 255
        degraded = restorekit.degrade(clean, row["degradation"], name=row["name"])
        expected = embed(torch.from_numpy(degraded).permute(2, 0, 1)[None], restorer)[0]
        torch.testing.assert_close(code_in(row), expected, rtol=1e-4, atol=1e-5)
    with PIL.Image.open(tmp_path / "codes.png") as picture:
        assert picture.width > 500


def test_photos_as_they_are_in_json(photos, model, tmp_path) -> None:
    result = call(photos / "a.png", photos / "b.png", "-o", tmp_path / "codes.npy", "-m", model, "--json")
    told = json.loads(result.stdout)
    assert (told["codes"], told["failed"], told["file"]) == (2, 0, str(tmp_path / "codes.npy"))
    codes = np.load(tmp_path / "codes.npy").astype(np.float64)
    spread = np.sqrt(codes.var(axis=0).mean()) / np.sqrt(np.square(codes).mean())
    assert told["spread"] == pytest.approx(spread, rel=1e-6)


def test_bad_photos_are_named_and_the_rest_is_done(photos, model, tmp_path) -> None:
    (photos / "bad.png").write_bytes(b"nothing")
    result = call(photos, "-o", tmp_path / "codes.csv", "-m", model)
    assert result.exit_code == 1
    assert result.stderr.count("error:") == 1
    assert "bad.png" in result.stderr
    assert [row["name"] for row in rows_of(tmp_path / "codes.csv")] == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "codes.txt"], "--output: expected a name ending in .csv, .json, .npy, got 'codes.txt'"),
        (["-o", "codes.csv", "--plot", "a.gif"], "--plot: expected a name ending in .png, .pdf, .svg, got 'a.gif'"),
        (["-o", "codes.csv", "--plot", "a.png"], "--plot: expected at least 2 codes, got 1"),
        (["-o", "codes.csv", "-d", "nosie"], "did you mean noise"),
        (["-o", "codes.csv", "-m", "classical:median"], "expected a constyle model, got classical:median"),
        (["-o", "codes.csv"], "--model: expected a model of constyle, got nothing"),
    ],
)
def test_wrong_usage_is_refused_in_one_line(photos, tmp_path, monkeypatch, arguments, message) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("restorekit.cli.method.shipped_models", dict)
    result = call(photos / "a.png", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("error:") == 1
    assert not (tmp_path / "codes.csv").exists()
