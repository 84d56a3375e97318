"""``restorekit diagnose``: a table, one JSON document, and the other photos when one cannot be read."""

import json

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from restorekit.cli.main import app


def call(*arguments):
    return CliRunner().invoke(app, ["diagnose", *(str(argument) for argument in arguments)])


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        noisy = np.clip(128 + 25 * rng.standard_normal((96, 128, 3)), 0, 255)
        PIL.Image.fromarray(noisy.astype(np.uint8)).save(tmp_path / name)
    return tmp_path


def test_table_names_problem_sigma_and_model(photos):
    result = call(photos)
    assert result.exit_code == 0, result.stderr
    row = next(line for line in result.stdout.splitlines() if "a.png" in line)
    assert "noise (" in row
    assert "σ 25" in row or "σ 24" in row
    assert "base" in row


def test_json_is_one_document_with_every_measurement(photos):
    document = json.loads(call(photos, "--json").stdout)
    assert set(document["images"]) == {"a.png", "b.png"}
    found = document["images"]["a.png"]
    assert found["problem"] == "noise"
    assert found["noise"]["sigma"] == pytest.approx(25, rel=0.1)
    assert {"jpeg", "blur", "exposure", "colour_cast", "haze", "rain", "model", "probabilities"} <= set(found)


def test_bad_file_is_named_and_the_rest_measured(photos):
    (photos / "bad.png").write_bytes(b"nothing")
    result = call(photos)
    assert result.exit_code == 1
    assert result.stderr.count("error:") == 1
    assert "bad.png" in result.stderr
    assert "a.png" in result.stdout


def test_small_photo_is_named(tmp_path):
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "tiny.png")
    result = call(tmp_path)
    assert result.exit_code == 1
    assert "tiny.png: diagnose: expected at least 32x32 px, got 8x8" in result.stderr


def test_missing_input_is_wrong_usage(tmp_path):
    assert call(tmp_path / "absent.png").exit_code == 2
