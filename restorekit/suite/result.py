"""What a suite measured, as a file that later runs, model records and the papers' tables read."""

import math
from collections.abc import Collection
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from restorekit.errors import UsageError
from restorekit.report.record import Report
from restorekit.shipped import SCORED

__all__ = ["RESULT", "SuiteResult", "load_result", "report_folder", "scores_of"]

RESULT = "result.json"
"""What a run writes for later runs to be compared with."""


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


def report_folder(name: str) -> str:
    """The folder, below the output, where the report of the data set called ``name`` is written."""
    return "".join(letter if letter.isalnum() else "_" for letter in name.lower()).strip("_")
