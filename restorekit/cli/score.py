"""``restorekit score``: numbers that say what they are."""

import math
from dataclasses import asdict
from typing import Annotated

import typer

from restorekit.cli import options
from restorekit.cli.console import print_json, progress, stdout

__all__ = ["score"]


def _print_list(wanted: bool) -> bool:
    if wanted:
        from restorekit.core.metric.base import METRICS
        from restorekit.core.metric.presets import PRESETS

        for name, metric in METRICS.items():
            typer.echo(f"{name}: {metric.description}")
        for name, preset in PRESETS.items():
            typer.echo(f"--preset {name}: {', '.join(preset.addresses)}; {preset.summary} ({preset.source})")
        raise typer.Exit
    return wanted


def score(
    restored: Annotated[str, typer.Argument(help="A photo or a folder.")],
    clean: Annotated[str, typer.Argument(help="Its reference, or a folder of references of the same names.")] = "",
    *,
    set_: options.KnownSet = "",
    data: options.KnownSetData = "",
    metric: options.Metrics = [],  # noqa: B006 (typer copies it)
    preset: options.Preset = "",
    json: options.Json = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Measure under every definition of PSNR and SSIM that papers use.")
    ] = False,
    list_: Annotated[  # noqa: ARG001 (its callback does the work)
        bool, typer.Option("--list", help="Print every metric and preset.", is_eager=True, callback=_print_list)
    ] = False,
) -> None:
    """Measure photos: PSNR and SSIM against a reference, NIQE without one, each under a stated protocol.

    With --set, RESTORED are results on a known data set, named as its inputs, and measured as its papers do.
    """
    from rich.table import Table

    from restorekit.api import score as measure
    from restorekit.core.metric.protocol import ensure_same_protocol

    dataset = options.known_set(set_, data, others=[clean])
    if explain:
        _explain(restored, clean, json=json)
        return
    with progress() as bar:
        task = bar.add_task("measuring", total=None)
        scores = measure(
            restored,
            data or clean or None,
            metric or ([] if clean or dataset else ["niqe"]),
            preset=preset or None,
            dataset=dataset,
            on_image=lambda name: bar.update(task, description=name, advance=1),
        )
    if json:
        print_json({"mean": dict(scores.mean), "images": {name: dict(row) for name, row in scores.images.items()}})
        return
    ensure_same_protocol(scores.mean)
    table = Table("image", *(address.partition("[")[0] for address in scores.mean))
    for name, row in scores.images.items():
        table.add_row(name, *(_number(value) for value in row.values()))
    if len(scores.images) > 1:
        table.add_section()
        table.add_row(f"mean of {len(scores.images)}", *(_number(value) for value in scores.mean.values()))
    stdout().print(table)
    for address in scores.mean:
        typer.echo(address)


def _explain(restored: str, clean: str, *, json: bool) -> None:
    from restorekit.cli.definitions import definitions_table, widths
    from restorekit.cli.definitions import explain as measure
    from restorekit.errors import UsageError

    if not clean:
        raise UsageError("--explain: expected RESTORED and CLEAN, got no reference; PSNR and SSIM need one")
    with progress() as bar:
        task = bar.add_task("measuring", total=None)
        measured = measure(restored, clean, on_image=lambda name: bar.update(task, description=name, advance=1))
    if json:
        print_json([asdict(row) for row in measured])
        return
    stdout().print(definitions_table(measured))
    typer.echo(widths(measured))


def _number(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else str(value)
