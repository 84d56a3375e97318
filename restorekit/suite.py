"""Benchmark suites: which data sets, degraded how, measured how; as TOML that ships in the package.

A suite names folders relative to ``--data``. A data set that is not there keeps its row: "not measured: data absent".
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from restorekit.core.atomic import write_bytes
from restorekit.errors import UsageError
from restorekit.recipe import find_packaged, parse_document, read_toml

if TYPE_CHECKING:
    from restorekit.report.record import RunRecord

__all__ = ["DataSet", "Suite", "load_suite", "report_folder", "run_suite"]


class DataSet(BaseModel):
    """One column of a suite: clean photos that are degraded here, or pairs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="as the tables print it")
    clean: str = Field(description="folder of clean photos, relative to the data folder")
    degraded: str | None = Field(default=None, description="folder of degraded photos of the same names")
    degrade: str | None = Field(
        default=None, description="degradation spec, where there is no folder of degraded photos"
    )

    @model_validator(mode="after")
    def _one_source(self) -> "DataSet":
        if (self.degraded is None) == (self.degrade is None):
            raise ValueError("expected either degraded = FOLDER or degrade = SPEC")
        return self


class Suite(BaseModel):
    """A benchmark: data sets and protocol."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(description="heading of the summary")
    seed: int = Field(default=0, ge=0, description="of the degradations drawn here")
    metrics: list[str] = Field(default_factory=lambda: ["psnr", "ssim"], description="metric addresses")
    models: list[str] = Field(default_factory=list, description="models beyond the input and the classical rows")
    sets: list[DataSet] = Field(min_length=1, description="one comparison each")


def load_suite(name: str) -> Suite:
    """Read and check a suite by shipped name or path.

    Raises:
        RecipeError: not found, or any number of bad keys and values at once.
    """
    return parse_document(Suite, read_toml(find_packaged("suites", name)), name)


def run_suite(
    suite: Suite,
    data: Path,
    output: Path,
    *,
    models: Sequence[str] = (),
    device: str = "auto",
    precision: str = "auto",
    command: str = "",
    on_step: Callable[[str, str], None] | None = None,
) -> str:
    """Compare on every data set, write one report folder each and ``summary.md``; returns the summary.

    Raises:
        UsageError: none of the suite's data sets is under ``data``.
    """
    from restorekit.api import compare
    from restorekit.comparison import ComparisonOptions

    if not any((data / entry.clean).is_dir() for entry in suite.sets):
        folders = ", ".join(entry.clean for entry in suite.sets)
        raise UsageError(f"--data {data}: expected at least one of the folders {folders}, got none of them")
    options = ComparisonOptions(
        metrics=suite.metrics, seed=suite.seed, device=device, precision=precision, command=command
    )
    parts, run = [f"# {suite.title}"], None
    for entry in suite.sets:
        parts.append(f"## {entry.name}")
        clean, degraded = data / entry.clean, data / (entry.degraded or entry.clean)
        if not (clean.is_dir() and degraded.is_dir()):
            parts.append(f"not measured: {clean if not clean.is_dir() else degraded} is absent")
            continue
        source: dict[str, Any] = {"clean": clean} if entry.degraded else {"degrade": entry.degrade}
        report = compare(
            degraded,
            **source,
            models=[*suite.models, *models],
            output=output / report_folder(entry.name),
            options=options,
            on_step=on_step,
        )
        parts.append(report.table().to_markdown())
        run = report.run
    if run:
        parts.append(_origin(run))
    summary = "\n\n".join(parts) + "\n"
    output.mkdir(parents=True, exist_ok=True)
    write_bytes(output / "summary.md", summary.encode())
    return summary


def _origin(run: "RunRecord") -> str:
    """Where the numbers come from, in a line."""
    commit = f" (commit {run.commit})" if run.commit else ""
    machine = f"{run.machine.cpu}, {run.machine.cores} cores, torch {run.machine.torch}"
    version = f"restorekit {run.version}{commit}"
    return f"Measured {run.time:%Y-%m-%d} with {version} on {machine}, device {run.device}: `{run.command}`"


def report_folder(name: str) -> str:
    """The folder, below the output, where the report of the data set called ``name`` is written."""
    return "".join(letter if letter.isalnum() else "_" for letter in name.lower()).strip("_")
