"""Training experiments, arm against arm: what each gains over the first, image by image, with every seed in it.

    python benchmarks/arms.py OUT --arm plain=file:a.safetensors,file:b.safetensors --arm guided=file:c.safetensors,...
        [--metric ADDRESS] [--json FILE.json]

OUT is the output of ``restorekit bench`` with all those models; an arm's models are its seeds.

- An image's score in an arm is the mean over its seeds; the gain is the difference of two arms on the same image, and
  its interval is the paired bootstrap-t's. The interval speaks of images, not of seeds: those are few, so the gains of
  single seeds (of equal place in their arms) are printed beside it, least and greatest.
- "All" takes the mean over the data sets of each image that all of them have, as degraded versions of one photo do.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from restorekit.errors import UsageError
from restorekit.report.columns import FEWEST_IMAGES
from restorekit.report.record import Report
from restorekit.shipped import SCORED
from restorekit.statistics import bootstrap_t_interval
from restorekit.suite import load_result

__all__ = ["ALL", "Gain", "gains", "main", "to_markdown"]

ALL = "all"

Arms = Mapping[str, Sequence[str]]
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Gain:
    """One arm on one data set."""

    set: str
    arm: str
    images: int
    mean: float
    """Score of the arm."""
    gain: float
    """Over the first arm."""
    low: float | None
    high: float | None
    """The interval; None for fewer than ``FEWEST_IMAGES``."""
    by_seed: tuple[float, ...]
    """Gains of the seeds one by one; () where the arms have unequal numbers of them."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, metavar="OUT")
    parser.add_argument("--arm", action="append", required=True, metavar="NAME=MODEL,MODEL,...")
    parser.add_argument("--metric", default=SCORED)
    parser.add_argument("--json", type=Path, metavar="FILE.json")
    chosen = parser.parse_args(arguments)
    arms = dict(_arm(text, parser) for text in chosen.arm)
    if len(arms) < 2:
        parser.error(f"--arm: expected at least two of different names, got {', '.join(arms)}")
    try:
        reports = load_result(chosen.output).reports
    except UsageError as error:
        parser.error(str(error))
    known = {model.name for report in reports.values() for model in report.models}
    if missing := sorted({model for models in arms.values() for model in models} - known):
        parser.error(f"--arm: expected models of {chosen.output}, {', '.join(sorted(known))}; got {', '.join(missing)}")
    found = gains(reports, arms, chosen.metric)
    print(to_markdown(found, chosen.metric))
    if chosen.json is not None:
        run = next(iter(reports.values())).run.model_dump(mode="json", exclude={"inputs"})
        record = {"run": run, "metric": chosen.metric, "arms": arms, "gains": [asdict(gain) for gain in found]}
        chosen.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def gains(reports: Mapping[str, Report], arms: Arms, metric: str) -> list[Gain]:
    """Every arm on every data set, then on all of them; the first arm gains nothing over itself."""
    sets = {name: _scores(report, arms, metric, report.images) for name, report in reports.items()}
    found = [gain for name, scores in sets.items() for gain in _gains_of(name, scores)]
    common = [name for name in next(iter(reports.values())).images if all(name in r.images for r in reports.values())]
    if len(reports) > 1 and common:
        each = [_scores(report, arms, metric, common) for report in reports.values()]
        found += _gains_of(ALL, {arm: np.mean([scores[arm] for scores in each], axis=0) for arm in arms})
    return found


def to_markdown(found: Sequence[Gain], metric: str) -> str:
    """A row for each data set and arm."""
    lines = ["| set | n | arm | mean | gain [95 %] | single seeds |", "| --- | ---: | --- | ---: | ---: | ---: |"]
    for one in found:
        interval = "" if one.low is None or one.high is None else f" [{one.low:+.2f}, {one.high:+.2f}]"
        seeds = f"{min(one.by_seed):+.2f} to {max(one.by_seed):+.2f}" if len(one.by_seed) > 1 else "–"
        first = one.arm == found[0].arm
        cells = (one.set, one.images, one.arm, f"{one.mean:.2f}")
        rest = ("–", "–") if first else (f"{one.gain:+.2f}{interval}", seeds)
        lines.append(f"| {' | '.join(map(str, (*cells, *rest)))} |")
    return "\n".join([*lines, "", f"`{metric}`; paired bootstrap-t intervals over images, from {FEWEST_IMAGES} on."])


def _arm(text: str, parser: argparse.ArgumentParser) -> tuple[str, list[str]]:
    name, _, models = text.partition("=")
    if not name or not models:
        parser.error(f"--arm: expected NAME=MODEL,MODEL,..., got {text!r}")
    return name, models.split(",")


def _scores(report: Report, arms: Arms, metric: str, images: Sequence[str]) -> dict[str, Scores]:
    """For each arm (seeds, images)."""
    values = {(score.model, score.image): score.scores[metric] for score in report.scores}
    return {arm: np.array([[values[model, image] for image in images] for model in arms[arm]]) for arm in arms}


def _gains_of(name: str, scores: Mapping[str, Scores]) -> list[Gain]:
    first = next(iter(scores.values()))
    found = []
    for arm, own in scores.items():
        difference = own.mean(axis=0) - first.mean(axis=0)
        interval = bootstrap_t_interval(difference.tolist()) if len(difference) >= FEWEST_IMAGES else None
        by_seed = tuple((own - first).mean(axis=1).tolist()) if own.shape == first.shape else ()
        low, high = (interval.low, interval.high) if interval else (None, None)
        found.append(Gain(name, arm, own.shape[1], float(own.mean()), float(difference.mean()), low, high, by_seed))
    return found


if __name__ == "__main__":
    main()
