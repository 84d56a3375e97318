"""A model that raises ends nothing: its row says what it raised, the others go on, and it is tried again later."""

import re

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

import restorekit
from restorekit.cli.main import app
from restorekit.comparison import ComparisonOptions, rows
from restorekit.errors import ImageError, ModelError
from restorekit.suite import load_result

PSNR = "psnr[rgb|per-image|u8|crop0]"
CODE = """
LIMIT = [20]

def fine():
    return lambda images: images * 0.9

def unlicensed():
    raise OSError("no licence server")

def broken():
    def restore(images):
        raise RuntimeError("weights and code differ")
    return restore

def narrow():
    def restore(images):
        if images.shape[-1] > LIMIT[0]:
            raise ValueError("too wide")
        return images * 0.9
    return restore
"""


@pytest.fixture(autouse=True)
def one_classical_row(monkeypatch):
    monkeypatch.setattr(rows, "ALWAYS", ("median",))


@pytest.fixture
def photos(tmp_path):
    """Three photos, 18, 20 and 24 px wide."""
    (tmp_path / "clean").mkdir()
    for name, width in (("a", 18), ("b", 20), ("wide", 24)):
        pixels = np.random.default_rng(width).integers(0, 256, (16, width, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(tmp_path / "clean" / f"{name}.png")
    return tmp_path / "clean"


@pytest.fixture
def own(tmp_path, monkeypatch):
    name = f"failing_models_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return f"python:{name}"


def compare(photos, models, **options):
    settings = ComparisonOptions(costs=False, metrics=["psnr"], **options)
    return restorekit.compare(photos, degrade="noise:sigma=25", models=models, options=settings)


def values(report, model):
    return {image: found.scores for image in report.images if (found := report.find(image, model)) and not found.failed}


def test_models_that_raise_have_a_row_and_the_others_their_numbers(photos, own):
    models = [f"{own}:{name}" for name in ("unlicensed", "broken", "fine")]
    report = compare(photos, models)
    alone = compare(photos, models[2:])
    for model in ("input", "classical:median", models[2]):
        assert values(report, model) == values(alone, model)
        assert len(values(report, model)) == 3
    assert report.failures == (
        f"{models[0]}: failed: expected unlicensed() to return a restorer, got OSError: no licence server",
        f"{models[1]}: failed: expected a restored image, got RuntimeError: weights and code differ",
    )
    table = {row.model.name: row.cells[0] for row in report.table().rows}
    assert table[models[2]].images == 3
    assert (table[models[0]].mean, table[models[1]].mean) == (None, None)
    assert "failed: expected unlicensed() to return a restorer" in report.table().to_markdown()
    assert [sorted(by_label) for by_label in report.pictures.values()] == [
        sorted(["clean", "input", "classical:median", models[2]])
    ] * 3


def test_a_model_that_fails_on_one_photo_keeps_the_others(photos, own):
    model = f"{own}:narrow"
    report = compare(photos, [model], seeds=2)
    assert set(values(report, model)) == {"a.png", "b.png"}
    assert report.failures == (
        f"{model}: failed on 1 of 3 images: wide.png (expected a restored image, got ValueError: too wide)",
    )
    assert "PSNR: over 2 of 3 images; without wide.png, where a restorer has no value" in report.table().footnotes


def test_what_failed_is_tried_again_and_nothing_else(photos, own, tmp_path, monkeypatch):
    model = f"{own}:narrow"
    assert compare(photos, [model], journal=tmp_path / "out").failures
    module = __import__(own.removeprefix("python:"))
    monkeypatch.setattr(module, "LIMIT", [99])
    steps = []
    settings = ComparisonOptions(costs=False, metrics=["psnr"], journal=tmp_path / "out")
    again = restorekit.compare(
        photos, degrade="noise:sigma=25", models=[model], options=settings, on_step=lambda *step: steps.append(step)
    )
    assert steps == [("wide.png", model)]
    assert again.failures == ()
    assert len(values(again, model)) == 3


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("python:no_such_module:make", "expected an importable module no_such_module"),
        ("{own}:fnie", "did you mean fine"),
        ("classical:nlm:sgima=3", "sigma"),
        ("file:absent.safetensors", "absent"),
    ],
)
def test_a_wrong_request_still_stops_before_any_work(photos, own, model, message):
    with pytest.raises(ModelError, match=message):
        compare(photos, [model.format(own=own), f"{own}:fine"])


def test_a_photo_that_no_metric_can_measure_is_no_failure_of_a_model(photos, own):
    PIL.Image.new("RGB", (4, 4)).save(photos / "tiny.png")
    with pytest.raises(ImageError, match=r"^tiny\.png: ssim: expected at least 11 px a side"):
        restorekit.compare(photos, degrade="noise", options=ComparisonOptions(metrics=["ssim"], costs=False))


def test_commands_end_with_code_1_and_say_who_failed(photos, own, tmp_path):
    def call(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    models = f"{own}:unlicensed,{own}:fine"
    found = call("compare", photos, "--degrade", "noise", "-m", models, "--no-costs", "-o", tmp_path / "one")
    assert found.exit_code == 1, found.output
    assert f"error: {own}:unlicensed: failed: expected unlicensed() to return" in found.stderr
    assert "failed: expected unlicensed()" in (tmp_path / "one" / "table.md").read_text()
    (tmp_path / "suite.toml").write_text(
        'title = "t"\n[[sets]]\nname = "x y"\nclean = "clean"\ndegrade = "noise"\n'
        '[[sets]]\nname = "gone"\nclean = "none"\ndegrade = "noise"\n'
    )
    found = call("bench", tmp_path / "suite.toml", "--data", tmp_path, "-m", models, "-o", tmp_path / "all")
    assert found.exit_code == 1, found.output
    assert f"error: x y: {own}:unlicensed: failed: expected unlicensed() to return" in found.stderr
    assert set(load_result(tmp_path / "all").reports) == {"x y"}
    page, summary = (tmp_path / "all" / "index.html").read_text(), (tmp_path / "all" / "summary.md").read_text()
    assert '<a href="x_y/index.html">x y</a>' in page
    assert (tmp_path / "all" / "x_y" / "index.html").is_file()
    top = summary.partition("## x y")[0]
    assert "## All sets" in top
    assert "| x y: PSNR (dB) ↑ |" in top
    assert re.search(rf"\| {own}:unlicensed +\| model +\| +failed \|", top)
    assert "- gone: not measured: " in top
    (tmp_path / "all" / "index.html").write_text("mine")
    found = call("bench", tmp_path / "suite.toml", "--data", tmp_path, "-o", tmp_path / "all")
    assert found.exit_code == 2
    assert "index.html that bench did not write" in found.stderr
