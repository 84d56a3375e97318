"""Benchmark suites: which data sets, degraded how, measured how; as TOML that ships in the package.

A suite names folders relative to ``--data``. A data set that is not there keeps its row: "not measured: data absent".
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from restorekit.core.atomic import write_bytes
from restorekit.core.image.pairs import list_images, pair_images
from restorekit.errors import UsageError
from restorekit.recipe import find_packaged, parse_document, read_toml
from restorekit.report.record import Report, RunRecord
from restorekit.report.regression import changes, changes_markdown, ensure_comparable
from restorekit.shipped import SCORED

__all__ = [
    "RESULT",
    "DataSet",
    "Suite",
    "SuiteResult",
    "load_result",
    "load_suite",
    "report_folder",
    "run_suite",
    "scores_of",
]

RESULT = "result.json"
"""What a run writes for later runs to be compared with."""


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
    seeds: int = Field(default=1, ge=1, description="of stochastic models")
    photos: int | None = Field(default=None, ge=1, description="at most so many of each set, evenly spaced; None: all")
    crop_px: int | None = Field(
        default=None, ge=32, description="photos are cut to so much of their centre, once degraded; None: whole"
    )
    sets: list[DataSet] = Field(min_length=1, description="one comparison each")


class SuiteResult(BaseModel):
    """What a suite measured: everything but pictures."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    title: str
    reports: dict[str, Report]
    """By name of the data set; absent ones have none."""


def load_result(path: Path) -> SuiteResult:
    """Read ``result.json``, or the one in the output folder of a run.

    Raises:
        UsageError: there is none, or it cannot be understood.
    """
    file = path / RESULT if path.is_dir() else path
    try:
        return SuiteResult.model_validate_json(file.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).splitlines()[0]
        raise UsageError(
            f"{path}: expected {RESULT} of an earlier 'restorekit bench', got {reason}; check the path"
        ) from None


def scores_of(output: Path, models: Collection[str]) -> dict[str, float]:
    """The means of ``SCORED``, rounded to 0.01 dB, that ``restorekit bench`` found for one of the names in ``models``.

    Raises:
        UsageError: no result, or one without any of the models, or without ``SCORED``.
    """
    found = {}
    for name, report in load_result(output).reports.items():
        values = [s.scores[SCORED] for s in report.scores if s.model in models and SCORED in s.scores]
        if values and math.isfinite(mean := sum(values) / len(values)):
            found[name] = round(mean, 2)
    if not found:
        raise UsageError(f"--scores {output}: expected {SCORED} of {' or '.join(models)}, got none; run bench with it")
    return found


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
    earlier: Path | None = None,
    on_step: Callable[[str, str], None] | None = None,
) -> str:
    """Compare on every data set, write one report folder each, ``result.json`` and ``summary.md``.

    Interrupted and called again, it goes on where it stopped, finished sets included; numbers are the same.

    Args:
        suite: data sets and protocol.
        data: folder that the suite's folders lie in.
        output: where everything is written.
        models: besides the suite's own.
        earlier: a result to compare with; the summary ends with what changed, and whether it is noise.
        on_step: called before each restoration with (image, model).

    Returns:
        The summary, Markdown.

    Raises:
        UsageError: none of the suite's data sets is under ``data``, or images of theirs cannot be paired; everything
            that is wrong with any of the sets is listed before work on the first.
        ProtocolError: ``earlier`` was measured otherwise.
    """
    from restorekit.api import compare
    from restorekit.comparison import ComparisonOptions

    before = None if earlier is None else load_result(earlier).reports
    if before is not None:
        _check_earlier(suite, before)
    _check_data(suite, data)
    chosen = suite.model_dump(include={"metrics", "seed", "seeds", "photos", "crop_px"})
    options = ComparisonOptions(**chosen, device=device, precision=precision, command=command)
    parts: list[str] = [f"# {suite.title}"]
    reports: dict[str, Report] = {}
    for entry in suite.sets:
        parts.append(f"## {entry.name}")
        clean, degraded = data / entry.clean, data / (entry.degraded or entry.clean)
        if not (clean.is_dir() and degraded.is_dir()):
            parts.append(f"not measured: {clean if not clean.is_dir() else degraded} is absent")
            continue
        source: dict[str, Any] = {"clean": clean} if entry.degraded else {"degrade": entry.degrade}
        folder = output / report_folder(entry.name)
        report = compare(
            degraded,
            **source,
            models=[*suite.models, *models],
            output=folder,
            options=replace(options, journal=folder),
            on_step=on_step,
        )
        parts.append(report.table().to_markdown())
        reports[entry.name] = report.model_copy(update={"pictures": {}})  # of all sets together they fill the memory
    if reports:
        parts.append(_origin(list(reports.values())[-1].run))
    if before is not None:
        parts.append(_against(before, reports))
    summary = "\n\n".join(parts) + "\n"
    _write(output, SuiteResult(title=suite.title, reports=reports), summary)
    return summary


def _write(output: Path, result: SuiteResult, summary: str) -> None:
    """What all sets gave; then nothing is left to go on with."""
    from restorekit.comparison import clear_journal

    output.mkdir(parents=True, exist_ok=True)
    write_bytes(output / RESULT, result.model_dump_json().encode())
    write_bytes(output / "summary.md", summary.encode())
    for name in result.reports:
        clear_journal(output / report_folder(name))


def _check_earlier(suite: Suite, before: Mapping[str, Report]) -> None:
    """Refuse a result of another suite or protocol before any work."""
    from restorekit.core.metric.base import make_metric

    common = [entry for entry in suite.sets if entry.name in before]
    if not common:
        raise UsageError(
            f"--compare: expected a result of the same suite, got one of {', '.join(before) or 'no data set'}; "
            f"this suite has {', '.join(entry.name for entry in suite.sets)}"
        )
    addresses = [make_metric(text).address for text in suite.metrics]
    for entry in common:
        report = before[entry.name]
        run = report.run.model_copy(update={"seed": suite.seed, "degradation": entry.degrade})
        ensure_comparable(entry.name, report, run, addresses)


def _against(before: Mapping[str, Report], reports: Mapping[str, Report]) -> str:
    """What changed, and where the earlier numbers come from."""
    found = {}
    for name, report in reports.items():
        if name in before:
            ensure_comparable(name, before[name], report.run, [metric.address for metric in report.metrics])
            found[name] = changes(report, before[name])
    alone = [name for name in {**before, **reports} if name not in found]
    left_out = [f"Not in both: {', '.join(alone)}."] if alone else []
    origin = f"Before: {_origin(list(before.values())[-1].run)}"
    return "\n\n".join(["## Now, and before", changes_markdown(found), *left_out, origin])


def _check_data(suite: Suite, data: Path) -> None:
    """List what is wrong with the images of all sets before work on the first."""
    if not any((data / entry.clean).is_dir() for entry in suite.sets):
        folders = ", ".join(entry.clean for entry in suite.sets)
        raise UsageError(f"--data {data}: expected at least one of the folders {folders}, got none of them")
    problems = []
    for entry in suite.sets:
        clean, degraded = data / entry.clean, data / (entry.degraded or entry.clean)
        if not (clean.is_dir() and degraded.is_dir()):
            continue
        try:
            if entry.degraded:
                pair_images(degraded, clean)
            else:
                list_images([clean])
        except UsageError as error:
            problems.append(f"{entry.name}: {error}")
    if problems:
        raise UsageError("\n".join(problems))


def _origin(run: RunRecord) -> str:
    """Where the numbers come from, in a line."""
    commit = f" (commit {run.commit})" if run.commit else ""
    machine = f"{run.machine.cpu}, {run.machine.cores} cores, torch {run.machine.torch}"
    version = f"restorekit {run.version}{commit}"
    return f"Measured {run.time:%Y-%m-%d} with {version} on {machine}, device {run.device}: `{run.command}`"


def report_folder(name: str) -> str:
    """The folder, below the output, where the report of the data set called ``name`` is written."""
    return "".join(letter if letter.isalnum() else "_" for letter in name.lower()).strip("_")
