"""``restorekit constyle embed``: the degradation codes of photos as numbers and as a picture.

Importing this loads no torch, so that help is fast. ``load_model`` is no option: the command line fills it in, since
models are named above the methods.
"""

import json as jsonlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restorekit.errors import ImageError, UsageError

if TYPE_CHECKING:
    from restorekit.constyle.embedding import Embedded
    from restorekit.core.image.pairs import NamedInput
    from restorekit.core.restorer import Restorer

__all__ = ["embed"]


def embed(
    inputs: Annotated[list[str], typer.Argument(help="Photos, folders (with their subfolders) or samples.")],
    *,
    load_model: Callable[..., Any],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: .csv, .json or .npy.")],
    plot: Annotated[Path | None, typer.Option(help="Picture of the codes in a plane: .png, .pdf or .svg.")] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="file:WEIGHTS, recipe:NAME or a model's name; left out: what ships.")
    ] = "",
    degrade: Annotated[
        list[str], typer.Option("--degrade", "-d", help="Degrade each photo by this; once for each spec.")
    ] = [],  # noqa: B006 (typer copies it)
    seed: Annotated[int, typer.Option("--seed", min=0, help="With a photo's name it decides what is drawn.")] = 0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    set_: Annotated[list[str], typer.Option("--set", help="Change one value of a recipe: config.weights=FILE.")] = [],  # noqa: B006
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> None:
    """Write the degradation code (128 values) of each photo, and draw where the codes lie.

    With --degrade each photo appears once for each spec, degraded as 'restorekit degrade' does it.
    """
    from rich.console import Console
    from rich.progress import track

    from restorekit.constyle.embedding import plot_codes, write_codes
    from restorekit.core.degradation.chain import parse_degradation
    from restorekit.core.image.pairs import list_images

    for spec in degrade:
        parse_degradation(spec)
    entries = list_images(inputs)
    _check(output, plot, len(entries) * max(len(degrade), 1))
    restorer = load_model(model, device=device, overrides=set_)
    photos: list[Embedded] = []
    failed = 0
    console = Console(stderr=True)
    for entry in track(entries, "photos", console=console, transient=True, disable=not console.is_terminal):
        try:
            photos += _seen(entry, restorer, degrade or [""], seed)
        except (ImageError, OSError) as error:
            failed += 1
            typer.echo(f"error: {error}", err=True)
    if photos:
        write_codes(output, photos)
    if plot and len(photos) > 1:
        plot_codes(plot, photos)
    _summarise(photos, output, failed=failed, json=json)
    if failed:
        raise typer.Exit(1)


def _check(output: Path, plot: Path | None, count: int) -> None:
    """Refuse before any work what could not be written after it."""
    from restorekit.constyle.embedding import FORMATS, PLOT_FORMATS

    for option, path, suffixes in (("--output", output, FORMATS), ("--plot", plot, PLOT_FORMATS)):
        if path and path.suffix not in suffixes:
            raise UsageError(f"{option}: expected a name ending in {', '.join(suffixes)}, got {path.name!r}")
    if plot and count < 2:
        raise UsageError("--plot: expected at least 2 codes, got 1; give more photos, or several --degrade")


def _seen(entry: "NamedInput", restorer: "Restorer", specs: list[str], seed: int) -> "list[Embedded]":
    """One photo under every spec; "" leaves it as it is."""
    import numpy as np

    from restorekit.constyle.embedding import Embedded, code_of
    from restorekit.core.degradation.chain import degrade_images
    from restorekit.core.image.convention import from_images, to_images
    from restorekit.core.image.files import read_image
    from restorekit.core.randomness import generator_for

    source = read_image(entry.path).samples
    seen = []
    for spec in specs:
        samples = source
        if spec:
            images, _ = degrade_images(to_images(source), spec, generator=generator_for(seed, entry.name))
            samples = from_images(images, np.float32, channels=source.shape[2])
        seen.append(Embedded(entry.name, spec, code_of(samples, restorer)[0]))
    return seen


def _summarise(photos: "list[Embedded]", output: Path, *, failed: int, json: bool) -> None:
    """What was found, and how much the codes differ: a code that is one for all photos says nothing."""
    import torch

    from restorekit.constyle.watch import code_spread

    spread = code_spread(torch.stack([photo.code for photo in photos])) if len(photos) > 1 else None
    if json:
        relative = spread.relative if spread else None
        typer.echo(jsonlib.dumps({"codes": len(photos), "failed": failed, "file": str(output), "spread": relative}))
        return
    told = f"; they differ by {spread.relative:.2g} of their size" if spread else ""
    typer.echo(f"{len(photos)} codes, {failed} failed -> {output}{told}")
