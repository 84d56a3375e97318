"""``restorekit bench``: a suite of comparisons over data sets on disk."""

from pathlib import Path
from typing import Annotated

import typer

from restorekit.cli import options
from restorekit.cli.console import command_line, exit_for, note, progress, stdout

__all__ = ["bench"]


def bench(
    suite: Annotated[str, typer.Argument(help="A shipped suite, such as dev, or the path of a .toml file.")],
    *,
    data: Annotated[Path, typer.Option("--data", help="Folder that holds the suite's data sets.")],
    output: options.Output,
    models: Annotated[
        list[str], typer.Option("--models", "-m", help="Models to measure besides the suite's own.")
    ] = [],  # noqa: B006 (typer copies it)
    compare: Annotated[
        Path | None,
        typer.Option("--compare", help="result.json of an earlier run: show what changed, and whether it is noise."),
    ] = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
) -> None:
    """Run a suite: one comparison per data set, and a summary table of all of them."""
    from restorekit.suite import RESULT, load_result, load_suite, run_suite
    from restorekit.zoo import split_models

    with progress() as bar:
        task = bar.add_task("bench", total=None)
        summary = run_suite(
            load_suite(suite),
            data,
            output,
            models=split_models(models),
            device=device,
            precision=precision,
            command=command_line(),
            earlier=compare,
            on_step=lambda image, model: bar.update(task, description=f"{image}: {model}", advance=1),
        )
    stdout().print(summary, markup=False, soft_wrap=True)
    note(f"wrote {output / 'summary.md'}, index.html, {RESULT} and one folder per data set")
    reports = load_result(output).reports
    exit_for(f"{name}: {line}" for name, report in reports.items() for line in report.failures)
