"""``restorekit data``: the field's data sets, whether a copy on disk is whole, and leaks between training and test."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli import options
from restorekit.cli.console import EXIT_FAILED, note, print_json, progress, report_errors, stdout

if TYPE_CHECKING:
    from restorekit.datasets.check import CheckReport

__all__ = ["app"]

app = typer.Typer(help="Data sets of the field: list, check a folder, find leaks.", no_args_is_help=True)


def list_(
    json: options.Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables of docs/datasets.md.")] = False,
) -> None:
    """List every data set: what for, how many pictures, how papers measure on it."""
    from rich.markup import escape
    from rich.table import Table

    from restorekit.datasets.known_sets import catalogue
    from restorekit.datasets.page import catalogue_page, counts_text

    if markdown:
        typer.echo(catalogue_page())
        return
    sets = catalogue().values()
    if json:
        print_json([item.model_dump(mode="json") for item in sets])
        return
    table = Table("set", "task", "layout", "split", "pairs", "measured as")
    for item in sets:
        for at, part in enumerate(item.parts):
            first = (item.name, item.task, "\n".join(item.protocol)) if at == 0 else ("", "", "")
            count = counts_text(part.count) + ("" if part.degraded else " clean")
            table.add_row(*first[:2], part.layout, part.split, count, escape(first[2]))
    stdout().print(table)


def check(
    folder: Annotated[Path, typer.Argument(help="Where the data set lies.")],
    *,
    as_: Annotated[str, typer.Option("--as", help="Which set it is; recognised when left out.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="Names and counts only; open no file.")] = False,
    json: options.Json = False,
) -> None:
    """Check a data set on disk: everything that is missing, too much, damaged or mixed, at once."""
    from restorekit.datasets.check import check_set

    with progress() as bar:
        task = bar.add_task("reading", total=None)
        report = check_set(
            folder,
            as_ or None,
            quick=quick,
            on_file=lambda name: bar.update(task, description=name, advance=1),
        )
    if json:
        print_json(asdict(report) | {"ok": not report.problems})
    else:
        _print_report(report)
    if report.problems:
        raise typer.Exit(EXIT_FAILED)


def _print_report(report: "CheckReport") -> None:
    from restorekit.datasets.page import counts_text

    reason = f", by its {', '.join(report.recognised_by)}" if report.recognised_by else ""
    typer.echo(f"{report.folder}: {report.name}, layout {report.layout}{reason}")
    for part in report.parts:
        degraded = f"{part.degraded} degraded (expected {counts_text(part.expected_degraded)}), "
        clean = f"{part.clean} clean (expected {counts_text(part.expected_clean)})"
        typer.echo(f"  {part.split}: {degraded if part.degraded or part.expected_degraded else ''}{clean}")
    if report.absent:
        typer.echo(f"  not here: {', '.join(report.absent)}")
    for problem in report.problems:
        typer.echo(f"  {problem.kind}: {problem.message}")
    for line in report.notes:
        typer.echo(f"  note: {line}")
    kinds = [problem.kind for problem in report.problems]
    summary = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    typer.echo(f"{len(kinds)} problems: {summary}" if kinds else "no problems")


def leak(
    train: Annotated[Path, typer.Argument(help="Folder that was trained on.")],
    test: Annotated[Path, typer.Argument(help="Folder to test on.")],
    *,
    distance: Annotated[
        int | None, typer.Option("--distance", help="Bits of 64 that may differ; a default that was measured.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Find test pictures that are among the training pictures: resized, re-encoded, brightened, mirrored or turned."""
    from restorekit.datasets.leak import MAX_DISTANCE, find_leaks

    with progress() as bar:
        task = bar.add_task("reading", total=None)
        report = find_leaks(
            train,
            test,
            max_distance=MAX_DISTANCE if distance is None else distance,
            on_file=lambda name: bar.update(task, description=name, advance=1),
        )
    if json:
        print_json(asdict(report))
    else:
        for found in report.leaks:
            lies = "" if found.orientation == "same" else f", {found.orientation}"
            typer.echo(f"{found.test} is {found.train}: {found.distance} of 64 bits, {found.likeness:.3f} alike{lies}")
        leaked = len({found.test for found in report.leaks})
        typer.echo(f"{leaked} of {report.test} test pictures are among {report.train} training pictures")
    for line in report.skipped:
        note(f"skipped: {line}")
    if report.leaks or report.skipped:
        raise typer.Exit(EXIT_FAILED)


app.command("list")(report_errors(list_))
app.command("check")(report_errors(check))
app.command("leak")(report_errors(leak))
