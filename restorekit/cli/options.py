"""Options that several commands share, so that a thing has one name everywhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from restorekit.errors import UsageError

__all__ = [
    "Degrade",
    "Device",
    "Format",
    "Inputs",
    "Json",
    "KnownSet",
    "KnownSetData",
    "Metrics",
    "Output",
    "Precision",
    "Preset",
    "Seed",
    "Set",
    "Tile",
    "known_set",
    "suffix_of",
]

Inputs = Annotated[
    list[str], typer.Argument(help="Photos, folders (with their subfolders) or samples such as sample:coffee.")
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")]
Degrade = Annotated[
    str,
    typer.Option(
        "--degrade",
        "-d",
        help="Degradation, such as 'noise:sigma=25+jpeg:quality=40', with ranges as 'noise:sigma=5..50'.",
    ),
]
Metrics = Annotated[
    list[str],
    typer.Option(
        "--metric",
        help="psnr, ssim, ms-ssim, psnr-affine, lpips, niqe, or a full address such as 'psnr\\[y-studio|crop4]'.",
    ),
]
Preset = Annotated[str, typer.Option("--preset", help="Protocol of a field: kair, basicsr-y, promptir, tao, lol ...")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
Precision = Annotated[str, typer.Option("--precision", help="auto, float32, bfloat16 or float16.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="With a photo's name it decides every random number.")]
Tile = Annotated[int, typer.Option("--tile", min=0, help="Side of a tile in px; 0 chooses from free memory.")]
Set = Annotated[list[str], typer.Option("--set", help="Change one value of a recipe: config.options.sigma=15.")]
Format = Annotated[str, typer.Option("--format", help="png, jpg, tif or webp; that of the input when left out.")]
KnownSet = Annotated[
    str,
    typer.Option(
        "--set",
        metavar="NAME[:SPLIT]",
        help="A known data set instead, such as lol-v1:test; see 'restorekit data list'.",
    ),
]
KnownSetData = Annotated[
    str, typer.Option("--data", help="Where --set lies: its own folder, or a folder of data sets with their names.")
]
CommercialSafe = Annotated[
    bool,
    typer.Option(
        "--commercial-safe", help="Only models whose licence and training data are known to allow commercial use."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def known_set(name: str, data: str, *, others: Sequence[str]) -> str | None:
    """What ``--set`` asks for, if it does.

    Args:
        name: of ``--set``.
        data: of ``--data``.
        others: photos and references that were given; empty texts are none.

    Raises:
        UsageError: one of ``--set`` and ``--data`` without the other, or beside photos.
    """
    given = [text for text in others if text]
    if bool(name) != bool(data):
        raise UsageError(
            f"--{'data' if data else 'set'}: expected --set NAME --data FOLDER, got one of them; give both"
        )
    if name and given:
        raise UsageError(f"--set {name}: expected no other photos, got {', '.join(given)}; drop one")
    return name or None


def suffix_of(format: str) -> str | None:
    """The file suffix that ``--format`` asks for, or None for that of the input.

    Raises:
        UsageError: a format that is not written.
    """
    from restorekit.core.image.files import IMAGE_SUFFIXES

    if not format:
        return None
    suffix = f".{format.lower().removeprefix('.')}"
    if suffix not in IMAGE_SUFFIXES:
        raise UsageError(f"--format: expected one of {', '.join(s[1:] for s in IMAGE_SUFFIXES)}, got {format!r}")
    return suffix
