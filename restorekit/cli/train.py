"""``restorekit train``: any training run that a recipe describes; the same command again continues it."""

import json as json_text
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli import options
from restorekit.cli.console import note, print_json, progress
from restorekit.errors import UsageError

if TYPE_CHECKING:
    from restorekit.training.progress import Progress, TrainingResult

__all__ = ["train"]

SECONDS_BETWEEN_LINES = 10.0
"""Where stderr is no terminal: often enough to see that a run in the background lives."""


def train(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe, or the path of a .toml file.")],
    *,
    data: Annotated[str, typer.Option("--data", help="Folder of clean photos to train on (data.train).")] = "",
    validation: Annotated[str, typer.Option(help="Folder of clean photos to validate on (data.validation).")] = "",
    output: Annotated[str, typer.Option("--output", "-o", help="Folder of the run; runs/RECIPE when left out.")] = "",
    set_: Annotated[list[str], typer.Option("--set", help="Change one value: training.steps=100.")] = [],  # noqa: B006
    max_minutes: Annotated[float, typer.Option(min=0, help="Stop in time for this; 0: no limit.")] = 0.0,
    resume: Annotated[
        str, typer.Option(help="auto continues the run in the output folder; never; or a checkpoint's path.")
    ] = "auto",
    cache: Annotated[str, typer.Option(help="Folder for decoded photos, 3 bytes per pixel.")] = "",
    json: options.Json = False,
) -> None:
    """Train what a recipe describes: checkpoints, a log, and at the end weights to restore with.

    Several processes: torchrun --nproc-per-node 2 -m restorekit train RECIPE (CPUs), or accelerate launch (GPUs).
    """
    from restorekit.recipe import load_recipe
    from restorekit.zoo import method_of

    began = time.monotonic()  # loading PyTorch takes seconds too
    if resume not in ("auto", "never") and not Path(resume).is_file():
        raise UsageError(f"--resume: expected auto, never or the path of a checkpoint, got {resume!r}")
    folders = {"data.train": data, "data.validation": validation}
    overrides = [f"{key}={json_text.dumps(folder)}" for key, folder in folders.items() if folder]
    checked = load_recipe(recipe, [*overrides, *set_])
    own = Path(recipe).stem if Path(recipe).is_file() else recipe.removesuffix(".toml")
    target = Path(output) if output else Path("runs") / own

    from restorekit.training.run import run_recipe

    with _shown() as show:
        result = run_recipe(
            checked,
            method_of(checked.method),
            checked.training,
            output=target,
            resume=resume if resume in ("auto", "never") else Path(resume),
            max_minutes=max_minutes - (time.monotonic() - began) / 60 if max_minutes else None,
            cache=Path(cache) if cache else None,
            on_progress=show,
            on_note=note,
        )
    _summarise(result, target, json=json)
    if result.stopped == "signal":
        raise typer.Exit(130)


@contextmanager
def _shown() -> "Iterator[Callable[[Progress], None]]":
    """A bar with the time left on a terminal; elsewhere a line now and then. Validations are always told in a line."""
    last = -math.inf
    with progress() as bar:
        task = bar.add_task("train", total=None)

        def show(now: "Progress") -> None:
            nonlocal last
            if now.scores:
                scores = ", ".join(f"{name} {value:.4g}" for name, value in now.scores.items())
                line = f"step {now.step}: {scores}"
                note(line) if bar.disable else bar.console.print(line, highlight=False, markup=False)
                return
            text = f"loss {now.loss:.4g}  {now.steps_per_second:.3g} steps/s  {_clock(now.seconds_left)} left"
            bar.update(task, description=text, completed=now.step, total=now.steps)
            due = time.monotonic() - last >= SECONDS_BETWEEN_LINES or now.step == now.steps
            if bar.disable and due:
                last = time.monotonic()
                note(f"step {now.step}/{now.steps}  {text}")

        yield show


def _summarise(result: "TrainingResult", target: Path, *, json: bool) -> None:
    """What was done and where it is; one process of several speaks."""
    import os

    if os.environ.get("RANK", "0") != "0":
        return
    document = {
        "step": result.step,
        "steps": result.steps,
        "finished": result.finished,
        "stopped": result.stopped,
        "seconds": round(result.seconds, 1),
        "checkpoint": str(result.checkpoint),
        "weights": str(result.weights),
        "resume_point": str(result.resume_point),
        "log": str(target / "log.csv"),
        "scores": dict(result.scores),
    }
    if json:
        print_json(document)
        return
    reason = {"finished": "finished", "time": "stopped: the time is up", "signal": "stopped by a signal"}
    typer.echo(f"{reason[result.stopped]} at step {result.step} of {result.steps} after {_clock(result.seconds)}")
    for name in ("weights", "checkpoint", "resume_point"):
        typer.echo(f"  {name.replace('_', ' '):13}{document[name]}")
    if not result.finished:
        typer.echo("the same command continues")


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds as 1:02:03."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
