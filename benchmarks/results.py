"""Results as data: the run that made them, and rows. ``schema.json`` is this file as JSON Schema.

python benchmarks/results.py > benchmarks/schema.json
"""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from limits import Limits
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from timing import Spread, speed_ratios, spread

from restorekit.report.record import Machine

__all__ = ["LIBRARIES", "MachineLimit", "Result", "Row", "Run", "absent", "measured", "to_schema"]

LIBRARIES = (
    "restorekit",
    "torch",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "scikit-image",
    "torchmetrics",
    "kornia",
    "spandrel",
)

Unit = Literal["s", "MP/s"]
"""Seconds: less is better. Megapixels a second: more is better."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MachineLimit(_Record):
    """What the machine reached in the same run."""

    threads: int = Field(ge=1)
    precision: str
    gflops: float = Field(gt=0, description="10^9 floating point operations a second")
    gigabytes: float = Field(gt=0, description="10^9 bytes a second, read plus written")

    @classmethod
    def of(cls, limits: Limits) -> "MachineLimit":
        """Rounded for the file."""
        return cls(
            threads=limits.threads,
            precision=limits.precision,
            gflops=_rounded(limits.flops_per_second / 1e9),
            gigabytes=_rounded(limits.bytes_per_second / 1e9),
        )


class Run(_Record):
    """Everything needed to run it again and to judge it."""

    command: str
    commit: str | None = Field(description="of the source checkout; None without one")
    modified: bool = Field(description="whether the checkout held changes that no commit has")
    time: AwareDatetime = Field(description="when it started, UTC")
    machine: Machine
    versions: dict[str, str] = Field(description="of the libraries that matter; 'absent' where not installed")
    threads: list[int] = Field(description="numbers of threads that were measured")
    load: float | None = Field(description="processes that wanted a core when it started, averaged over a minute")
    smoke: bool = Field(description="true: a trial of the code on tiny inputs, whose figures mean nothing")
    limits: list[MachineLimit] = Field(default_factory=list)

    @classmethod
    def here(cls, command: str, *, threads: list[int], smoke: bool) -> "Run":
        """Of this process, now, without limits."""
        return cls(
            command=command,
            commit=_git("rev-parse", "--short", "HEAD") or None,
            modified=bool(_git("status", "--porcelain", "--untracked-files=no")),
            time=datetime.now(UTC).replace(microsecond=0),
            machine=Machine.here(),
            versions={"python": platform.python_version()} | {name: _version(name) for name in LIBRARIES},
            threads=threads,
            load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
            smoke=smoke,
        )


class Row(_Record):
    """One comparison. Figures are None where nothing was measured; the note says why."""

    name: str = Field(description="what was done, at which size, precision and number of threads")
    ours: str = Field(description="what is measured")
    peer: str | None = Field(default=None, description="what it is compared with, in the same rounds")
    unit: Unit
    median: float | None = Field(default=None, description="of ours, in the unit")
    min: float | None = None
    max: float | None = None
    rounds: int = Field(default=0, ge=0)
    peer_median: float | None = Field(default=None, description="of the peer, in the unit")
    ratio: float | None = Field(
        default=None, description="median of our speed / the peer's speed; above 1 we are faster"
    )
    ratio_min: float | None = None
    ratio_max: float | None = None
    target: float | None = Field(default=None, description="the ratio that is promised")
    limit: float | None = Field(default=None, description="what this machine allows, in the unit")
    share_of_limit: float | None = Field(default=None, description="reached / possible speed, at most about 1")
    note: str = ""

    @model_validator(mode="after")
    def _measured_or_said_why(self) -> "Row":
        if self.median is None and not self.note.startswith("not measured: "):
            raise ValueError(f"{self.name}: expected figures or a note 'not measured: WHY', got neither")
        return self

    @property
    def is_loss(self) -> bool:
        """Whether the ratio misses its target, or, where there is none, the peer's speed."""
        return self.ratio is not None and self.ratio < (1.0 if self.target is None else self.target)


class Result(_Record):
    """One suite's file."""

    suite: str
    run: Run
    rows: list[Row]


def measured(
    name: str,
    ours: str,
    seconds: list[float],
    *,
    peer: str | None = None,
    peer_seconds: list[float] | None = None,
    megapixels: float | None = None,
    least_seconds: float | None = None,
    target: float | None = None,
    note: str = "",
) -> Row:
    """A row from the seconds of the rounds.

    Args:
        megapixels: done in one round; the row is then in MP/s, otherwise in s.
        least_seconds: the machine's limit for one round.
    """

    def in_unit(value: float) -> float:
        return _rounded(value if megapixels is None else megapixels / value)

    own: Spread = spread(seconds)
    ratios = spread(speed_ratios(seconds, peer_seconds)) if peer_seconds else None
    low, high = sorted((in_unit(own.least), in_unit(own.most)))
    return Row(
        name=name,
        ours=ours,
        peer=peer,
        unit="s" if megapixels is None else "MP/s",
        median=in_unit(own.median),
        min=low,
        max=high,
        rounds=own.count,
        peer_median=in_unit(spread(peer_seconds).median) if peer_seconds else None,
        ratio=_rounded(ratios.median) if ratios else None,
        ratio_min=_rounded(ratios.least) if ratios else None,
        ratio_max=_rounded(ratios.most) if ratios else None,
        target=target,
        limit=in_unit(least_seconds) if least_seconds else None,
        share_of_limit=_rounded(least_seconds / own.median) if least_seconds else None,
        note=note,
    )


def absent(name: str, ours: str, peer: str, unit: Unit, why: str) -> Row:
    """The row of something that could not be measured: it stays in the table."""
    return Row(name=name, ours=ours, peer=peer, unit=unit, note=f"not measured: {why}")


def to_schema() -> str:
    """The JSON Schema of a result, as the text of ``schema.json``."""
    return json.dumps(Result.model_json_schema(), indent=1, ensure_ascii=False) + "\n"


def _rounded(value: float) -> float:
    """Four digits: more than the spread of any timing deserves."""
    return float(f"{value:.4g}")


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "absent"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


if __name__ == "__main__":
    print(to_schema(), end="")
