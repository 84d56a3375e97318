"""A suite, set by set, into reports, a result and a summary: ``run_suite``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from restorekit.core.atomic import write_bytes
from restorekit.errors import UsageError
from restorekit.report.overview import Overview, build_overview, check_page, overview_markdown, render_overview
from restorekit.report.record import Report, RunRecord
from restorekit.report.regression import Change, changes, changes_markdown, ensure_comparable
from restorekit.suite.definition import Suite
from restorekit.suite.result import RESULT, SuiteResult, load_result, report_folder

__all__ = ["run_suite"]


def run_suite(
    suite: Suite,
    data: Path,
    output: Path,
    *,
    models: Sequence[str] = (),
    device: str = "auto",
    precision: str = "auto",
    command: str = "",
    earlier: Path | None = None,
    on_step: Callable[[str, str], None] | None = None,
) -> str:
    """Compare on every data set, write one report folder each, ``result.json``, ``summary.md`` and ``index.html``.

    Interrupted and called again, it goes on where it stopped, finished sets included; numbers are the same.

    Args:
        suite: data sets and protocol.
        data: folder that the suite's data sets lie in.
        output: where everything is written.
        models: besides the suite's own.
        earlier: a result to compare with; the summary ends with what changed, and whether it is noise.
        on_step: called before each restoration with (image, model).

    Returns:
        The summary, Markdown.

    Raises:
        UsageError: none of the suite's data sets is under ``data``, or images of theirs cannot be paired; everything
            that is wrong with any of the sets is listed before work on the first. ``output`` holds somebody else's
            page.
        ProtocolError: ``earlier`` was measured otherwise.
    """
    from restorekit.api import compare
    from restorekit.comparison import ComparisonOptions
    from restorekit.suite.sources import ensure_measurable, source_of, why_absent

    before = None if earlier is None else load_result(earlier).reports
    if before is not None:
        _check_earlier(suite, before)
    check_page(output)
    ensure_measurable(suite, data)
    settings = suite.model_dump(include={"seed", "seeds", "photos", "crop_px", "region_megapixels"}, exclude_none=True)
    options = ComparisonOptions(**settings, device=device, precision=precision, command=command)
    parts: list[str] = [f"# {suite.title}"]
    reports: dict[str, Report] = {}
    absent = {entry.name: reason for entry in suite.sets if (reason := why_absent(entry, data))}
    for entry in suite.sets:
        parts.append(f"## {entry.name}")
        if entry.name in absent:
            parts.append(f"not measured: {absent[entry.name]}")
            continue
        inputs, source = source_of(entry, data)
        folder = output / report_folder(entry.name)
        report = compare(
            inputs,
            **source,
            models=[*suite.models, *models],
            output=folder,
            options=replace(options, metrics=suite.metrics_of(entry), label=entry.label, journal=folder),
            on_step=on_step,
        )
        parts += [report.table().to_markdown(), *_audited(report)]
        reports[entry.name] = report.model_copy(update={"pictures": {}})  # of all sets together they fill the memory
    overview = build_overview(suite.title, reports, absent)
    parts.insert(1, f"## All sets\n\n{overview_markdown(overview)}")
    if reports:
        parts.append(_origin(list(reports.values())[-1].run))
    if before is not None:
        parts.append(_against(before, reports))
    summary = "\n\n".join(parts) + "\n"
    _write(output, SuiteResult(title=suite.title, reports=reports), summary, overview)
    return summary


def _write(output: Path, result: SuiteResult, summary: str, overview: Overview) -> None:
    """What all sets gave; then nothing is left to go on with."""
    from restorekit.comparison import clear_journal

    output.mkdir(parents=True, exist_ok=True)
    write_bytes(output / RESULT, result.model_dump_json().encode())
    write_bytes(output / "summary.md", summary.encode())
    pages = {name: f"{report_folder(name)}/index.html" for name in result.reports}
    write_bytes(output / "index.html", render_overview(overview, pages).encode())
    for name in result.reports:
        clear_journal(output / report_folder(name))


def _audited(report: Report) -> list[str]:
    """How many inputs are not what they are said to be; nothing where all are."""
    flagged = sum(bool(item.problems) for item in report.audits)
    if not flagged:
        return []
    of = f"{flagged} of {len(report.audits)} inputs are not what their label says ({report.audits[0].label})"
    return [f"Audit: {of}; see this set's table.md."]


def _check_earlier(suite: Suite, before: Mapping[str, Report]) -> None:
    """Refuse a result of another suite or protocol before any work."""
    from restorekit.core.metric.base import make_metric

    common = [entry for entry in suite.sets if entry.name in before]
    if not common:
        raise UsageError(
            f"--compare: expected a result of the same suite, got one of {', '.join(before) or 'no data set'}; "
            f"this suite has {', '.join(entry.name for entry in suite.sets)}"
        )
    for entry in common:
        report = before[entry.name]
        run = report.run.model_copy(update={"seed": suite.seed, "degradation": entry.degrade})
        ensure_comparable(entry.name, report, run, [make_metric(text).address for text in suite.metrics_of(entry)])


def _against(before: Mapping[str, Report], reports: Mapping[str, Report]) -> str:
    """What changed, and where the earlier numbers come from; sets of one protocol share a table."""
    tables: dict[tuple[str, ...], dict[str, list[Change]]] = {}
    for name, report in reports.items():
        if name in before:
            addresses = tuple(metric.address for metric in report.metrics)
            ensure_comparable(name, before[name], report.run, addresses)
            tables.setdefault(addresses, {})[name] = changes(report, before[name])
    found = {name for table in tables.values() for name in table}
    alone = [name for name in {**before, **reports} if name not in found]
    left_out = [f"Not in both: {', '.join(alone)}."] if alone else []
    origin = f"Before: {_origin(list(before.values())[-1].run)}"
    return "\n\n".join(["## Now, and before", *map(changes_markdown, tables.values() or [{}]), *left_out, origin])


def _origin(run: RunRecord) -> str:
    """Where the numbers come from, in a line."""
    machine = f"{run.machine.cpu}, {run.machine.cores} cores, torch {run.machine.torch}"
    return f"Measured {run.time:%Y-%m-%d} with {run.code} on {machine}, device {run.device}: `{run.command}`"
