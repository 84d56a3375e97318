"""``restorekit models``: what can be named, and what is known of it."""

from typing import Annotated

import typer

from restorekit.cli import options
from restorekit.cli.console import print_json, report_errors, stdout

__all__ = ["app"]

app = typer.Typer(help="The models that can be named.", no_args_is_help=True)


def list_(json: options.Json = False) -> None:
    """List every model, what it helps against, and its licence."""
    from rich.table import Table

    from restorekit.zoo import list_models

    records = list_models()
    if json:
        print_json([record.model_dump() for record in records])
        return
    table = Table("model", "helps against", "what it is", "licence")
    for record in records:
        table.add_row(record.name, record.helps_against, record.summary, record.licence)
    stdout().print(table)


def show(
    name: Annotated[str, typer.Argument(help="A name from 'restorekit models list'.")], json: options.Json = False
) -> None:
    """Show one model: what it is and its options."""
    from restorekit.zoo import show_model

    record = show_model(name)
    if json:
        print_json(record.model_dump())
        return
    typer.echo(f"{record.name}: {record.summary}")
    typer.echo(f"  helps against {record.helps_against}; licence {record.licence}")
    for option in record.options:
        typer.echo(f"  {option}")


app.command("list")(report_errors(list_))
app.command("show")(report_errors(show))
