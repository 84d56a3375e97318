"""Restorers that failed: a row that says why, lines below the table, and no harm to the others."""

import io

from rich.console import Console

from restorekit.report import Report, render_page
from restorekit.report.failures import shortened

PSNR = "psnr[rgb|per-image|u8|crop0]"
LONG = "expected a restored image,\n got RuntimeError: " + "too much " * 20


def failing(report_of):
    """``dead`` could not be built, ``blind`` failed on every image, ``shaky`` on four of five."""
    base = report_of(
        {"input": [20.0] * 5, "net": [30.0] * 5, "blind": [1.0] * 5, "shaky": [25.0] * 5, "dead": [1.0] * 5}
    )
    reasons = {("blind", at): LONG for at in range(5)} | {("shaky", at): f"out of memory {at}" for at in (0, 1, 2, 4)}
    scores = [
        score.model_copy(update={"failed": reason, "scores": {}, "seconds": None})
        if (reason := reasons.get((score.model, int(score.image[0]))))
        else score
        for score in base.scores
        if score.model != "dead"
    ]
    failed = {"dead": "no licence | server", "blind": LONG}
    models = [model.model_copy(update={"failed": failed.get(model.name, "")}) for model in base.models]
    return base.model_copy(update={"scores": tuple(scores), "models": tuple(models)})


def test_failures_are_told_once_for_each_restorer(report_of):
    assert failing(report_of).failures == (
        f"blind: failed: {LONG}",
        "shaky: failed on 4 of 5 images: 0.png (out of memory 0), 1.png (out of memory 1), 2.png (out of memory 2) "
        "and 1 more",
        "dead: failed: no licence | server",
    )
    assert report_of({"input": [20.0]}).failures == ()


def test_the_row_of_a_restorer_that_failed_says_why_in_every_rendering(report_of):
    report = failing(report_of)
    table = report.table()
    lines = {line.split("|")[1].strip(): line for line in table.to_markdown().splitlines() if line.startswith("|")}
    assert r" failed: no licence \| server |" in lines["dead"]
    assert " failed: expected a restored image, got RuntimeError: too much too m" in lines["blind"]
    assert len({line.replace(r"\|", "").count("|") for line in lines.values()}) == 1
    assert lines["net"].split("|")[3].strip() == "**30.00**"
    assert r"failed: no licence \textbar{} server" in table.to_latex()
    assert "failed: no licence | server" in render_page(report)
    output = io.StringIO()
    Console(file=output, width=80).print(table.to_rich())
    assert "failed: no licence" in output.getvalue()
    assert set(report.failures) <= set(table.footnotes)


def test_means_are_over_the_images_on_which_every_working_restorer_answered(report_of):
    table = failing(report_of).table()
    means = {row.model.name: (row.cells[0].mean, row.cells[0].images) for row in table.rows}
    assert means == {"input": (20.0, 1), "net": (30.0, 1), "blind": (None, 0), "shaky": (25.0, 1), "dead": (None, 0)}


def test_failures_survive_the_file(report_of, tmp_path):
    report = failing(report_of)
    report.save(tmp_path)
    assert Report.load(tmp_path).failures == report.failures


def test_reasons_are_cut_at_the_width():
    assert shortened("a  b\nc", 5) == "a b c"
    assert shortened("abcdef", 5) == "abcd…"
