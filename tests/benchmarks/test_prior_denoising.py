"""The prior's table and sheet: exact for a prior and a model that are known, and made by one command."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from prior_denoising import Row, draw_sheet, main, measure, to_markdown

from restorekit.core.networks.dense_unet import DenseUNetConfig
from restorekit.core.networks.restorer import NetworkRestorer
from restorekit.core.weights import save_weights
from restorekit.priors.compact_diffusion import CompactDiffusionConfig, prior_metadata
from restorekit.priors.gaussian_diffusion_prior import GaussianDiffusionPrior

ALPHA_BAR = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
TINY = CompactDiffusionConfig(widths=(8, 16), blocks=(1, 1), head_channels=8, code_dim=8)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return save_weights(tmp_path / "w.safetensors", TINY.build().state_dict(), prior_metadata(TINY)).path


def test_rows_are_those_of_the_wiener_filter() -> None:
    """A gray photo, the exact prior of white images around gray, and a fresh DenseUNet, which changes nothing."""
    photos, model = (
        {"gray": torch.full((1, 3, 96, 96), 0.5)},
        NetworkRestorer("same", DenseUNetConfig(widths=(4,), blocks=(1,))),
    )
    rows = measure(GaussianDiffusionPrior(0.0, 0.05), model, photos, [10, 100], seed=0)
    for row, t in zip(rows, (10, 100), strict=True):
        sigma = ((1 - ALPHA_BAR[t]) / ALPHA_BAR[t]) ** 0.5
        gain = 0.05 / (0.05 + sigma**2)
        assert row.sigma == pytest.approx(127.5 * sigma, abs=0.01)
        assert row.noisy[0] == row.model[0] == pytest.approx(-20 * np.log10(sigma / 2), abs=0.1)
        assert row.prior[0] == pytest.approx(-20 * np.log10(gain * sigma / 2), abs=0.1)


def test_table_has_means_and_paired_differences() -> None:
    few = to_markdown([Row(5, 4.0, [20.0, 22.0], [25.0, 26.0], [26.0, 28.0])], "base")
    assert "| 5 | 4.0 | 21.00 | 25.50 | 27.00 | +1.50 |" in few
    many = to_markdown([Row(5, 4.0, [20.0] * 9, [25.0] * 9, [26.0 + k for k in range(9)])], "base")
    assert "+5.00 [" in many
    assert "mean of 9 photos" in many


def test_sheet_has_a_cell_for_each_sample() -> None:
    sheet = draw_sheet(GaussianDiffusionPrior(0.2, 1e-9), 9, side_px=16, steps=10, seed=0)
    assert sheet.size == (8 * 20 + 4, 2 * 20 + 4)
    pixels = np.asarray(sheet)
    assert (pixels[4:20, 4:20] == 153).all()  # 0.2 of [-1, 1]
    assert (pixels[24:40, 24:] == 255).all()


def test_one_command_makes_table_record_and_sheet(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 255, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    options = ["--model", "classical:median", "--photos", "2", "--timesteps", "5", "50"]
    files = ["--json", str(tmp_path / "r.json"), "--sheet", str(tmp_path / "s.png")]
    drawn = ["--samples", "2", "--side", "8", "--steps", "2"]
    main([str(weights), "--clean", str(tmp_path / "photos"), *options, *files, *drawn])
    printed = capsys.readouterr().out
    record = json.loads((tmp_path / "r.json").read_text())
    assert record["photos"] == ["0.png", "1.png"]
    assert [row["timestep"] for row in record["rows"]] == [5, 50]
    assert f"| 5 | {record['rows'][0]['sigma']:.1f} | {np.mean(record['rows'][0]['noisy']):.2f} |" in printed
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.size == (28, 16)
