"""What became better or worse between two reports: paired by model, image and address, with its noise."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from restorekit.errors import ProtocolError
from restorekit.report import ImageScore, Machine, MetricInfo, ModelInfo, Report, RunRecord
from restorekit.report.regression import changes, changes_markdown, ensure_comparable, judge
from restorekit.statistics import Interval, bootstrap_t_interval

PSNR = "psnr[rgb|per-image|u8|crop0]"
POOLED = "psnr[rgb|pooled|u8|crop0]"
RUN = RunRecord(
    version="1.2.3",
    command="restorekit bench dev",
    time=datetime(2026, 1, 2, tzinfo=UTC),
    machine=Machine(cpu="cpu", cores=2, os="Linux", python="3.11", torch="2.6"),
    degradation="noise:sigma=25",
)
GENERATOR = np.random.default_rng(0)
START = GENERATOR.normal(25, 3, 12)
NOISE = GENERATOR.normal(0, 0.1, 12)


def report(values, *, higher=True, address=PSNR, decimals=2, **run) -> Report:
    """Scores by model and image, or a plain row of numbers for images 0, 1, ..."""
    rows = {
        name: row if isinstance(row, dict) else {str(at): float(value) for at, value in enumerate(row)}
        for name, row in values.items()
    }
    return Report(
        run=RUN.model_copy(update=run),
        metrics=[MetricInfo(address=address, name="PSNR", unit="dB", decimals=decimals, higher_is_better=higher)],
        models=[ModelInfo(name="input", kind="input"), *(ModelInfo(name=name) for name in rows)],
        scores=[
            ImageScore(image=image, model=name, scores={address: value}, megapixels=1.0)
            for name, row in rows.items()
            for image, value in row.items()
        ],
    )


def test_changes_are_paired_and_judged_by_their_interval():
    before = report({"up": START, "down": START, "same": START, "flat": START})
    now = report({"up": START + 0.3 + NOISE, "down": START - 0.3 + NOISE, "same": START + NOISE, "flat": START})
    found = {change.model: change for change in changes(now, before)}
    assert {name: change.verdict for name, change in found.items()} == {
        "up": "better",
        "down": "worse",
        "same": "within noise",
        "flat": "within noise",
    }
    assert found["up"].difference == pytest.approx(0.3 + NOISE.mean())
    assert found["up"].interval == pytest.approx(bootstrap_t_interval(0.3 + NOISE), abs=1e-9)
    assert (found["up"].before, found["up"].now) == pytest.approx((START.mean(), START.mean() + 0.3 + NOISE.mean()))


def test_less_is_better_where_the_metric_says_so():
    before, now = (report({"m": row}, higher=False) for row in (START, START + 0.3 + NOISE))
    assert [change.verdict for change in changes(now, before)] == ["worse"]


def test_what_only_one_report_has_does_not_count():
    before = report({"m": {"a": 10.0, "b": 20.0, "only before": 90.0}, "gone": {"a": 1.0}})
    now = report({"m": {"b": 21.0, "a": 12.0, "only now": 0.0, "undefined": math.nan}, "new": {"a": 1.0}})
    (change,) = changes(now, before)
    assert (change.model, change.images, change.difference) == ("m", 2, 1.5)


def test_few_images_and_infinite_scores_claim_nothing():
    before = report({"few": START[:3], "infinite": [*START[:8], math.inf, 30.0], "equal": [math.inf] * 9})
    now = report({"few": [20.0, 21.0, 22.0], "infinite": [*START[:8], math.inf, math.inf], "equal": [math.inf] * 9})
    assert [change.verdict for change in changes(now, before)] == ["no interval", "no interval", "within noise"]


def test_a_change_that_no_table_shows_is_noise():
    before, now = report({"m": START}), report({"m": START + 0.004})
    assert [change.verdict for change in changes(now, before)] == ["within noise"]
    before, now = report({"m": START}, decimals=3), report({"m": START + 0.004}, decimals=3)
    assert [change.verdict for change in changes(now, before)] == ["better"]


def test_pooled_scores_have_a_difference_and_no_interval():
    before, now = report({"m": [20.0, 40.0]}, address=POOLED), report({"m": [22.0, 40.0]}, address=POOLED)
    (change,) = changes(now, before)
    errors = [(10**-2.0 + 10**-4.0) / 2, (10**-2.2 + 10**-4.0) / 2]
    assert change.difference == pytest.approx(10 * math.log10(errors[0] / errors[1]))
    assert change.verdict == "no interval"


def test_judge_reads_an_interval():
    assert judge(1.0, Interval(0.5, 1.5), higher_is_better=True) == "better"
    assert judge(1.0, Interval(0.5, 1.5), higher_is_better=False) == "worse"
    assert judge(1.0, Interval(0.0, 2.0), higher_is_better=True) == "within noise"
    assert judge(1.0, None, higher_is_better=True) == "no interval"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 3}, "night: expected the seed of the earlier result, 3, got 0"),
        ({"seeds": 5}, "expected the seeds of the earlier result, 5, got 1"),
        ({"degradation": "rain"}, "expected the degradation of the earlier result, 'rain', got 'noise:sigma=25'"),
        ({"region": "centred"}, "expected the region of the earlier result, 'centred', got None"),
        (
            {"address": "psnr[y-studio|per-image|u8|crop0]"},
            "night, compared with the earlier result: psnr: expected one protocol in one table",
        ),
    ],
)
def test_other_protocols_are_refused(change, message):
    with pytest.raises(ProtocolError, match=message):
        ensure_comparable("night", report({"m": START}, **change), RUN, [PSNR])


def test_markdown_has_a_line_for_each_change_and_counts_the_rest():
    near = START + NOISE - NOISE.mean() + 0.02
    before = report({"m": START, "n": START, "near": START, "same": START, "few": START[:3]})
    now = report({"m": START + 0.3 + NOISE, "n": START, "near": near, "same": START + 0.004, "few": [20.0, 21.0, 22.0]})
    text = changes_markdown({"set one": changes(now, before), "set two": changes(before, before)})
    low, high = bootstrap_t_interval(0.3 + NOISE)
    mean = 0.3 + NOISE.mean()
    first = f"| set one | m | PSNR | 12 | {START.mean():.2f} | {START.mean() + mean:.2f} | "
    first += f"{mean:+.2f} [{low:.2f}, {high:.2f}] | better |"
    rows = [line for line in text.splitlines() if line.startswith("| set ")][1:]
    assert rows[0] == first
    assert [(row.split(" | ")[1], row.split(" | ")[-1]) for row in rows[1:]] == [
        ("near", "within noise |"),
        ("few", "no interval |"),
    ]
    assert "1 better, 1 within noise, 1 no interval, 7 of 10 did not change at the decimals shown" in text
    assert f"- `{PSNR}`" in text


def test_markdown_without_any_change_is_one_line_and_the_protocol():
    same = report({"m": START, "n": START})
    assert changes_markdown({"a": changes(same, same)}).splitlines() == [
        "2 of 2 did not change at the decimals shown",
        "",
        f"- `{PSNR}`",
    ]
    assert changes_markdown({}).startswith("nothing in common")
