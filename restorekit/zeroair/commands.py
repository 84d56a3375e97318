"""``restorekit zeroair restore`` and ``convert``: photos with what happens inside shown, and a diffusion model to use.

- ``restore`` takes minutes a photo, so its bar counts steps and says the stage, the losses and the time left.
- ``restorekit restore --model ...`` makes the same pixels, and continues where it was interrupted.

Importing this loads no torch, so that help is fast.
"""

import dataclasses
import json as jsonlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restorekit.errors import ImageError, UsageError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from restorekit.core.image.pairs import NamedInput
    from restorekit.zeroair.ensemble import Ensemble
    from restorekit.zeroair.restorer import RunProgress, ZeroAIRRestorer

__all__ = ["convert", "restore"]


def restore(
    inputs: Annotated[list[str], typer.Argument(help="Photos, folders (with their subfolders) or samples.")],
    *,
    load_model: Callable[..., Any],
    output: Annotated[Path, typer.Option("--output", "-o", help="A folder, or a file name for one photo.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="file:WEIGHTS, recipe:NAME or a model's name; left out: what ships.")
    ] = "",
    prior: Annotated[str, typer.Option(help="A diffusers folder or hub name in place of a model.")] = "",
    preset: Annotated[str, typer.Option(help="blind, fast, gdp or a reference-...; left out: the model's.")] = "",
    steps: Annotated[int, typer.Option(min=0, help="Evaluations of the diffusion model; 0: the preset's.")] = 0,
    samples: Annotated[int, typer.Option(min=0, help="Runs per photo, of which the mean is taken; 0: as set.")] = 0,
    trace: Annotated[
        Path | None, typer.Option(help="Folder for what happened: pictures over time, guidance, losses, uncertainty.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    precision: Annotated[str, typer.Option("--precision", help="auto, float32, bfloat16 or float16.")] = "auto",
    seed: Annotated[int, typer.Option("--seed", min=0, help="With a photo's name it decides every random number.")] = 0,
    set_: Annotated[list[str], typer.Option("--set", help="Change one value of a recipe: config.overlap=0.5.")] = [],  # noqa: B006
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> None:
    """Restore photos by guiding a diffusion model, and show how.

    A photo of any size; its depth, alpha, profile and metadata are kept.
    """
    from restorekit.core.image.pairs import list_images

    entries = list_images(inputs)
    single = len(entries) == 1 and bool(output.suffix) and not output.is_dir()
    targets = [output if single else output / entry.name for entry in entries]
    replaced = [entry.name for entry, target in zip(entries, targets, strict=True) if target.resolve() == entry.path]
    if replaced:
        raise UsageError(f"-o {output}: expected another place than the input's, got {', '.join(replaced[:5])} itself")
    options = {"device": device, "precision": precision}
    restorer = _restorer(load_model, model, prior, options | {"overrides": set_})
    changes = {"preset": preset or None, "samples": samples or None}
    restorer = restorer.changed(**{name: value for name, value in changes.items() if value is not None})
    restorer = restorer.changed(sampling={"steps": steps}) if steps else restorer
    failed = 0
    with _progress() as bar:
        photos = bar.add_task("photos", total=len(entries), told="")
        for entry, target in zip(entries, targets, strict=True):
            folder = trace / Path(entry.name).with_suffix("") if trace else None
            try:
                _restore_one(entry, target, restorer, seed=seed, folder=folder, bar=bar)
            except (ImageError, OSError) as error:
                failed += 1
                typer.echo(f"error: {entry.name}: {error}", err=True)
            bar.advance(photos)
    _summarise(len(entries) - failed, failed, output, json=json)


def convert(
    source: Annotated[Path, typer.Argument(help="Unconditional checkpoint of OpenAI's guided-diffusion: .pt.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write, in diffusers' layout.")],
    *,
    size_px: Annotated[int, typer.Option(min=16, help="Side of the images it was trained on, in px.")] = 256,
    half: Annotated[bool, typer.Option(help="Store in float16: half the size.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> None:
    """Convert the diffusion model of the paper; restore with it as --prior OUTPUT."""
    from restorekit.priors.adm import convert_adm

    convert_adm(source, output, size_px=size_px, half=half)
    if json:
        typer.echo(jsonlib.dumps({"output": str(output)}))
    else:
        typer.echo(f"{output}: use it by: restorekit zeroair restore PHOTOS -o OUT --prior {output}")


def _restorer(load_model: Callable[..., Any], model: str, prior: str, options: dict[str, Any]) -> "ZeroAIRRestorer":
    """The model that is named, or the settings' defaults around another diffusion model."""
    from restorekit.core.placement import resolve_device, resolve_precision
    from restorekit.zeroair.restorer import ZeroAIRRestorer
    from restorekit.zeroair.settings import ZeroAIRSettings

    if model and prior:
        raise UsageError(f"--prior: expected none beside --model {model}, got {prior}; give one of them")
    if prior:
        if options["overrides"]:
            raise UsageError("--set: expected a recipe to change, got --prior; write --model recipe:NAME --set ...")
        chosen = resolve_device(options["device"])
        restorer = ZeroAIRRestorer("zeroair", ZeroAIRSettings(prior=prior))
        return restorer.to(chosen, resolve_precision(options["precision"], chosen))
    loaded = load_model(model, **options)
    if not isinstance(loaded, ZeroAIRRestorer):
        raise UsageError(f"--model: expected a model of zeroair, got {model}; use: restorekit restore --model {model}")
    return loaded


def _restore_one(
    entry: "NamedInput", target: Path, restorer: "ZeroAIRRestorer", *, seed: int, folder: Path | None, bar: "Progress"
) -> None:
    """One photo, with its own bar and trace; nothing is written if its run fails."""
    from restorekit.core.guard import restore_guarded
    from restorekit.core.image.files import read_image
    from restorekit.core.image.tiling import TilingOptions
    from restorekit.core.randomness import derive_seed
    from restorekit.zeroair.trace import Trace

    source = read_image(entry.path)
    trace = Trace() if folder else None
    ensembles: list[Ensemble] = []
    task = bar.add_task(entry.name, total=None, told="preparing")

    def on_progress(progress: "RunProgress") -> None:
        _tell(progress, bar, task)
        if trace:
            trace(progress)

    restorer.on_progress, restorer.on_ensemble = on_progress, ensembles.append
    try:
        found = restore_guarded(restorer, source.samples, TilingOptions(seed=derive_seed(seed, entry.name)))
    finally:
        bar.remove_task(task)
    target.parent.mkdir(parents=True, exist_ok=True)
    written = dataclasses.replace(source, samples=found.samples).save(target)
    for warning in (*source.warnings, *found.warnings, *written):
        typer.echo(f"warning: {entry.name}: {warning}", err=True)
    if trace and folder:
        trace.save(folder, restored=ensembles[0].mean, deviation=ensembles[0].deviation)


def _tell(progress: "RunProgress", bar: "Progress", task: "TaskID") -> None:
    """The step, its stage, and the losses that count most."""
    logs, moment = progress.report.logs, progress.report.moment
    told = [f"stage {int(logs['stage'])}"] if "stage" in logs else []
    told += [f"{name} {float(logs[name]):.2g}" for name in ("reconstruction", "fit_adversarial") if name in logs]
    total = progress.samples * moment.steps
    bar.update(task, completed=progress.sample * moment.steps + moment.step, total=total, told=", ".join(told))


def _progress() -> "Progress":
    """Bars with the time left on stderr; silent where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("left"))
    told = TextColumn("{task.fields[told]}")
    return Progress(
        *columns, TimeRemainingColumn(), told, console=console, transient=True, disable=not console.is_terminal
    )


def _summarise(restored: int, failed: int, output: Path, *, json: bool) -> None:
    """Counts at the end, and exit code 1 when a photo failed."""
    if json:
        typer.echo(jsonlib.dumps({"restored": restored, "failed": failed, "output": str(output)}))
    else:
        typer.echo(f"{restored} restored, {failed} failed -> {output}")
    if failed:
        raise typer.Exit(1)
