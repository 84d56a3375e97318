"""``restorekit train`` as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from restorekit.cli.console import report_errors
from restorekit.cli.train import train

RECIPE = """
method = "supervised"
degradation = "noise:sigma=25"
[config]
network = "nafnet"
network_options = { width = 4, encoder_blocks = [1], middle_blocks = 1, decoder_blocks = [1] }
[training]
steps = 3
batch_size = 2
crop_px = 16
"""


@pytest.fixture
def call(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(RECIPE)
    app = typer.Typer()
    app.command()(report_errors(train))
    common = ("tiny.toml", "--data", photos, "--cache", tmp_path / "cache")
    return lambda *options: CliRunner().invoke(app, [str(text) for text in (*common, *options)])


def test_train_says_where_everything_is_and_shows_life_on_stderr(call, tmp_path: Path) -> None:
    result = call()
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("finished at step 3 of 3 after 0:00:")
    assert (tmp_path / "runs" / "tiny" / "weights.safetensors").is_file()
    assert "weights      runs/tiny/weights.safetensors" in result.stdout
    assert "step 1/3  loss " in result.stderr
    assert "step 3/3  loss " in result.stderr
    assert "0:00:00 left" in result.stderr


def test_train_continues_and_speaks_json(call, photos: Path) -> None:
    call("--set", "training.steps=2")
    result = call("--json", "--validation", photos, "--output", "runs/tiny")
    document = json.loads(result.stdout)
    assert (document["step"], document["finished"], document["stopped"]) == (3, True, "finished")
    assert document["scores"].keys() == {"training/psnr", "training/ssim"}
    assert "step 3: training/psnr" in result.stderr
    assert "settings changed since the checkpoint, the new ones hold: steps 2 -> 3" in result.stderr


def test_train_refuses_wrong_settings_and_resume_points(call) -> None:
    wrong = call("--set", "training.step=2")
    assert wrong.exit_code == 2
    assert "training.step: unknown key" in wrong.stderr
    assert "did you mean steps" in wrong.stderr
    missing = call("--resume", "sometimes")
    assert missing.exit_code == 2
    assert "--resume: expected auto, never or the path of a checkpoint, got 'sometimes'" in missing.stderr


def test_command_loads_no_torch() -> None:
    code = "import sys, restorekit.cli.train; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
