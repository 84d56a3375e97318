"""``restorekit restore``: photos and folders in, restored photos out."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restorekit.cli import options
from restorekit.cli.console import EXIT_FAILED, error_line, note, print_json, progress
from restorekit.errors import UsageError
from restorekit.zoo import DEFAULT_MODEL

if TYPE_CHECKING:
    from restorekit.auto import AutoModel
    from restorekit.batch import BatchOptions, Outcome
    from restorekit.core.restorer import Restorer

__all__ = ["restore"]

MODEL_HELP = "See 'restorekit models list'; auto: what 'restorekit diagnose' proposes for each photo."


def restore(
    inputs: Annotated[list[str], typer.Argument(help="Photos, folders, sample:coffee, or - for stdin.")],
    *,
    output: Annotated[str, typer.Option("--output", "-o", help="A folder; a file name for one photo; - for stdout.")],
    model: Annotated[str, typer.Option("--model", "-m", help=MODEL_HELP)] = DEFAULT_MODEL,
    strength: Annotated[float, typer.Option(min=0, max=1, help="0 keeps the input, 1 the restored photo.")] = 1.0,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    seed: options.Seed = 0,
    tile: options.Tile = 0,
    depth: Annotated[str, typer.Option(help="Bits of a sample in the output: same, 8 or 16.")] = "same",
    format: options.Format = "",
    quality: Annotated[int, typer.Option(min=0, max=100, help="Of JPEG and lossy WebP; 0 means 95.")] = 0,
    drop_alpha: Annotated[bool, typer.Option("--drop-alpha", help="Write no alpha channel.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Redo photos that are done.")] = False,
    shard: Annotated[str, typer.Option(help="I/N: only the I-th of N parts of the photos.")] = "1/1",
    max_megapixels: Annotated[float, typer.Option(min=0, help="Refuse larger photos; 0 means 300.")] = 0.0,
    guard: Annotated[bool, typer.Option(help="Keep the input where a model runs away.")] = True,
    commercial_safe: options.CommercialSafe = False,
    set_: options.Set = [],  # noqa: B006 (typer copies it)
    json: options.Json = False,
) -> None:
    """Restore photos, keeping their depth, alpha, profile and metadata.

    The same command again continues: what is done is skipped, what failed is tried again.
    """
    from restorekit.batch import BatchOptions, restore_files
    from restorekit.core.image.files import DEFAULT_MAX_MEGAPIXELS
    from restorekit.core.image.pairs import list_images

    if depth not in ("same", "8", "16"):
        raise UsageError(f"--depth: expected same, 8 or 16, got {depth!r}")
    restorer, identity = _model(model, device, precision, set_, commercial_safe=commercial_safe)
    settings = BatchOptions(
        model=identity,
        strength=strength,
        seed=seed,
        tile_px=tile or None,
        depth=depth,  # type: ignore[arg-type]
        suffix=options.suffix_of(format),
        quality=quality or None,
        drop_alpha=drop_alpha,
        overwrite=overwrite,
        shard=_shard(shard),
        max_megapixels=max_megapixels or DEFAULT_MAX_MEGAPIXELS,
        guard=guard,
    )
    if inputs == ["-"] or output == "-":
        _stream(restorer, inputs, output, settings)
        return
    entries = list_images(inputs)
    outcomes: list[Outcome] = []
    with progress() as bar:
        photos = bar.add_task("photos", total=len(entries))
        tiles = bar.add_task("tiles", total=None, visible=False)

        def on_tile(done: int, total: int) -> None:
            bar.update(tiles, completed=done, total=total, visible=total > 1)

        for outcome in restore_files(restorer, entries, Path(output), settings, on_tile=on_tile):
            outcomes.append(outcome)
            bar.advance(photos)
            _tell(outcome)
    _summarise(outcomes, output, json=json)


def _model(
    model: str, device: str, precision: str, overrides: list[str], *, commercial_safe: bool
) -> "tuple[Restorer | AutoModel, str]":
    """The restorer, or the one that chooses for each photo, and what identifies it."""
    from restorekit.auto import AUTO, AutoModel, auto_identity
    from restorekit.licences import refuse_unsafe
    from restorekit.zoo import load, model_identity

    if commercial_safe:
        refuse_unsafe([model])
    if model != AUTO:
        return load(model, device=device, precision=precision, overrides=overrides), model_identity(model, overrides)
    if overrides:
        raise UsageError(f"--set: expected a model of the form recipe:NAME, got {AUTO}")
    return AutoModel(device=device, precision=precision), auto_identity()


def _tell(outcome: "Outcome") -> None:
    for warning in outcome.warnings:
        note(f"warning: {outcome.name}: {warning}")
    if outcome.error:
        error_line(outcome.error)


def _summarise(outcomes: "list[Outcome]", output: str, *, json: bool) -> None:
    """Counts at the end, and exit code 1 when a photo failed."""
    counts = {status: sum(o.status == status for o in outcomes) for status in ("restored", "kept", "skipped", "failed")}
    if json:
        print_json({**counts, "photos": [outcome.as_record() for outcome in outcomes]})
    else:
        told = ", ".join(f"{count} {status}" for status, count in counts.items() if count) or "nothing to do"
        typer.echo(f"{told} -> {output}")
    if counts["failed"]:
        raise typer.Exit(EXIT_FAILED)


def _stream(restorer: "Restorer | AutoModel", inputs: list[str], output: str, settings: "BatchOptions") -> None:
    """One photo from stdin, or to stdout, or both."""
    from restorekit.batch import restore_source
    from restorekit.core.image.files import decode_image, encode_image, read_image, write_image

    if len(inputs) != 1:
        raise UsageError(f"-: expected one photo when reading stdin or writing stdout, got {len(inputs)}")
    limit: dict[str, Any] = {"max_megapixels": settings.max_megapixels}
    streamed = inputs == ["-"]
    source = decode_image(sys.stdin.buffer.read(), "stdin", **limit) if streamed else read_image(inputs[0], **limit)
    restored = restore_source(restorer, source, source.record.name, settings).image
    form: dict[str, Any] = {"alpha": restored.alpha, "record": restored.record, "quality": settings.quality}
    if output == "-":
        suffix = settings.suffix or f".{source.record.format.lower()}"
        data, warnings = encode_image(restored.samples, suffix, **form)
        sys.stdout.buffer.write(data)
    else:
        warnings = write_image(output, restored.samples, **form)
    for warning in (*restored.warnings, *warnings):
        note(f"warning: {warning}")


def _shard(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    if not (index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise UsageError(f"--shard: expected I/N with 1 <= I <= N, such as 2/8, got {text!r}")
    return int(index) - 1, int(count)
