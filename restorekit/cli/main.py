"""``restorekit``: the list of commands. Importing this file loads neither torch nor anything that needs it."""

from typing import Annotated

import typer

from restorekit import __version__
from restorekit.cli import bench, compare, data, degrade, diagnose, doctor, models, restore, score, train
from restorekit.cli.console import report_errors
from restorekit.cli.method import add_methods

__all__ = ["app", "run"]

app = typer.Typer(
    name="restorekit",
    help="Restore, compare and measure photos: several restorers side by side, file-faithfully, on one shared core.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    restore.restore,
    compare.compare,
    degrade.degrade,
    diagnose.diagnose,
    score.score,
    train.train,
    bench.bench,
    doctor.doctor,
):
    app.command()(report_errors(command))
app.add_typer(models.app, name="models")
app.add_typer(data.app, name="data")
add_methods(app)


def _print_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"restorekit {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_print_version)
    ] = False,
) -> None: ...


def run() -> None:
    """The console script."""
    app()
