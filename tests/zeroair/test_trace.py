"""A trace keeps what a run did: numbers of every step, pictures of some, and files that can be read."""

import csv
import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from restorekit.errors import UsageError
from restorekit.priors.gaussian_diffusion_prior import GaussianDiffusionPrior
from restorekit.zeroair.restorer import RunProgress, ZeroAIRRestorer
from restorekit.zeroair.settings import ZeroAIRSettings
from restorekit.zeroair.trace import Trace

DEGRADED = torch.rand(1, 3, 16, 20, generator=torch.Generator().manual_seed(0))


def watched(trace: Trace, *, samples: int = 1) -> tuple[list[RunProgress], ZeroAIRRestorer]:
    sampling = {"estimate": "guided", "proximal": None, "steps": 5, "auxiliary": "image"}
    settings = ZeroAIRSettings.model_validate({"sampling": sampling, "samples": samples})
    restorer = ZeroAIRRestorer("zeroair", settings, prior=GaussianDiffusionPrior(0.0, 0.3))
    seen: list[RunProgress] = []

    def on_progress(progress: RunProgress) -> None:
        seen.append(progress)
        trace(progress)

    restorer.on_progress = on_progress
    return seen, restorer


def test_table_has_the_numbers_of_every_step_of_the_first_sample(tmp_path: Path) -> None:
    trace = Trace()
    seen, restorer = watched(trace, samples=2)
    restorer.sample(DEGRADED, seed=0)
    trace.save(tmp_path)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "steps.csv").read_text())))
    assert [int(row["timestep"]) for row in rows] == [999, 749, 500, 250, 0]
    for row, told in zip(rows, seen[:5], strict=True):
        assert told.report.step is not None
        size = float(told.report.step[0].square().mean().sqrt())
        assert float(row["guidance"]) == pytest.approx(size, rel=1e-5)
        for name in ("stage", "reconstruction", "fit_content", "saturated"):
            assert float(row[name]) == pytest.approx(float(told.report.logs[name]), rel=1e-5)


def test_folder_holds_pictures_that_can_be_read(tmp_path: Path) -> None:
    trace = Trace(columns=3)
    _, restorer = watched(trace, samples=2)
    ensemble = restorer.sample(DEGRADED, seed=0)
    written = trace.save(tmp_path / "deep" / "folder", restored=ensemble.mean, deviation=ensemble.deviation)
    assert {path.name for path in written} == {"steps.csv", "strip.png", "curves.png", "deviation.png"}
    for path in written:
        if path.suffix == ".png":
            with PIL.Image.open(path) as picture:
                assert np.asarray(picture.convert("RGB")).std() > 5
    with PIL.Image.open(tmp_path / "deep" / "folder" / "strip.png") as strip:
        assert strip.width == pytest.approx(120 * (1.6 * 4 + 1.2), abs=2)  # three moments and the result


def test_strip_shows_the_estimate_its_simulation_and_the_auxiliary() -> None:
    trace = Trace(columns=2)
    seen, restorer = watched(trace)
    restorer.sample(DEGRADED, seed=0)
    first, last = trace._moments
    assert (first.title, last.title) == ("t = 999", "t = 0")
    estimates = ((seen[-1].report.estimate + 1) / 2).clamp(0, 1) * 255
    for index, picture in ((0, last.pictures[0]), (1, last.pictures[2])):
        np.testing.assert_allclose(picture, estimates[index].permute(1, 2, 0), atol=0.5 + 1e-3)
    with torch.no_grad():
        simulated = seen[-1].degradation((seen[-1].report.estimate[:1] + 1) / 2)[0].clamp(0, 1) * 255
    np.testing.assert_allclose(last.pictures[1], simulated.permute(1, 2, 0), atol=0.5 + 1e-3)


def test_steps_without_guidance_are_kept_too(tmp_path: Path) -> None:
    trace = Trace(columns=4)
    _, restorer = watched(trace)
    restorer.settings = restorer.settings.changed(preset="blind").changed(
        sampling={"steps": 8, "auxiliary": "none", "fit": {"inner_steps": 1}}
    )
    restorer.sample(DEGRADED, seed=0)
    written = trace.save(tmp_path)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "steps.csv").read_text())))
    assert [row["guidance"] == "nan" for row in rows] == [row["stage"] == "" for row in rows]
    assert (rows[0]["stage"], rows[-1]["stage"]) == ("1", "")
    assert len(written) == 3


def test_large_pictures_are_shown_small() -> None:
    trace = Trace(columns=2)
    _, restorer = watched(trace)
    restorer.changed()  # a copy has no watcher
    restorer.settings = restorer.settings.changed(sampling={"steps": 1, "stages": [{}], "auxiliary": "none"})
    restorer.sample(torch.zeros(1, 3, 16, 600), seed=0)
    assert trace._moments[0].pictures[0].shape == (6, 200, 3)


def test_nothing_seen_and_too_few_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="trace: expected a run to be watched before it is saved, got none"):
        Trace().save(tmp_path)
    with pytest.raises(UsageError, match="columns: expected at least 2, got 1"):
        Trace(columns=1)
