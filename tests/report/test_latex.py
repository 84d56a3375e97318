"""LaTeX: booktabs, balanced, escaped; a file only when asked for."""

import re

import pytest

from restorekit.errors import DependencyError, UsageError
from restorekit.report.latex import escape

PSNR = "psnr[rgb|per-image|u8|crop0]"


def test_latex_is_a_balanced_booktabs_table(report_of):
    gains = [1.0, 2.0, 1.5, 1.7, 1.1, 2.2, 1.3, 1.9]
    text = report_of({"input": [20.0] * 8, "a_b&c": [20 + gain for gain in gains]}).table().to_latex()
    for command in (r"\toprule", r"\midrule", r"\bottomrule", r"\usepackage{booktabs}"):
        assert command in text
    assert re.findall(r"\\begin\{(\w+)\}", text) == ["table", "tabular", "flushleft"]
    assert sorted(re.findall(r"\\end\{(\w+)\}", text)) == ["flushleft", "table", "tabular"]
    (columns,) = re.findall(r"\\begin\{tabular\}\{(\w+)\}", text)
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(columns) - 1}
    assert r"a\_b\&c" in text
    assert r"\textbf{21.59}" in text


def test_latex_parts_input_classical_and_models(report_of):
    kinds = {"p": "classical", "q": "classical"}
    report = report_of({"input": [20.0], "p": [21.0], "q": [22.0], "a": [23.0], "b": [24.0]}, kinds=kinds)
    models = [model.model_copy(update={"asked": model.name in "qab"}) for model in report.models]
    text = report.model_copy(update={"models": tuple(models)}).table(classical_rows=1).to_latex()
    body = text.partition(r"\toprule")[2].partition(r"\bottomrule")[0].strip().splitlines()[1:]
    assert [line.partition(" ")[0] for line in body] == [
        *(r"\midrule", "input"),
        *(r"\midrule", "q"),
        *(r"\midrule", "a", "b"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100 % of $x_1$ & {y}", r"100 \% of \$x\_1\$ \& \{y\}"),
        (r"a\b", r"a\textbackslash{}b"),
        ("-0.5 [-1, 2], a-1", "$-$0.5 [$-$1, 2], a-1"),
        ("↑ ∞ ±", r"$\uparrow$ $\infty$ $\pm$"),
    ],
)
def test_latex_escapes_what_it_would_read(text, expected):
    assert escape(text) == expected


def test_latex_file_is_written_when_asked_for_and_removed_when_not(report_of, tmp_path):
    report = report_of({"input": [20.0], "net": [30.0]})
    assert report.save(tmp_path, extras=["latex"])[-1].name == "table.tex"
    assert (tmp_path / "table.tex").read_text() == report.table().to_latex()
    report.save(tmp_path)
    assert not (tmp_path / "table.tex").exists()


def test_unknown_extras_are_refused(report_of, tmp_path):
    with pytest.raises(UsageError, match="extra: expected latex or parquet, got 'latx'"):
        report_of({"input": [20.0]}).save(tmp_path, extras=["latx"])


def test_parquet_holds_the_records_of_the_csv(report_of, tmp_path):
    from pyarrow import parquet

    report = report_of({"input": [20.0, 21.0], "net": [30.0, None]})
    report.save(tmp_path, extras=["parquet"])
    rows = parquet.read_table(tmp_path / "scores.parquet").to_pylist()
    assert [(row["image"], row["model"], row["metric"]) for row in rows][:2] == [
        ("0.png", "input", PSNR),
        ("0.png", "net", PSNR),
    ]
    assert rows[1]["value"] == 30.0


def test_parquet_without_pyarrow_says_what_to_do_and_writes_nothing(report_of, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DependencyError, match=r"which is not installed; pip install \"restorekit\[parquet\]\""):
        report_of({"input": [20.0]}).save(tmp_path / "out", extras=["parquet"])
    assert not (tmp_path / "out").exists()
