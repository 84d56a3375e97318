"""Markdown, terminal, CSV and JSON say the same, and survive odd names and numbers."""

import csv
import io
import json
import math

import pytest
from rich.console import Console

from restorekit.report import MetricInfo
from restorekit.report.data import scores_csv
from restorekit.report.renderings import format_number

PSNR = "psnr[rgb|per-image|u8|crop0]"


def lines_of(markdown):
    return [line for line in markdown.splitlines() if line.startswith("|")]


def test_markdown_columns_are_aligned_and_best_is_bold(report_of):
    text = report_of({"input": [20.0, 21.0], "net": [30.0, 31.0]}).table().to_markdown()
    grid = lines_of(text)
    assert len({len(line) for line in grid}) == 1
    assert "PSNR (dB) ↑" in grid[0]
    assert "**30.50**" in grid[3]
    assert text.count("**") == 4  # the title and one best value


def test_markdown_prints_every_full_address(report_of):
    text = report_of({"input": [20.0]}).table().to_markdown()
    assert f"- protocols: `{PSNR}`" in text


def test_markdown_arrow_points_down_where_smaller_is_better(report_of):
    metric = MetricInfo(address="lpips[rgb|per-image|u8|crop0|net=alex]", name="LPIPS", higher_is_better=False)
    assert "LPIPS ↓" in report_of({"input": [0.5]}, metrics=(metric,)).table().to_markdown()


def test_markdown_names_are_never_markup(report_of):
    grid = lines_of(report_of({"input": [20.0], "a|b*<i>\n`c`": [30.0]}).table().to_markdown())
    assert r"a\|b\*\<i\> \`c\`" in grid[3]
    assert grid[3].replace(r"\|", "").count("|") == grid[0].count("|")


def test_markdown_shows_one_image_infinity_and_nothing(report_of):
    text = report_of({"input": [20.0], "net": [math.inf], "broken": [None]}).table().to_markdown()
    assert "**∞**" in text
    assert "n=1: no interval" in text
    assert lines_of(text)[4].split("|")[3].strip() == "–"


def test_terminal_table_fits_80_columns_and_marks_best_without_colour(pictured):
    output = io.StringIO()
    Console(file=output, width=80, no_color=True).print(pictured.table().to_rich())
    text = output.getvalue()
    assert "30.50*" in text
    assert "0.9500*" in text
    assert "…" not in text
    assert "bad|<i>" in text


def test_terminal_names_are_never_markup(report_of):
    output = io.StringIO()
    Console(file=output, width=80).print(report_of({"input": [20.0], "[red]net[/red]": [30.0]}).table().to_rich())
    assert "[red]net[/red]" in output.getvalue()


def test_scores_csv_holds_every_score_of_every_model_exactly(report_of):
    values = {"input": [20.0, 1 / 3], "a": [math.inf, None], "b": [1.0, 2.0], 'net, "x"': [5.0, 6.0]}
    report = report_of(values, kinds={"a": "classical", "b": "classical"})
    rows = list(csv.DictReader(io.StringIO(scores_csv(report))))
    assert len(rows) == 8
    read = {(row["image"], row["model"]): float(row["value"]) for row in rows}
    assert read["1.png", "input"] == 1 / 3
    assert read["0.png", "a"] == math.inf
    assert math.isnan(read["1.png", "a"])
    assert read["1.png", 'net, "x"'] == 6.0
    assert {row["metric"] for row in rows} == {PSNR}


def test_table_csv_and_json_hold_the_numbers_of_the_table(report_of):
    table = report_of({"input": [20.0, 21.0, 22.0, 23.0], "net": [30.0, 32.0, 33.0, math.inf]}).table()
    rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    records = json.loads(json.dumps(table.to_json(), allow_nan=False))
    assert [row["restorer"] for row in rows] == [record["restorer"] for record in records] == ["input", "net"]
    assert float(rows[0]["mean"]) == records[0]["mean"] == 21.5
    assert float(rows[1]["mean"]) == math.inf
    assert records[1]["mean"] == "Infinity"
    assert records[1]["low"] is None


@pytest.mark.parametrize(
    ("value", "sign", "text"),
    [
        (None, False, "–"),
        (math.nan, True, "–"),
        (math.inf, False, "∞"),
        (math.inf, True, "+∞"),
        (-math.inf, True, "-∞"),
        (1.005, False, "1.00"),
        (0.5, True, "+0.50"),
        (-0.001, False, "0.00"),
        (-0.001, True, "+0.00"),
        (-0.5, True, "-0.50"),
    ],
)
def test_format_number_reads_well(value, sign, text):
    assert format_number(value, 2, sign=sign) == text
