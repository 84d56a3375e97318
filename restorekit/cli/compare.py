"""``restorekit compare``: the same photos through several restorers, in a table, a contact sheet and a page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli import options
from restorekit.cli.console import command_line, exit_for, note, progress, stdout
from restorekit.errors import UsageError

if TYPE_CHECKING:
    from restorekit.report.record import Report

__all__ = ["compare"]


def compare(
    inputs: options.Inputs = [],  # noqa: B006 (typer copies it)
    *,
    set_: options.KnownSet = "",
    data: options.KnownSetData = "",
    clean: Annotated[str, typer.Option(help="The clean photo, or a folder of clean photos of the same names.")] = "",
    degrade: options.Degrade = "",
    label: Annotated[
        str, typer.Option(help="What degraded photos are said to be, such as noise:sigma=30: audits whether they are.")
    ] = "",
    models: Annotated[
        list[str],
        typer.Option("--models", "-m", help="Comma-separated, or several times; see 'restorekit models list'."),
    ] = [],  # noqa: B006 (typer copies it)
    commercial_safe: options.CommercialSafe = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder for table, sheet and page.")] = None,
    metric: options.Metrics = [],  # noqa: B006
    preset: options.Preset = "",
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    seed: options.Seed = 0,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, help="Run stochastic models with so many seeds, and show the spread.")
    ] = 1,
    photos: Annotated[
        int, typer.Option("--photos", min=0, help="At most so many of the photos, evenly spaced; 0: all.")
    ] = 0,
    crop: Annotated[
        int, typer.Option("--crop", min=0, help="Compare on the centre of photos, so many px a side; 0: whole photos.")
    ] = 0,
    tile: options.Tile = 0,
    pictures: Annotated[int, typer.Option(min=1, help="How many photos to show as pictures.")] = 6,
    costs: Annotated[
        bool, typer.Option(help="Measure weights and MACs, with one more image of 256x256 px for each model.")
    ] = True,
    latex: Annotated[bool, typer.Option("--latex", help="Also write table.tex (booktabs).")] = False,
    parquet: Annotated[bool, typer.Option("--parquet", help="Also write scores.parquet; needs pyarrow.")] = False,
    json: options.Json = False,
) -> None:
    """Restore the same photos with several restorers and measure them side by side.

    The degraded input and the best classical restorers are always among the rows.
    With --degrade the photos are clean ones that are degraded here; with --clean they are degraded ones.
    With --set they are those of a known data set, under the protocol of its papers.
    With -o, an interrupted comparison goes on where it stopped when the same command is given again.
    """
    from restorekit.api import compare as run
    from restorekit.comparison import ComparisonOptions, clear_journal

    dataset = _known_set(set_, data, inputs, clean)
    extras = _extras(output, latex=latex, parquet=parquet)
    settings = ComparisonOptions(
        metrics=metric,
        preset=preset or None,
        device=device,
        precision=precision,
        seed=seed,
        seeds=seeds,
        costs=costs,
        label=label or None,
        journal=output,
        photos=photos or None,
        crop_px=crop or None,
        tile_px=tile or None,
        pictures=pictures,
        command=command_line(),
    )
    with progress() as bar:
        task = bar.add_task("restoring", total=None)
        report = run(
            data if dataset else inputs,
            clean=clean or None,
            degrade=degrade or None,
            dataset=dataset,
            models=_chosen(models, commercial_safe=commercial_safe),
            options=settings,
            on_step=lambda image, model: bar.update(task, description=f"{image}: {model}", advance=1),
        )
    _show(report, json=json)
    if output:
        written = report.save(output, extras=extras)
        clear_journal(output)
        note(f"wrote {', '.join(path.name for path in written)} -> {output}")
    exit_for(report.failures)


def _known_set(name: str, data: str, inputs: list[str], clean: str) -> str | None:
    dataset = options.known_set(name, data, others=[*inputs, clean])
    if not (inputs or dataset):
        raise UsageError("compare: expected photos, or --set NAME --data FOLDER, got neither")
    return dataset


def _show(report: "Report", *, json: bool) -> None:
    if json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        stdout().print(report.table().to_rich())
    for text in report.notes:
        note(f"note: {text}")


def _chosen(texts: list[str], *, commercial_safe: bool) -> list[str]:
    from restorekit.licences import refuse_unsafe
    from restorekit.zoo import split_models

    models = split_models(texts)
    if commercial_safe:
        refuse_unsafe(models)
    return models


def _extras(output: Path | None, *, latex: bool, parquet: bool) -> list[str]:
    """What to write besides the report; whatever cannot be written is refused before any work."""
    from restorekit.report.files import check_extras, check_folder

    extras = ["latex"] * latex + ["parquet"] * parquet
    if extras and output is None:
        raise UsageError(f"--{' and --'.join(extras)}: expected -o FOLDER to write to, got none")
    check_extras(extras)
    if output is not None:
        check_folder(output)
    return extras
