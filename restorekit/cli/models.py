"""``restorekit models``: what can be named, what is known of it, and checkpoints and runs made nameable."""

from pathlib import Path
from typing import Annotated

import typer

from restorekit.cli import options
from restorekit.cli.console import print_json, report_errors, stdout

__all__ = ["app"]

app = typer.Typer(help="The models that can be named: list, show, convert, publish.", no_args_is_help=True)


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


def convert(
    source: Annotated[Path, typer.Argument(help="Official checkpoint of NAFNet or Restormer: .pth, .pt, .ckpt.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, ending in .safetensors.")],
    *,
    licence: Annotated[str, typer.Option(help="Licence of these weights, as their owner states it.")],
    json: options.Json = False,
) -> None:
    """Convert an official checkpoint; restore with it as --model file:OUTPUT."""
    from restorekit.core.networks import convert_checkpoint, count_parameters, read_description

    written = convert_checkpoint(source, output, licence=licence)
    network, config = read_description(output)
    record = {
        "file": str(output),
        "network": network,
        "parameters": count_parameters(config),
        "config": config.model_dump(mode="json"),
        "sha256": written.sha256,
        "licence": licence,
    }
    if json:
        print_json(record)
        return
    typer.echo(f"{output}: {network}, {record['parameters']:,} parameters, licence {licence}")
    typer.echo(f"  restorekit restore PHOTOS -o OUT --model file:{output}")


def publish(
    run: Annotated[Path, typer.Argument(help="Output folder of 'restorekit train'.")],
    *,
    name: Annotated[str, typer.Option(help="What the model will be called.")],
    recipe: Annotated[str, typer.Option(help="The recipe that trained it.")],
    summary: Annotated[str, typer.Option(help="One line on what it is.")],
    helps: Annotated[list[str], typer.Option(help="What it helps against; once for each.")],
    data: Annotated[list[str], typer.Option(help="Photos it learned from, and their licence; once for each set.")],
    machine: Annotated[str, typer.Option(help="What it was trained on.")],
    licence: Annotated[str, typer.Option(help="SPDX identifier of the licence of the weights.")] = "Apache-2.0",
    folder: Annotated[Path, typer.Option(help="Where NAME.safetensors and NAME.toml are written.")] = Path(
        "restorekit/weights"
    ),
    json: options.Json = False,
) -> None:
    """Make a training run a model of this package: weights in float16, and a record beside them."""
    from restorekit.shipped import About
    from restorekit.shipped import publish as publish_run

    about = About(
        name=name,
        summary=summary,
        helps=tuple(helps),
        licence=licence,
        recipe=recipe,
        data=tuple(data),
        machine=machine,
    )
    model = publish_run(run, folder, about)
    if json:
        print_json(model.model_dump(mode="json"))
        return
    typer.echo(f"{folder / name}.safetensors: {model.parameters:,} parameters, {model.bytes:,} bytes, {licence}")


app.command("list")(report_errors(list_))
app.command("show")(report_errors(show))
app.command("convert")(report_errors(convert))
app.command("publish")(report_errors(publish))
