"""``restorekit models``: what can be named, what is known of it, and checkpoints and runs made nameable."""

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from restorekit.cli import options
from restorekit.cli.console import note, print_json, report_errors, stdout

__all__ = ["app"]

app = typer.Typer(help="The models that can be named: list, show, convert, publish.", no_args_is_help=True)


def list_(commercial_safe: options.CommercialSafe = False, json: options.Json = False) -> None:
    """List every model, what it helps against, and its licence."""
    from rich.table import Table

    from restorekit.licences import obstacle
    from restorekit.zoo import list_models

    records = list_models()
    if commercial_safe:
        reasons = {record.name: reason for record in records if (reason := obstacle(record.name))}
        records = [record for record in records if record.name not in reasons]
        for name, reason in reasons.items():
            note(f"left out: {name}: {reason}")
        note("also left out: file:, spandrel: and python: models, whose licences are not known here")
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
    """Show one model: what it is, what it learned from, the hash of its weights, and its options."""
    from restorekit.zoo import show_model

    record = show_model(name)
    if json:
        print_json(record.model_dump())
        return
    typer.echo(f"{record.name}: {record.summary}")
    typer.echo(f"  helps against {record.helps_against}; licence {record.licence}")
    for line in record.data:
        typer.echo(f"  learned from {line}")
    if record.sha256:
        typer.echo(f"  SHA-256 {record.sha256}")
    for data_set, score in record.scores.items():
        typer.echo(f"  {score:.2f} dB on {data_set}")
    for option in record.options:
        typer.echo(f"  {option}")


def convert(
    source: Annotated[
        Path, typer.Argument(help="Official checkpoint of NAFNet, Restormer or ConStyle: .pth, .pt, .ckpt.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, ending in .safetensors.")],
    *,
    licence: Annotated[str, typer.Option(help="Licence of these weights, as their owner states it.")],
    json: options.Json = False,
) -> None:
    """Convert an official checkpoint; restore with it as --model file:OUTPUT."""
    record = _convert_for_a_method(source, output, licence) or _convert_network(source, output, licence)
    if json:
        print_json(record)
        return
    typer.echo(f"{output}: {record['network']}, {record['parameters']:,} parameters, licence {licence}")
    typer.echo(f"  restorekit restore PHOTOS -o OUT --model file:{output}")


def _convert_for_a_method(source: Path, output: Path, licence: str) -> dict[str, Any] | None:
    """By the method whose ``METHOD.convert``, a ``module:function``, knows the checkpoint; None if none does."""
    from restorekit.core.networks.convert import read_checkpoint
    from restorekit.core.weights import save_weights
    from restorekit.methods import METHODS, load_method

    tensors = read_checkpoint(source)
    for method in METHODS:
        module, _, function = getattr(load_method(method), "convert", "").partition(":")
        converted = getattr(importlib.import_module(module), function)(tensors, str(source)) if module else None
        if converted is None:
            continue
        config = converted.config
        description = {"method": method, "method_config": config.model_dump_json(), "source": source.name}
        written = save_weights(output, converted.tensors, description | {"licence": licence})
        for remark in converted.notes:
            note(f"note: {source}: {remark}")
        return {
            "file": str(output),
            "network": method,
            "parameters": sum(part.numel() for part in converted.tensors.values() if part.is_floating_point()),
            "config": config.model_dump(mode="json"),
            "sha256": written.sha256,
            "licence": licence,
            "notes": list(converted.notes),
        }
    return None


def _convert_network(source: Path, output: Path, licence: str) -> dict[str, Any]:
    """As one of the core's networks."""
    from restorekit.core.networks import convert_checkpoint, count_parameters, read_description

    written = convert_checkpoint(source, output, licence=licence)
    network, config = read_description(output)
    return {
        "file": str(output),
        "network": network,
        "parameters": count_parameters(config),
        "config": config.model_dump(mode="json"),
        "sha256": written.sha256,
        "licence": licence,
    }


def publish(
    run: Annotated[Path, typer.Argument(help="Output folder of 'restorekit train'.")],
    *,
    name: Annotated[str, typer.Option(help="What the model will be called.")],
    recipe: Annotated[str, typer.Option(help="The recipe that trained it.")],
    summary: Annotated[str, typer.Option(help="One line on what it is.")],
    helps: Annotated[list[str], typer.Option(help="What it helps against; once for each.")],
    data: Annotated[list[str], typer.Option(help="Photos it learned from, as 'NAME (COUNT, LICENCE)'; one set each.")],
    machine: Annotated[str, typer.Option(help="What it was trained on.")],
    earlier: Annotated[
        list[Path], typer.Option(help="Output folder of an earlier stage, whose steps and hours count; once for each.")
    ] = [],  # noqa: B006 (typer copies it)
    scores: Annotated[
        Path | None,
        typer.Option(help="Output of 'restorekit bench' with this run or with NAME: its scores go into the record."),
    ] = None,
    licence: Annotated[str, typer.Option(help="SPDX identifier of the licence of the weights.")] = "Apache-2.0",
    folder: Annotated[Path, typer.Option(help="Where NAME.safetensors and NAME.toml are written.")] = Path(
        "restorekit/weights"
    ),
    json: options.Json = False,
) -> None:
    """Make a training run a model of this package: weights in float16, and a record beside them."""
    from restorekit.shipped import About
    from restorekit.shipped import publish as publish_run
    from restorekit.suite import scores_of

    about = About(
        name=name,
        summary=summary,
        helps=tuple(helps),
        licence=licence,
        recipe=recipe,
        data=tuple(data),
        machine=machine,
    )
    measured = scores_of(scores, (name, f"file:{run / 'weights.safetensors'}")) if scores else None
    model = publish_run(run, folder, about, earlier=earlier, scores=measured)
    if json:
        print_json(model.model_dump(mode="json"))
        return
    typer.echo(f"{folder / name}.safetensors: {model.parameters:,} parameters, {model.bytes:,} bytes, {licence}")
    typer.echo(f"for NOTICE: {model.notice}")


app.command("list")(report_errors(list_))
app.command("show")(report_errors(show))
app.command("convert")(report_errors(convert))
app.command("publish")(report_errors(publish))
