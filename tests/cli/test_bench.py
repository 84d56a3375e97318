"""``restorekit bench --compare``: this run against an earlier one of the same suite."""

import json

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from restorekit import Report
from restorekit.cli.main import app
from restorekit.comparison import run
from restorekit.suite import SuiteResult, load_result

SUITE = """
title = "small"
metrics = ["psnr[rgb|per-image|u8|crop0]"]

[[sets]]
name = "noisy"
clean = "clean"
degrade = "noise:sigma=25"
"""


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A data folder with a suite, and an earlier run of it."""
    root = tmp_path_factory.mktemp("bench")
    (root / "clean").mkdir()
    generator = np.random.default_rng(0)
    for name in range(5):
        photo = np.kron(generator.integers(60, 196, (4, 5, 3)), np.ones((5, 5, 1))).astype(np.uint8)
        PIL.Image.fromarray(photo).save(root / "clean" / f"{name}.png")
    (root / "suite.toml").write_text(SUITE)
    result = call("bench", root / "suite.toml", "--data", root, "-o", root / "first")
    assert result.exit_code == 0, result.stderr
    return root


def test_bench_shows_what_changed_with_its_noise(measured):
    document = json.loads((measured / "first" / "result.json").read_text())
    for at, score in enumerate(document["reports"]["noisy"]["scores"]):
        if score["model"] == "classical:median":
            score["scores"] = {address: value + 2 + 0.1 * (at % 3) for address, value in score["scores"].items()}
    (measured / "better.json").write_text(json.dumps(document))
    suite = measured / "suite.toml"
    result = call("bench", suite, "--data", measured, "-o", measured / "out", "--compare", measured / "better.json")
    assert result.exit_code == 0, result.stderr
    assert (measured / "out" / "summary.md").read_text().strip() in result.stdout.strip()
    lines = {line.split(" | ")[1]: line for line in result.stdout.splitlines() if line.startswith("| noisy | ")}
    assert lines["classical:median"].endswith("| worse |")
    assert "| -2." in lines["classical:median"]
    assert set(lines) == {"classical:median"}
    assert "1 worse, 11 of 12 did not change at the decimals shown" in result.stdout
    assert "Before: Measured" in result.stdout


def test_bench_takes_the_folder_of_an_earlier_run(measured):
    result = call(
        "bench", measured / "suite.toml", "--data", measured, "-o", measured / "b", "--compare", measured / "first"
    )
    assert result.exit_code == 0, result.stderr
    assert "better" not in result.stdout.partition("## Now, and before")[2]
    assert "12 of 12 did not change at the decimals shown" in result.stdout


def test_result_is_what_was_measured_infinite_scores_included(measured, tmp_path):
    report = Report.load(measured / "first" / "noisy")
    assert load_result(measured / "first").reports == {"noisy": report}
    score = report.scores[0].model_copy(update={"scores": {report.metrics[0].address: np.inf}})
    infinite = SuiteResult(title="t", reports={"a": report.model_copy(update={"scores": (score,)})})
    (tmp_path / "result.json").write_text(infinite.model_dump_json())
    assert load_result(tmp_path) == infinite


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "rgb|per",
            "y-studio|per",
            "noisy, compared with the earlier result: psnr: expected one protocol in one table",
        ),
        (
            "sigma=25",
            "sigma=50",
            "expected the degradation of the earlier result, 'noise:sigma=25', got 'noise:sigma=50'",
        ),
        ('title = "small"', 'title = "small"\nseed = 3', "expected the seed of the earlier result, 0, got 3"),
        (
            'name = "noisy"',
            'name = "other"',
            "expected a result of the same suite, got one of noisy; this suite has other",
        ),
    ],
)
def test_bench_refuses_other_protocols_before_any_work(measured, tmp_path, monkeypatch, before, after, message):
    monkeypatch.setattr(run, "restore_row", None)
    (tmp_path / "suite.toml").write_text(SUITE.replace(before, after))
    out = tmp_path / "out"
    result = call("bench", tmp_path / "suite.toml", "--data", measured, "-o", out, "--compare", measured / "first")
    assert result.exit_code == 2
    assert message in result.stderr
    assert not out.exists()


def test_bench_names_a_result_that_cannot_be_read(measured, tmp_path):
    (tmp_path / "torn.json").write_text('{"title": ')
    for path, reason in ((tmp_path / "torn.json", "got 1 validation error"), (tmp_path, "got No such file")):
        result = call("bench", measured / "suite.toml", "--data", measured, "-o", tmp_path / "out", "--compare", path)
        assert result.exit_code == 2
        assert "expected result.json of an earlier 'restorekit bench'" in result.stderr
        assert reason in result.stderr


def test_bench_goes_on_where_it_was_interrupted(measured, tmp_path, monkeypatch):
    """Finished sets are not restored again, and the result is that of one go."""
    second = SUITE.partition("[[sets]]")[2].replace('"noisy"', '"noisier"').replace("=25", "=50")
    (measured / "two.toml").write_text(f"{SUITE}\n[[sets]]{second}")
    arguments = ("bench", measured / "two.toml", "--data", measured, "-o", tmp_path / "out")
    real, photos = run.restore_row, []

    def stumbling(row, *given, **options):
        photos.append(row)
        if len(photos) == stop:
            raise KeyboardInterrupt
        return real(row, *given, **options)

    monkeypatch.setattr(run, "restore_row", stumbling)
    stop = len({score.model for score in load_result(measured / "first" / "result.json").reports["noisy"].scores}) * 7
    assert call(*arguments).exit_code != 0
    assert not (tmp_path / "out" / "result.json").exists()
    before, stop = len(photos), 0
    assert call(*arguments).exit_code == 0
    resumed = load_result(tmp_path / "out")
    assert call(*arguments[:-1], tmp_path / "whole").exit_code == 0
    whole = load_result(tmp_path / "whole")
    assert before + 1 < len(photos) - before < 2 * before
    for name, report in whole.reports.items():
        ours = [(score.image, score.model, score.scores) for score in resumed.reports[name].scores]
        assert ours == [(score.image, score.model, score.scores) for score in report.scores]
    assert not list((tmp_path / "out").rglob(".restorekit-compare"))
