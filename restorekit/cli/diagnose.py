"""``restorekit diagnose``: what is wrong with photos, measured, and which model fits."""

from typing import TYPE_CHECKING, Any

import typer

from restorekit.cli import options
from restorekit.cli.console import EXIT_FAILED, error_line, print_json, progress, stdout
from restorekit.errors import RestorekitError

if TYPE_CHECKING:
    from restorekit.diagnosis import Diagnosis

__all__ = ["diagnose"]


def diagnose(inputs: options.Inputs, *, json: options.Json = False) -> None:
    """Measure what is wrong with photos (noise, rain, haze, low light, blur, JPEG, cast) and propose a model for each.

    Numbers in brackets are confidences from 0 to 1.
    """
    from rich.table import Table

    from restorekit.core.image.pairs import list_images
    from restorekit.diagnosis import diagnose as examine

    found: dict[str, Diagnosis] = {}
    entries = list_images(inputs)
    with progress() as bar:
        for entry in bar.track(entries, description="diagnosing"):
            try:
                found[entry.name] = examine(entry.path)
            except (RestorekitError, OSError) as error:
                message = str(error)
                error_line(message if entry.name in message else f"{entry.name}: {message}")
    if json:
        print_json({"images": {name: diagnosis.as_record() for name, diagnosis in found.items()}})
    elif found:
        table = Table("image", *COLUMNS)
        for name, diagnosis in found.items():
            table.add_row(name, *_cells(diagnosis))
        stdout().print(table)
    if len(found) < len(entries):
        raise typer.Exit(EXIT_FAILED)


COLUMNS = ("problem", "noise", "jpeg", "blur", "light", "haze", "rain", "cast", "model")


def _cells(found: "Diagnosis") -> list[str]:
    """One row of the table, in the order of ``COLUMNS``."""
    noise, blur, light = found.noise, found.blur, found.exposure
    quality = "-" if found.jpeg.quality is None else f"Q {found.jpeg.quality}"
    direction = "" if blur.direction is None else f" along {blur.direction:.0f}°"
    coloured = "" if noise.white else f", ρ {noise.correlation:.2f}"
    return [
        _with(found.problem.replace("_", " "), found.confidence),
        _with(f"σ {noise.sigma:.1f}{coloured}", noise.confidence),
        _with(quality, found.jpeg.confidence),
        _with(f"{blur.sigma_px:.1f} px{direction}", blur.confidence),
        _with(f"{light.mean:.2f}", light.confidence),
        _with(f"{found.haze.density:.2f}", found.haze.confidence),
        _with(f"{found.rain.likelihood:.2f}", found.rain.confidence),
        _with(f"{found.colour_cast.strength:.2f}", found.colour_cast.confidence),
        found.model or "none needed" if found.problem == "clean" else found.model or "-",
    ]


def _with(text: Any, confidence: float) -> str:
    return f"{text} ({confidence:.1f})"
