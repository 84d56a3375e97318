"""The table of presets: every photo with every seed, means and deviations by hand, failures in the open."""

import math
import re
from pathlib import Path

import pytest
import torch
import zeroair_table
from zeroair_table import METRICS, Photo, Row, Subject, measure, to_markdown

from restorekit.core.image.convention import Images
from restorekit.errors import DependencyError, ModelError
from restorekit.zeroair.presets import PRESETS

PLAIN = torch.full((1, 3, 32, 32), 100 / 255)
PHOTOS = [Photo(str(offset), PLAIN, PLAIN + offset / 255) for offset in (10, 20)]


@pytest.fixture(autouse=True)
def _two_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """LPIPS would fetch its weights."""
    monkeypatch.setattr(zeroair_table, "METRICS", {name: METRICS[name] for name in ("psnr", "ssim")})


def brighter(degraded: Images, seed: int) -> tuple[Images, int]:
    return degraded + seed * 10 / 255, 7


def decibels(*offsets: float) -> float:
    return sum(20 * math.log10(255 / offset) for offset in offsets) / len(offsets)


def test_rows_hold_every_photo_with_every_seed() -> None:
    first, second = measure("d", PHOTOS, [Subject("all", brighter, seeds=2), Subject("one", brighter, photos=1)])
    assert [len(values) for values in first.scores["psnr"]] == [2, 2]
    assert first.scores["psnr"][1] == pytest.approx([decibels(20), decibels(30)], abs=1e-3)
    assert first.evaluations == 7
    assert [len(values) for values in second.scores["psnr"]] == [1]


def test_table_has_the_mean_and_its_deviation_over_seeds() -> None:
    text = to_markdown(list(measure("d", PHOTOS, [Subject("b", brighter, seeds=2), Subject("once", brighter)])))
    by_seed = decibels(10, 20), decibels(20, 30)
    cells = [cell.strip() for cell in text.splitlines()[2].split("|")]
    assert cells[1:5] == ["d", "b", "2 x 2", "7"]
    assert float(cells[5]) == pytest.approx(sum(by_seed) / 2, abs=0.006)
    assert float(cells[6]) == pytest.approx(abs(by_seed[0] - by_seed[1]) / math.sqrt(2), abs=0.006)
    assert cells[7] == cells[9] == "–"  # not measured here
    assert text.splitlines()[3].split("|")[6].strip() == "–"  # one seed has no deviation
    widths = {line.count("|") for line in text.splitlines()}
    assert widths == {11}


def test_restorer_that_fails_stays_in_the_table_with_its_reason() -> None:
    def fail(degraded: Images, seed: int) -> tuple[Images, int]:
        raise ModelError("no weights")

    rows = list(measure("d", PHOTOS, [Subject("broken", fail), Subject("fine", brighter)]))
    assert [row.note for row in rows] == ["no weights", ""]
    assert to_markdown(rows).splitlines()[-1] == "broken, d: no weights"


def test_lpips_that_cannot_be_had_is_left_open_and_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def score(restored: Images, clean: Images, metrics: list[str]) -> None:
        raise DependencyError(f"{metrics[0]} absent")

    monkeypatch.setattr(zeroair_table, "METRICS", {"lpips": "lpips"})
    monkeypatch.setattr("zeroair_table.restorekit.score", score)
    (row,) = measure("d", PHOTOS, [Subject("b", brighter)])
    assert (row.scores, row.note) == ({}, "")
    monkeypatch.setattr(zeroair_table, "METRICS", {"psnr": "psnr"})
    (row,) = measure("d", PHOTOS, [Subject("b", brighter)])
    assert row.note == "psnr absent"


def test_command_writes_table_and_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    subjects = [Subject("input", lambda degraded, _: (degraded, 0)), Subject("fast", zeroair_table._zeroair("fast"))]
    monkeypatch.setattr(zeroair_table, "_subjects", lambda *_: subjects)
    zeroair_table.main(
        ["--photos", "sample:coffee", "--count", "1", "--side", "32", "--json", str(tmp_path / "a.json")]
    )
    table = capsys.readouterr().out
    assert len(re.findall(r"^\| .* \| (?:input|fast) \| 1 x 1 \| [01] \|", table, flags=re.M)) == 6
    assert '"commit"' in (tmp_path / "a.json").read_text()


def test_every_degradation_has_its_reference() -> None:
    named = {degradation.reference for degradation in zeroair_table.DEGRADATIONS.values()}
    assert named == {name for name in PRESETS if name.startswith("reference-")}
    assert Row("d", "r").scores == {}
