"""Comparisons: same pixels for everyone, rows that cannot be switched off, numbers another library confirms."""

from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
from skimage.metrics import peak_signal_noise_ratio

import restorekit
from restorekit.comparison import ComparisonOptions, centred_region, degraded_subjects, rows
from restorekit.core.classical import CLASSICAL
from restorekit.core.image.pairs import list_images
from restorekit.errors import ModelError, UsageError

FAST = ComparisonOptions()


@pytest.fixture(autouse=True)
def two_classical_rows(monkeypatch):
    """All of them take a while; one test takes them."""
    monkeypatch.setattr(rows, "ALWAYS", ("median", "gamma"))


@pytest.fixture
def photo(tmp_path):
    """A smooth photo-like pattern, so that a median filter helps against noise."""
    y, x = np.mgrid[0:48, 0:64] / 64
    clean = np.stack([x, y, (x + y) / 2], axis=2)
    path = tmp_path / "clean" / "ramp.png"
    path.parent.mkdir()
    PIL.Image.fromarray((clean * 255).astype(np.uint8)).save(path)
    return path


def test_input_and_classical_rows_are_always_there(photo):
    report = restorekit.compare(photo, degrade="noise:sigma=25", options=FAST)
    assert [model.kind for model in report.models] == ["input", "classical", "classical"]
    assert report.images == ("ramp.png",)


def test_no_option_drops_the_input_or_a_classical_row(monkeypatch):
    monkeypatch.undo()
    names = {"input", *(f"classical:{short}" for short in CLASSICAL)}
    assert {row.info.name for row in rows.build_rows([], ComparisonOptions())} == names
    with pytest.raises(TypeError, match="classical"):
        ComparisonOptions(classical=())


def test_named_classical_models_are_rows_of_their_own(photo):
    report = restorekit.compare(photo, degrade="noise:sigma=25", models=["classical:median"], options=FAST)
    assert [(m.name, m.kind, m.asked) for m in report.models] == [
        ("input", "input", False),
        ("classical:gamma", "classical", False),
        ("classical:median", "classical", True),
    ]
    assert [row.model.name for row in report.table(classical_rows=0).rows] == ["input", "classical:median"]


def test_scores_are_those_of_the_stored_pictures(photo):
    report = restorekit.compare(photo, degrade="noise:sigma=25", options=FAST)
    pictures = report.pictures["ramp.png"]
    for model in report.models:
        expected = peak_signal_noise_ratio(pictures["clean"], pictures[model.name], data_range=255)
        assert report.find("ramp.png", model.name).scores["psnr[rgb|per-image|u8|crop0]"] == pytest.approx(
            expected, abs=1e-4
        )


def test_pairs_are_compared_as_they_lie_on_disk(photo, tmp_path):
    degraded = tmp_path / "degraded"
    degraded.mkdir()
    clean = np.asarray(PIL.Image.open(photo))
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 20, clean.shape), 0, 255).astype(np.uint8)
    PIL.Image.fromarray(noisy).save(degraded / "ramp.png")
    report = restorekit.compare(degraded, clean=photo.parent, options=FAST)
    np.testing.assert_array_equal(report.pictures["ramp.png"]["input"], noisy)
    restored = report.find("ramp.png", "classical:median").scores["psnr[rgb|per-image|u8|crop0]"]
    assert restored > report.find("ramp.png", "input").scores["psnr[rgb|per-image|u8|crop0]"] + 3


def test_sizes_of_a_pair_must_agree(photo, tmp_path):
    PIL.Image.new("RGB", (10, 12)).save(tmp_path / "ramp.png")
    with pytest.raises(UsageError, match=r"ramp\.png: 10x12 px, its clean image 64x48 px"):
        restorekit.compare(tmp_path / "ramp.png", clean=photo, options=FAST)


def test_results_depend_on_seed_and_name_only(photo, tmp_path):
    first = restorekit.compare(photo, degrade="noise:sigma=25", options=FAST)
    other = tmp_path / "clean" / "another.png"
    other.write_bytes(photo.read_bytes())
    second = restorekit.compare(photo.parent, degrade="noise:sigma=25", options=FAST)
    address = "psnr[rgb|per-image|u8|crop0]"
    assert first.find("ramp.png", "input").scores == second.find("ramp.png", "input").scores
    assert second.find("another.png", "input").scores[address] != second.find("ramp.png", "input").scores[address]


def test_noise_stays_as_drawn_unless_the_spec_clips_it(photo):
    clipped, unclipped = (
        next(degraded_subjects(list_images([photo]), f"noise:sigma=60,clip={clip}", seed=0)).degraded for clip in (1, 0)
    )
    assert unclipped.dtype == np.float32
    assert unclipped.min() < 0
    np.testing.assert_array_equal(np.clip(unclipped, 0, 1), clipped)


def test_without_reference_only_blind_metrics_are_allowed(photo):
    with pytest.raises(UsageError, match=r"expected metrics without reference, got psnr"):
        restorekit.compare(photo, options=ComparisonOptions(metrics=["psnr"]))


def test_clean_and_degrade_exclude_each_other(photo):
    with pytest.raises(UsageError, match="got both"):
        restorekit.compare(photo, clean=photo, degrade="noise", options=FAST)


def test_typos_cost_no_work(photo):
    steps = []
    with pytest.raises(ModelError, match="classical:nlm"):
        restorekit.compare(
            photo, degrade="noise", models=["classical:nml"], options=FAST, on_step=lambda *a: steps.append(a)
        )
    assert steps == []


def test_large_photos_are_measured_on_one_centred_region(photo):
    options = ComparisonOptions(region_megapixels=0.001)
    report = restorekit.compare(photo, degrade="noise:sigma=25", models=["classical:median"], options=options)
    assert "0.001" in report.run.region
    shapes = {picture.shape for picture in report.pictures["ramp.png"].values()}
    assert shapes == {(27, 36, 3)}
    sizes = {score.model: score.megapixels for score in report.scores}
    assert sizes["classical:gamma"] == pytest.approx(27 * 36 / 1e6)
    assert sizes["classical:median"] == pytest.approx(64 * 48 / 1e6)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3000, 20), (4000, 6000), (719, 1280)])
def test_regions_are_centred_and_at_most_the_limit(height, width):
    rows, columns = centred_region(height, width, 1.0)
    assert (rows.stop - rows.start) * (columns.stop - columns.start) <= 1e6
    assert abs(rows.start - (height - rows.stop)) <= 1
    assert abs(columns.start - (width - columns.stop)) <= 1


def test_report_lands_on_disk(photo, tmp_path):
    restorekit.compare(photo, degrade="noise:sigma=25", options=FAST, output=tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"table.md", "scores.csv", "report.json", "sheet.png", "index.html"} <= names
    assert restorekit.Report.load(tmp_path / "out").run.degradation == "noise:sigma=25"


def test_photos_are_spaced_evenly_and_cut_to_their_centre_once_degraded(photo):
    for name in "bcdef":
        (photo.parent / f"{name}.png").write_bytes(photo.read_bytes())
    whole = restorekit.compare(photo.parent, degrade="noise:sigma=25", options=FAST)
    options = replace(FAST, photos=3, crop_px=40)
    cut = restorekit.compare(photo.parent, degrade="noise:sigma=25", options=options)
    assert cut.run.inputs == ("b.png", "d.png", "f.png")
    assert (whole.run.region, cut.run.region) == (None, "cut to the centre, at most 40 px a side")
    np.testing.assert_array_equal(cut.pictures["d.png"]["input"], whole.pictures["d.png"]["input"][4:44, 12:52])
    pairs = restorekit.compare(photo.parent, clean=photo.parent, options=options)
    assert pairs.run.inputs == cut.run.inputs
    assert pairs.pictures["d.png"]["clean"].shape == (40, 40, 3)
    with pytest.raises(UsageError, match="photos: expected at least 1, got 0"):
        restorekit.compare(photo, degrade="noise", options=replace(FAST, photos=0))
