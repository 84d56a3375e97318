"""``restorekit score --explain``: the same pictures under every definition, each confirmed by another library."""

import json

import cv2
import numpy as np
import PIL.Image
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from typer.testing import CliRunner

from restorekit.cli.definitions import DEFINITIONS
from restorekit.cli.main import app


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders of two pictures, and the pictures."""
    root, generator, pairs = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0), []
    for index, sigma in enumerate((4, 40)):
        clean = generator.integers(40, 200, (48, 40, 3)).astype(np.float64)
        clean = cv2.GaussianBlur(clean, (0, 0), 2).astype(np.uint8)
        noisy = np.clip(clean + generator.normal(0, sigma, clean.shape), 0, 255).astype(np.uint8)
        for name, image in (("clean", clean), ("restored", noisy)):
            (root / name).mkdir(exist_ok=True)
            PIL.Image.fromarray(image).save(root / name / f"{index}.png")
        pairs.append((noisy, clean))
    return root / "restored", root / "clean", pairs


@pytest.fixture(scope="module")
def measured(folders):
    rows = json.loads(call("score", "--explain", folders[0], folders[1], "--json").stdout)
    return {(row["metric"], row["definition"]): row for row in rows}


def mean(pairs, score):
    return float(np.mean([score(a, b) for a, b in pairs]))


def test_explain_measures_every_definition(measured):
    assert len(measured) == len(DEFINITIONS) == 15
    assert all(np.isfinite(row["value"]) for row in measured.values())


def test_explain_psnr_is_that_of_scikit_image_and_pools_as_torchmetrics(measured, folders):
    pairs = folders[2]
    assert measured["PSNR", "RGB, mean of images"]["value"] == pytest.approx(
        mean(pairs, peak_signal_noise_ratio), abs=1e-4
    )
    error = np.mean([np.square(a.astype(float) - b).mean() for a, b in pairs])
    pooled = measured["PSNR", "RGB, one mean squared error for all images"]["value"]
    assert pooled == pytest.approx(10 * np.log10(255**2 / error), abs=1e-4)
    cut = mean(pairs, lambda a, b: peak_signal_noise_ratio(b[4:-4, 4:-4], a[4:-4, 4:-4]))
    assert measured["PSNR", "RGB, 4 px border cut"]["value"] == pytest.approx(cut, abs=1e-4)


def test_explain_ssim_is_that_of_scikit_image_also_with_colour_as_an_axis(measured, folders):
    pairs = folders[2]
    boxed = mean(pairs, lambda a, b: structural_similarity(a / 255, b / 255, channel_axis=2, data_range=1))
    assert measured["SSIM", "RGB, 7 px box"]["value"] == pytest.approx(boxed, abs=1e-5)
    third = mean(pairs, lambda a, b: structural_similarity(a, b, win_size=3))
    assert measured["SSIM", "colour as a third axis of a 3 px window"]["value"] == pytest.approx(third, abs=1e-9)


def test_explain_prints_one_table_with_addresses_hashes_and_the_width(folders, measured):
    text = call("score", "--explain", folders[0], folders[1]).stdout
    assert "PSNR is " in text
    assert "Only numbers of one hash can be compared." in text
    hashes = {row["hash"] for row in measured.values()} - {"-"}
    assert len(hashes) >= 12
    assert all(protocol in text for protocol in hashes)


def test_explain_needs_a_reference(folders):
    result = call("score", "--explain", folders[0])
    assert result.exit_code == 2
    assert "--explain: expected RESTORED and CLEAN, got no reference" in result.stderr


def test_one_metric_under_two_protocols_is_no_table(folders):
    metrics = ("--metric", "psnr", "--metric", "psnr[y-studio]")
    result = call("score", folders[0], folders[1], *metrics)
    assert result.exit_code == 2
    assert "psnr: expected one protocol in one table" in result.stderr
    both = json.loads(call("score", folders[0], folders[1], *metrics, "--json").stdout)["mean"]
    assert [name.partition("|")[0] for name in both] == ["psnr[rgb", "psnr[y-studio"]
