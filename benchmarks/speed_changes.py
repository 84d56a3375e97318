"""A speed result against an earlier one of the same suite: faster, slower, or within noise.

- Compared are quotients taken within one run, never times of two runs: the ratio to the peer, or, where there is no
  peer, the share of the machine's limit.
- The noise is that of the rounds: "within noise" unless all rounds of one run are on one side of all of the other's.
  Of two runs of five rounds at equal speed, chance alone sets 2 of 252 apart.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from results import Result, Row
from timing import Spread

__all__ = ["SpeedChange", "changes", "load_earlier", "to_lines"]


@dataclass(frozen=True)
class SpeedChange:
    """One row, now and before; each with its median and the extremes of its rounds."""

    name: str
    what: Literal["ratio", "share of limit"]
    before: Spread
    now: Spread

    @property
    def verdict(self) -> Literal["better", "worse", "within noise"]:
        """Both quantities are better when they are greater."""
        if self.now.least > self.before.most:
            return "better"
        return "worse" if self.now.most < self.before.least else "within noise"


def load_earlier(path: Path, suite: str, *, smoke: bool) -> Result:
    """Read an earlier result.

    Raises:
        ValueError: it cannot be read, is of another suite, or one of the two is a trial and the other is not.
    """
    try:
        result = Result.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise ValueError(f"{path}: expected a result of speed.py, got {str(error).splitlines()[0]}") from None
    if result.suite != suite:
        raise ValueError(f"{path}: expected a result of suite {suite}, got one of {result.suite}")
    if result.run.smoke != smoke:
        kinds = {True: "a trial (--smoke)", False: "a measurement"}
        raise ValueError(f"{path}: expected {kinds[smoke]}, as now, got {kinds[result.run.smoke]}")
    return result


def changes(before: Result, now: Result) -> list[SpeedChange]:
    """Every row that both results have, with the same candidates and unit, in the order of ``now``."""
    earlier = {_key(row): row for row in before.rows}
    return [
        change
        for row in now.rows
        if (other := earlier.get(_key(row))) is not None and (change := _change(other, row)) is not None
    ]


def to_lines(before: Result, now: Result) -> list[str]:
    """What to print: a line for each row, then what the reader must know."""
    found = changes(before, now)
    lines = [
        f"{change.name} | {change.what} {_text(change.before)} -> {_text(change.now)} | {change.verdict}"
        for change in found
    ]
    alone = len(now.rows) - len(found)
    if alone:
        lines.append(
            f"{alone} rows have nothing to be compared with: not measured in both runs, or with other candidates"
        )
    here, there = now.run.machine, before.run.machine
    if (here.cpu, here.cores) != (there.cpu, there.cores):
        lines.append(f"another machine then: {there.cpu}, {there.cores} cores; now {here.cpu}, {here.cores} cores")
    lines.append(f"before: {before.run.time:%Y-%m-%d}, commit {before.run.commit or 'unknown'}, `{before.run.command}`")
    return lines


def _key(row: Row) -> tuple[str, str, str | None, str]:
    return row.name, row.ours, row.peer, row.unit


def _change(before: Row, now: Row) -> SpeedChange | None:
    """By the ratio to the peer, else by the share of the limit, whichever both rows have."""
    first, second = _ratio(before), _ratio(now)
    if first and second:
        return SpeedChange(now.name, "ratio", first, second)
    first, second = _share(before), _share(now)
    return SpeedChange(now.name, "share of limit", first, second) if first and second else None


def _ratio(row: Row) -> Spread | None:
    if row.ratio is None or row.ratio_min is None or row.ratio_max is None:
        return None
    return Spread(row.ratio, row.ratio_min, row.ratio_max, row.rounds)


def _share(row: Row) -> Spread | None:
    """The share of the limit, with the extremes that the extreme times give it."""
    if row.share_of_limit is None or row.median is None or row.min is None or row.max is None:
        return None
    by_time = row.unit == "s"
    ends = sorted(
        row.share_of_limit * (row.median / end if by_time else end / row.median) for end in (row.min, row.max)
    )
    return Spread(row.share_of_limit, ends[0], ends[1], row.rounds)


def _text(spread: Spread) -> str:
    return f"{spread.median:.3g} [{spread.least:.3g}, {spread.most:.3g}]"
