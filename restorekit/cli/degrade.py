"""``restorekit degrade``: reproducible degradations, with a manifest of what was drawn for each photo."""

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restorekit.cli import options
from restorekit.cli.console import EXIT_FAILED, error_line, note, print_json, progress
from restorekit.errors import RestorekitError, UsageError

if TYPE_CHECKING:
    from restorekit.core.degradation.base import Degradation
    from restorekit.core.image.pairs import NamedInput

__all__ = ["degrade"]

MANIFEST = "degradations.jsonl"


def _print_list(wanted: bool) -> bool:
    if wanted:
        from restorekit.core.degradation.chain import describe_degradations

        typer.echo(describe_degradations())
        raise typer.Exit
    return wanted


def degrade(
    inputs: options.Inputs,
    *,
    output: options.Output,
    degrade: options.Degrade,
    seed: options.Seed = 0,
    depth: Annotated[
        str, typer.Option(help="Samples of the output: same, 8, 16 or float (needs --format tif).")
    ] = "same",
    format: options.Format = "",
    json: options.Json = False,
    list_: Annotated[  # noqa: ARG001 (its callback does the work)
        bool,
        typer.Option("--list", help="Print every degradation and its settings.", is_eager=True, callback=_print_list),
    ] = False,
) -> None:
    """Degrade photos reproducibly; --list prints every degradation.

    The numbers drawn for a photo depend on the seed and the photo's name only; they are written to degradations.jsonl.
    """
    from restorekit.batch import output_path
    from restorekit.core.atomic import write_bytes
    from restorekit.core.degradation.chain import parse_degradation
    from restorekit.core.image.pairs import list_images

    if depth not in DEPTHS:
        raise UsageError(f"--depth: expected one of {', '.join(DEPTHS)}, got {depth!r}")
    degradation = parse_degradation(degrade)
    suffix = options.suffix_of(format)
    entries = list_images(inputs)
    targets = [output_path(entry, output, suffix, len(entries)) for entry in entries]
    replaced = [
        entry.name for entry, target in zip(entries, targets, strict=True) if target.resolve() == entry.path.resolve()
    ]
    if replaced:
        raise UsageError(f"-o {output}: expected another place than the input's, got {', '.join(replaced[:5])} itself")
    records: list[dict[str, Any]] = []
    with progress() as bar:
        for entry, target in bar.track(list(zip(entries, targets, strict=True)), description="degrading"):
            try:
                drawn = _degrade_one(entry, target, degradation, seed=seed, depth=depth)
                records.append({"name": entry.name, "degrade": degrade, "seed": seed, "params": drawn})
            except (RestorekitError, OSError) as error:
                error_line(str(error))
    failed = len(entries) - len(records)
    if records:
        lines = [jsonlib.dumps(record, ensure_ascii=False) for record in records]
        folder = targets[0].parent if targets == [output] else output
        write_bytes(folder / MANIFEST, ("\n".join(lines) + "\n").encode())
    if json:
        print_json({"degraded": records, "failed": failed})
    else:
        typer.echo(f"{len(records)} degraded with {degrade}, {failed} failed -> {output}")
    if failed:
        raise typer.Exit(EXIT_FAILED)


DEPTHS = {"same": None, "8": "uint8", "16": "uint16", "float": "float32"}


def _degrade_one(
    entry: "NamedInput", target: Path, degradation: "Degradation", *, seed: int, depth: str
) -> dict[str, Any]:
    """Read, degrade and write one photo; returns the numbers drawn."""
    from restorekit.core.degradation.base import params_to_json
    from restorekit.core.degradation.chain import degrade_images
    from restorekit.core.image.convention import convert_depth, from_images, to_images
    from restorekit.core.image.files import read_image, write_image
    from restorekit.core.randomness import generator_for

    source = read_image(entry.path)
    dtype = DEPTHS[depth] or source.dtype
    images, params = degrade_images(to_images(source.samples), degradation, generator=generator_for(seed, entry.name))
    samples = from_images(images, dtype, channels=source.samples.shape[2])
    alpha = None if source.alpha is None else convert_depth(source.alpha, dtype)
    for warning in (*source.warnings, *write_image(target, samples, alpha=alpha, record=source.record)):
        note(f"warning: {entry.name}: {warning}")
    return params_to_json(params)
