"""What a student costs and saves: a refinement that asks its prior, beside the same one with a student in its place.

    restorekit bench five --data DATA -o OUT -m FULL -m STUDENT
    python benchmarks/student.py OUT --full FULL --student STUDENT [--json FILE.json]

- FULL is the refinement that was trained first, STUDENT what ``restorekit train refine/student_small`` made of it.
- Weights and seconds of a restoration are those of OUT; the vector alone is timed here, on sample:coffee, both in turn.
- The difference in dB is paired, image by image, see ``arms.py``: below zero the student is worse.
"""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from arms import gains, to_markdown
from timing import Budget, speed_ratios, spread, time_paired

import restorekit
from restorekit.errors import UsageError
from restorekit.report.record import Report
from restorekit.shipped import SCORED
from restorekit.suite import load_result

__all__ = ["Cost", "costs", "costs_markdown", "main", "time_vectors"]


@dataclass(frozen=True)
class Cost:
    """What one of the two takes."""

    model: str
    prior_parameters: int | None
    """Weights of what says the vector."""
    parameters: int | None
    """Weights of everything that an answer uses."""
    file_bytes: int | None
    """Of the weight file, if the model is one."""
    seconds_per_megapixel: float | None
    """Of a whole restoration, median over all photos."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, metavar="OUT")
    parser.add_argument("--full", required=True, metavar="FULL")
    parser.add_argument("--student", required=True, metavar="STUDENT")
    parser.add_argument("--seconds", type=float, default=10.0, help="for timing the vector")
    parser.add_argument("--json", type=Path, metavar="FILE.json")
    chosen = parser.parse_args(arguments)
    try:
        reports = load_result(chosen.output).reports
    except UsageError as error:
        parser.error(str(error))
    models = {"full": chosen.full, "student": chosen.student}
    known = {model.name for report in reports.values() for model in report.models}
    if missing := [model for model in models.values() if model not in known]:
        parser.error(f"expected models of {chosen.output}, {', '.join(sorted(known))}; got {', '.join(missing)}")
    found = gains(reports, {name: [model] for name, model in models.items()}, SCORED)
    taken = {name: costs(reports, model) for name, model in models.items()}
    seconds = time_vectors(models, Budget(seconds=chosen.seconds))
    print(costs_markdown(taken, seconds) + "\n\n" + to_markdown(found, SCORED))
    if chosen.json is not None:
        record = {
            "costs": {name: asdict(cost) for name, cost in taken.items()},
            "vector_seconds": seconds,
            "gains": [asdict(gain) for gain in found],
        }
        chosen.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def costs(reports: Mapping[str, Report], model: str) -> Cost:
    """What a benchmark found one of its models to take."""
    infos = [info for report in reports.values() for info in report.models if info.name == model]
    scores = [score for report in reports.values() for score in report.scores if score.model == model]
    timed = [score.seconds / score.megapixels for score in scores if score.seconds is not None]
    file = Path(model.removeprefix("file:"))
    return Cost(
        model=model,
        prior_parameters=infos[0].parameters_prior,
        parameters=infos[0].parameters,
        file_bytes=file.stat().st_size if file.is_file() else None,
        seconds_per_megapixel=statistics.median(timed) if timed else None,
    )


def time_vectors(models: Mapping[str, str], budget: Budget) -> dict[str, list[float]]:
    """Seconds that each model's prior takes to say its vector of the sample photo, round by round."""
    samples = torch.from_numpy(restorekit.degrade("sample:coffee", "none").samples.copy())
    photo = samples.permute(2, 0, 1)[None].float() / 255
    loaded: dict[str, Any] = {name: restorekit.load(model) for name, model in models.items()}
    return time_paired({name: partial(model.prior.features, photo) for name, model in loaded.items()}, budget)


def costs_markdown(taken: Mapping[str, Cost], seconds: Mapping[str, Sequence[float]]) -> str:
    """A column for each of the two."""
    rows = {
        "weights of what says the vector": [_count(cost.prior_parameters) for cost in taken.values()],
        "weights in use": [_count(cost.parameters) for cost in taken.values()],
        "weight file, MB": [_megabytes(cost.file_bytes) for cost in taken.values()],
        "restoration, s/MP": [_seconds(cost.seconds_per_megapixel) for cost in taken.values()],
        "vector alone, s": [f"{spread(seconds[name]).median:.4f}" for name in taken],
    }
    lines = [f"| | {' | '.join(taken)} |", f"| --- | {' | '.join(['---:'] * len(taken))} |"]
    lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()]
    ratio = spread(speed_ratios(seconds["student"], seconds["full"]))
    told = f"The student says its vector {ratio.median:.2f} [{ratio.least:.2f}, {ratio.most:.2f}] times as fast."
    return "\n".join([*lines, "", told])


def _count(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"


def _megabytes(number: int | None) -> str:
    return "–" if number is None else f"{number / 1e6:.2f}"


def _seconds(number: float | None) -> str:
    return "–" if number is None else f"{number:.3f}"


if __name__ == "__main__":
    main()
