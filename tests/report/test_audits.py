"""The section on the inputs counts what is not as labelled, lists just that, and is absent without audits."""

import pytest

from restorekit.report import Report
from restorekit.report.audits import audit_html, audit_markdown
from restorekit.report.page import render_page
from restorekit.report.record import InputAudit


def audited(image, *problems):
    return InputAudit(
        image=image,
        label="noise:sigma=30",
        sigma=12.48,
        correlation=0.246,
        source="difference",
        clipped=0.0123,
        blur_px=0.71,
        haze=0.2,
        jpeg=None,
        problems=problems,
    )


@pytest.fixture
def report(report_of):
    plain = report_of({"input": [20.0, 21.0]})
    return plain.model_copy(update={"audits": (audited("a<b.png", "noise: expected 30|, got 12"), audited("c.png"))})


def test_without_audits_there_is_no_section(report_of):
    plain = report_of({"input": [20.0]})
    assert (audit_markdown(plain), audit_html(plain)) == ("", "")
    assert "Audit of the inputs" not in render_page(plain)


def test_markdown_counts_and_lists_what_is_not_as_labelled(report):
    text = audit_markdown(report)
    assert "1 of 2 inputs are not what their label says (noise:sigma=30)" in text
    (row,) = [line for line in text.splitlines() if "a<b.png" in line]
    assert row == r"| a<b.png | 12.5 | 0.25 | 1.2% | 0.7 | 0.20 | - | noise: expected 30\|, got 12 |"
    assert "c.png" not in text


def test_page_has_the_section_escaped(report):
    page = render_page(report)
    assert "Audit of the inputs" in page
    assert "a&lt;b.png" in page.partition("Audit of the inputs")[2].partition("</section>")[0]


def test_all_well_needs_no_table(report):
    fine = report.model_copy(update={"audits": (audited("c.png"),)})
    assert "Every input is what its label says (noise:sigma=30)" in audit_markdown(fine)
    assert "|" not in audit_markdown(fine)


def test_audits_and_warnings_are_stored_and_read_back(report, tmp_path):
    report.save(tmp_path / "out")
    assert Report.load(tmp_path / "out").audits == report.audits
    assert "Audit of the inputs" in (tmp_path / "out" / "table.md").read_text()
