"""Which rows a table shows, and that its means, differences and marks are the ones a reader expects."""

import math

import numpy as np
import pytest
from scipy import stats

from restorekit.report import ImageScore, MetricInfo, Report
from restorekit.statistics import bootstrap_t_interval

PSNR = "psnr[rgb|per-image|u8|crop0]"
POOLED = "psnr[rgb|pooled|u8|crop0]"
CLASSICAL = dict.fromkeys("abcd", "classical")


def row(table, name):
    return next(row for row in table.rows if row.model.name == name)


def test_table_shows_input_first_then_best_classical_then_models(report_of):
    values = {"net": [30.0, 32.0], "a": [24.0, 25.0], "input": [20.0, 20.0]}
    values |= {"b": [27.0, 28.0], "c": [22.0, 21.0], "d": [25.0, 26.0]}
    table = report_of(values, kinds=CLASSICAL).table(classical_rows=2)
    assert [row.model.name for row in table.rows] == ["input", "b", "d", "net"]
    assert any(
        note.startswith("best 2 of 4 classical restorers by mean PSNR on these images (chosen with the reference;")
        for note in table.footnotes
    )


def test_table_shows_all_classical_rows_when_nothing_can_choose_them(report_of):
    niqe = "niqe[y-full|per-image|u8|crop0|params=restorekit-1]"
    metric = MetricInfo(address=niqe, name="NIQE", higher_is_better=False, needs_reference=False)
    values = {"input": [9.0], "a": [8.0], "b": [5.0], "c": [7.0], "d": [6.0], "net": [4.0]}
    table = report_of(values, kinds=CLASSICAL, metrics=(metric,)).table()
    assert [row.model.name for row in table.rows] == ["input", "a", "b", "c", "d", "net"]
    assert not any("classical" in note for note in table.footnotes)
    assert [row.cells[0].best for row in table.rows] == [False] * 5 + [True]


def test_table_chooses_classical_rows_by_the_smallest_where_smaller_is_better(report_of):
    metric = MetricInfo(address="lpips[rgb|per-image|u8|crop0|net=alex]", name="LPIPS", higher_is_better=False)
    values = {"input": [0.9], "a": [0.5], "b": [0.2], "net": [0.3]}
    table = report_of(values, kinds=CLASSICAL, metrics=(metric,)).table(classical_rows=1)
    assert [row.model.name for row in table.rows] == ["input", "b", "net"]
    assert row(table, "b").cells[0].best


def test_table_difference_is_paired_and_carries_its_interval(report_of):
    generator = np.random.default_rng(0)
    start = generator.normal(20, 4, 12)
    gains = generator.normal(2, 0.3, 12)
    cell = row(report_of({"input": list(start), "net": list(start + gains)}).table(), "net").cells[0]
    assert cell.mean == pytest.approx(np.mean(start + gains))
    assert cell.difference == pytest.approx(gains.mean())
    assert cell.interval == pytest.approx(bootstrap_t_interval((start + gains) - start))
    low, high = stats.t.interval(0.95, 11, loc=gains.mean(), scale=stats.sem(gains))
    assert cell.interval.high - cell.interval.low == pytest.approx(high - low, rel=0.35)  # paired, so 13 times narrower


def test_table_input_row_has_no_difference(report_of):
    cell = row(report_of({"input": [20.0, 21.0], "net": [30.0, 30.0]}).table(), "input").cells[0]
    assert (cell.mean, cell.difference, cell.interval) == (20.5, None, None)


@pytest.mark.parametrize(("count", "note"), [(1, "n=1: no interval"), (7, "n=7: no interval and no test (8 images")])
def test_table_says_why_few_images_have_no_interval(report_of, count, note):
    table = report_of({"input": [20.0] * count, "net": [float(30 + i) for i in range(count)]}).table()
    assert row(table, "net").cells[0].interval is None
    assert any(text.startswith(note) for text in table.footnotes)


def test_table_means_are_over_the_images_every_row_has(report_of):
    values = {"input": [10.0, 20.0, 30.0], "net": [20.0, None, 40.0], "other": [11.0, 99.0, math.nan]}
    table = report_of(values).table()
    assert [row.cells[0].mean for row in table.rows] == [10.0, 20.0, 11.0]
    assert any("over 1 of 3 images; without 1.png, 2.png" in note for note in table.footnotes)


def test_table_row_without_any_value_is_empty_and_spoils_no_other(report_of):
    table = report_of({"input": [10.0, 20.0], "net": [20.0, 40.0], "broken": [None, math.nan]}).table()
    assert row(table, "net").cells[0].mean == 30.0
    assert row(table, "broken").cells[0].mean is None
    assert not any("without" in note for note in table.footnotes)


def test_table_without_a_value_of_the_input_still_shows_means(report_of):
    cell = row(report_of({"input": [None], "net": [30.0]}).table(), "net").cells[0]
    assert (cell.mean, cell.difference) == (30.0, None)


def test_table_infinite_scores_have_a_mean_but_no_interval(report_of):
    values = {"input": [20.0, math.inf, 22.0, 23.0, 24.0], "net": [30.0, math.inf, 31.0, math.inf, 35.0]}
    cell = row(report_of(values).table(), "net").cells[0]
    assert (cell.mean, cell.difference, cell.interval) == (math.inf, math.inf, None)


def test_table_two_infinite_scores_differ_by_nothing(report_of):
    cell = row(report_of({"input": [math.inf] * 8, "net": [math.inf] * 8}).table(), "net").cells[0]
    assert (cell.difference, tuple(cell.interval)) == (0.0, (0.0, 0.0))


def test_table_opposite_infinite_differences_have_no_mean(report_of):
    cell = row(report_of({"input": [math.inf, 20.0], "net": [20.0, math.inf]}).table(), "net").cells[0]
    assert (cell.mean, cell.difference) == (math.inf, None)


def test_table_pools_psnr_over_pixels_when_the_protocol_says_so(report_of):
    # mean squared errors 1 (100 pixels) and 9 (300 pixels), pooled by hand
    metric = MetricInfo(address=POOLED, name="PSNR", unit="dB", decimals=2)
    scores = [
        ImageScore(image=f"{i}", model=model, scores={POOLED: -10 * math.log10(error)}, megapixels=size)
        for model, errors in {"input": (4.0, 16.0), "net": (1.0, 9.0)}.items()
        for i, (error, size) in enumerate(zip(errors, (100e-6, 300e-6), strict=True))
    ]
    base = report_of({"input": [20.0], "net": [20.0]}, metrics=(metric,))
    table = Report(**{**dict(base), "scores": scores}).table()
    cell = row(table, "net").cells[0]
    assert cell.mean == pytest.approx(-10 * math.log10((100 * 1 + 300 * 9) / 400))
    assert cell.difference == pytest.approx(-10 * math.log10(7.0 / 13.0))
    assert cell.interval is None
    assert any("pooled over all pixels" in note for note in table.footnotes)


def test_table_marks_as_best_all_that_look_equal(report_of):
    values = {"input": [20.0], "net": [30.001], "other": [30.004], "worse": [29.99]}
    assert [row.cells[0].best for row in report_of(values).table().rows] == [False, True, True, False]


def test_table_marks_the_input_when_no_restorer_helped(report_of):
    assert row(report_of({"input": [40.0], "net": [30.0]}).table(), "input").cells[0].best


def test_table_speed_is_total_seconds_over_total_megapixels(report_of):
    table = report_of({"input": [20.0, 20.0], "net": [30.0, 30.0]}, megapixels=0.25).table()
    assert row(table, "net").seconds_per_megapixel == pytest.approx(0.5 / 0.25)
    assert row(table, "input").seconds_per_megapixel is None


def test_table_warns_where_the_answer_was_seen(report_of):
    metric = MetricInfo(address="psnr[rgb|per-image|u8|crop0|GT-MEAN]", name="PSNR")
    table = report_of({"input": [20.0], "net": [30.0]}, metrics=(metric,)).table()
    assert any("GT-MEAN" in note and "not a blind score" in note for note in table.footnotes)


def test_table_says_what_a_model_is_worth_beyond_the_best_classical(report_of):
    generator = np.random.default_rng(1)
    best = generator.normal(28, 3, 12)
    gains = generator.normal(1.5, 0.3, 12)
    values = {"input": [20.0] * 12, "a": list(best - 2), "b": list(best), "net": list(best + gains)}
    notes = report_of(values, kinds=CLASSICAL).table().footnotes
    (note,) = [note for note in notes if "minus" in note]
    assert note.startswith(f"PSNR, net minus b (the best classical restorer on these images): {gains.mean():+.2f} dB [")
    interval = bootstrap_t_interval((best + gains) - best)
    assert note.endswith(f"[{interval.low:.2f}, {interval.high:.2f}]")


def test_table_compares_with_no_classical_row_where_there_is_none(report_of):
    assert not any("minus" in note for note in report_of({"input": [20.0], "net": [22.0]}).table().footnotes)
