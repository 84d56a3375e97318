"""The section "Audit of the inputs": which of them are not what their label says."""

from collections.abc import Iterator, Sequence
from html import escape

from restorekit.report.record import InputAudit, Report

__all__ = ["audit_html", "audit_markdown"]

HEADER = ("image", "sigma", "autocorrelation", "clipped", "blur (px)", "haze", "JPEG", "not as labelled")


def audit_markdown(report: Report) -> str:
    """A summary, and a table of the inputs that are not what they should be; "" without audits."""
    if not report.audits:
        return ""
    lines = ["**Audit of the inputs**", "", _summary(report.audits)]
    if flagged := _flagged(report.audits):
        lines += ["", f"| {' | '.join(HEADER)} |", "|" + " --- |" * len(HEADER)]
        lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in _cells(item))} |" for item in flagged]
    return "\n".join([*lines, ""])


def audit_html(report: Report) -> str:
    """The same as a section of the page; "" without audits."""
    if not report.audits:
        return ""
    table = ""
    if flagged := _flagged(report.audits):
        header = "".join(f'<th scope="col"{_word(index)}>{escape(text)}</th>' for index, text in enumerate(HEADER))
        rows = "\n".join(
            f"<tr>{''.join(f'<td{_word(index)}>{escape(cell)}</td>' for index, cell in enumerate(_cells(item)))}</tr>"
            for item in flagged
        )
        table = (
            '<div class="scroll tall" tabindex="0" role="region" aria-labelledby="audit">\n'
            f"<table><thead><tr>{header}</tr></thead><tbody>\n{rows}\n</tbody></table></div>\n"
        )
    return (
        '<section aria-labelledby="audit"><h2 id="audit">Audit of the inputs</h2>\n'
        f"<p>{escape(_summary(report.audits))}</p>\n{table}</section>"
    )


def _summary(audits: Sequence[InputAudit]) -> str:
    flagged, label = len(_flagged(audits)), audits[0].label
    source = "the difference to the reference" if audits[0].source == "difference" else "the input alone"
    if not flagged:
        return f"Every input is what its label says ({label}); noise is read from {source}."
    return f"{flagged} of {len(audits)} inputs are not what their label says ({label}); noise is read from {source}."


def _flagged(audits: Sequence[InputAudit]) -> list[InputAudit]:
    return [item for item in audits if item.problems]


def _cells(item: InputAudit) -> Iterator[str]:
    """In the order of ``HEADER``."""
    yield item.image
    yield f"{item.sigma:.1f}"
    yield f"{item.correlation:.2f}"
    yield f"{item.clipped:.1%}"
    yield f"{item.blur_px:.1f}"
    yield f"{item.haze:.2f}"
    yield "-" if item.jpeg is None else str(item.jpeg)
    yield "; ".join(item.problems)


def _word(index: int) -> str:
    """The first and the last column are words."""
    return ' class="word"' if index in (0, len(HEADER) - 1) else ""
