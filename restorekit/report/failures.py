"""What failed: a restorer whose constructor or whose every answer raised, or that raised on some of the images."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restorekit.report.record import Report

__all__ = ["failure_lines", "shortened"]

MOST_NAMED = 3
"""Images whose failure is told in words; the others are counted."""


def failure_lines(report: "Report") -> Iterator[str]:
    """One line for each restorer that failed, in the order of the rows.

    ``net: failed: no licence server``, or ``net: failed on 1 of 24 images: kodim04.png (out of memory)``.
    """
    for model in report.models:
        failed = [score for score in report.scores if score.model == model.name and score.failed]
        if model.failed:
            yield f"{model.name}: failed: {model.failed}"
        elif failed:
            named = ", ".join(f"{score.image} ({score.failed})" for score in failed[:MOST_NAMED])
            more = f" and {len(failed) - MOST_NAMED} more" if len(failed) > MOST_NAMED else ""
            yield f"{model.name}: failed on {len(failed)} of {len(report.images)} images: {named}{more}"


def shortened(reason: str, width: int = 60) -> str:
    """A reason in one line of at most ``width`` characters, for a cell.

    >>> shortened("CUDA out of memory. Tried to allocate 20.00 MiB", 20)
    'CUDA out of memory…'
    """
    reason = " ".join(reason.split())
    return reason if len(reason) <= width else reason[: width - 1].rstrip(" .,;:") + "…"
