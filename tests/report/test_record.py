"""The record keeps every number through JSON and refuses what would mix or mislead."""

import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from restorekit.errors import ProtocolError, SpecError
from restorekit.report import ImageScore, Machine, MetricInfo, Report

PSNR = "psnr[rgb|per-image|u8|crop0]"

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


def exact(value):
    """A form in which NaN equals NaN, and 0.0 differs from -0.0."""
    if isinstance(value, dict):
        return {key: exact(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [exact(inner) for inner in value]
    return repr(value) if isinstance(value, float) else value


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=5),
    image=names,
    note=names,
    seconds=st.none() | st.floats(0, 1e6),
)
def test_report_survives_json_without_loss(report_of, values, image, note, seconds):
    base = report_of({"input": [20.0]}, notes=(note,))
    scores = [
        ImageScore(image=f"{image}{i}", model="input", scores={PSNR: value}, seconds=seconds, megapixels=0.1)
        for i, value in enumerate(values)
    ]
    report = Report(**{**dict(base), "scores": scores})
    again = Report.model_validate_json(report.model_dump_json())
    assert exact(again.model_dump()) == exact(report.model_dump())


def test_report_writes_infinity_and_nan_as_text(report_of):
    text = report_of({"input": [math.inf, -math.inf, math.nan]}).model_dump_json()
    assert '"Infinity"' in text
    assert '"-Infinity"' in text
    assert '"NaN"' in text


def test_report_does_not_store_pictures(pictured):
    assert pictured.pictures
    assert "pictures" not in pictured.model_dump()
    assert not Report.model_validate_json(pictured.model_dump_json()).pictures


def test_report_refuses_two_protocols_of_one_metric(report_of):
    metrics = (MetricInfo(address=PSNR, name="PSNR"), MetricInfo(address="psnr[y-studio|per-image|u8|crop4]", name="Y"))
    with pytest.raises(ProtocolError, match=r"psnr: expected one protocol .*psnr\[rgb.* and psnr\[y-studio.*crop4\]"):
        report_of({"input": [20.0]}, metrics=metrics)


def test_report_refuses_a_score_under_another_protocol_than_the_column(report_of):
    base = report_of({"input": [20.0]})
    other = ImageScore(image="x", model="input", scores={"psnr[y-full|per-image|u8|crop0]": 30.0}, megapixels=1.0)
    with pytest.raises(ProtocolError, match=r"input on x: expected scores under psnr\[rgb.*got psnr\[y-full"):
        Report(**{**dict(base), "scores": (*base.scores, other)})


def test_metric_refuses_a_bare_name_and_writes_the_full_address():
    with pytest.raises(
        SpecError, match=r"expected a full address, got 'psnr'; write psnr\[rgb\|per-image\|u8\|crop0\]"
    ):
        MetricInfo(address="psnr", name="PSNR")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: {"models": r.models[1:]}, "exactly one of kind 'input'.*got 0"),
        (lambda r: {"models": (*r.models, r.models[1])}, "models: expected each once, got twice: net"),
        (lambda r: {"scores": (*r.scores, r.scores[0])}, "scores: expected each once, got twice: input on 0.png"),
        (lambda r: {"models": r.models[:1]}, "scores: expected models among input, got net"),
        (lambda r: {"models": (*r.models, r.models[1].model_copy(update={"name": "clean"}))}, "no model named 'clean'"),
    ],
)
def test_report_refuses_what_does_not_fit_together(report_of, change, message):
    base = report_of({"input": [20.0], "net": [30.0]})
    with pytest.raises(ValidationError, match=message):
        Report(**{**dict(base), **change(base)})


def test_machine_here_describes_this_machine():
    machine = Machine.here()
    assert machine.cores >= 1
    assert machine.cpu
    assert machine.python == ".".join(map(str, sys.version_info[:3]))


def test_importing_the_report_loads_no_heavy_library():
    code = "import sys, restorekit.report; print([m for m in ('torch', 'cv2', 'scipy', 'rich') if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("commit", "modified", "code"),
    [
        (None, None, "restorekit 1.2.3"),
        ("1a2b3c4", None, "restorekit 1.2.3 (commit 1a2b3c4)"),
        ("1a2b3c4", False, "restorekit 1.2.3 (commit 1a2b3c4)"),
        ("1a2b3c4", True, "restorekit 1.2.3 (commit 1a2b3c4, modified)"),
    ],
)
def test_every_rendering_says_which_code_measured_and_whether_it_was_modified(report_of, commit, modified, code):
    from restorekit.report import render_page

    report = report_of({"input": [20.0], "net": [30.0]})
    report = report.model_copy(update={"run": report.run.model_copy(update={"commit": commit, "modified": modified})})
    table = report.table()
    assert report.run.code == code
    for text in (table.to_markdown(), table.to_latex()):
        assert f"measured with {code}" in text
    assert f"<dd>{code}</dd>" in render_page(report)
    assert Report.model_validate_json(report.model_dump_json()).run.modified is modified


def test_records_of_before_do_not_say_whether_the_code_was_modified(report_of):
    document = report_of({"input": [20.0]}).model_dump(mode="json")
    del document["run"]["modified"]
    assert Report.model_validate(document).run.modified is None
