"""A set of a suite on this machine: whether it is there, what is wrong with it, and how it is compared on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from restorekit.comparison import find_subjects
from restorekit.core.degradation.chain import parse_degradation
from restorekit.core.metric.base import make_metric
from restorekit.core.metric.protocol import ensure_same_protocol
from restorekit.datasets.copies import absence, find_named_copy
from restorekit.errors import RestorekitError, UsageError
from restorekit.suite.definition import DataSet, Suite

__all__ = ["ensure_measurable", "source_of", "why_absent"]


def why_absent(entry: DataSet, data: Path) -> str:
    """Where the set should be and is not; "" where it is there."""
    if entry.known is not None:
        return "" if find_named_copy(data, entry.known) else absence(data, entry.known)
    for folder in (entry.clean, entry.degraded):
        if folder is not None and not (data / folder).is_dir():
            return f"{data / folder} is absent"
    return ""


def source_of(entry: DataSet, data: Path) -> tuple[Path, dict[str, Any]]:
    """What ``restorekit.compare`` takes: the inputs, and what they are."""
    if entry.known is not None:
        return data, {"dataset": entry.known, "degrade": entry.degrade}
    clean = data / (entry.clean or "")
    return (data / entry.degraded, {"clean": clean}) if entry.degraded else (clean, {"degrade": entry.degrade})


def ensure_measurable(suite: Suite, data: Path) -> None:
    """Look at all sets before work on the first: protocols, specs, names and headers.

    Raises:
        UsageError: none of the sets is there, or something is wrong with any of them; all of it is listed.
    """
    absent = {entry.name: why_absent(entry, data) for entry in suite.sets}
    if all(absent.values()):
        listed = "\n  ".join(f"{name}: {reason}" for name, reason in absent.items())
        raise UsageError(f"--data {data}: expected a data set of the suite, got none of them\n  {listed}")
    present = [entry for entry in suite.sets if not absent[entry.name]]
    problems = [f"{entry.name}: {problem}" for entry in present for problem in _problems(suite, entry, data)]
    if problems:
        raise UsageError("\n".join(problems))


def _problems(suite: Suite, entry: DataSet, data: Path) -> Iterator[str]:
    """What is wrong with one set that is there."""
    try:
        ensure_same_protocol([make_metric(text).address for text in suite.metrics_of(entry)])
        for spec in filter(None, (entry.degrade, entry.label)):
            parse_degradation(spec)
    except RestorekitError as error:
        yield str(error)
    inputs, source = source_of(entry, data)
    try:
        find_subjects([inputs], **source)
    except RestorekitError as error:
        yield str(error)
