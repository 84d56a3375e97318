"""``restorekit models convert``: an official checkpoint becomes a model that can be named."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from typer.testing import CliRunner

from restorekit.cli.main import app

HERE = Path(__file__).parents[1] / "core" / "networks" / "official.py"
spec = importlib.util.spec_from_file_location("official", HERE)
official = importlib.util.module_from_spec(spec)
spec.loader.exec_module(official)


@pytest.fixture
def checkpoint(tmp_path):
    """A randomly initialised NAFNet in the authors' layout."""
    torch.manual_seed(0)
    path = tmp_path / "nafnet.pth"
    torch.save({"params": official.nafnet_state(width=4)}, path)
    return path


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_converted_checkpoints_restore_photos(checkpoint, tmp_path):
    target = tmp_path / "nafnet.safetensors"
    result = call("models", "convert", checkpoint, "-o", target, "--licence", "MIT", "--json")
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    assert (record["network"], record["licence"]) == ("nafnet", "MIT")
    assert record["parameters"] == sum(tensor.numel() for tensor in official.nafnet_state(width=4).values())
    photo = tmp_path / "photo.png"
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)).save(photo)
    restored = call("restore", photo, "-o", tmp_path / "out.png", "--model", f"file:{target}")
    assert restored.exit_code == 0, restored.stderr
    with PIL.Image.open(tmp_path / "out.png") as image:
        assert image.size == (20, 24)


def test_other_files_are_refused_and_nothing_is_written(tmp_path):
    torch.save({"params": {"a": torch.zeros(2)}}, tmp_path / "other.pth")
    target = tmp_path / "x.safetensors"
    result = call("models", "convert", tmp_path / "other.pth", "-o", target, "--licence", "MIT")
    assert result.exit_code == 2
    assert result.stderr.count("error:") == 1
    assert not target.exists()
