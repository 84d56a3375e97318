"""Speed, as ratios to other libraries and as shares of what the machine can do.

    python benchmarks/speed.py SUITE [--output FILE.json] [--compare RESULT.json] [--seconds N] [--smoke]

Suites: inference, folder, training, tiling, metrics, refine, constyle, zeroair. Nothing else should run on the machine;
the load is recorded. With --compare each row is set against that of an earlier result of the suite.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import speed_constyle
import speed_folder
import speed_inference
import speed_metrics
import speed_refine
import speed_tiling
import speed_training
import speed_zeroair
from results import MachineLimit, Result, Row, Run
from setting import Setting
from speed_changes import load_earlier, to_lines
from tables import to_line

__all__ = ["SUITES", "main", "measure"]

SUITES: dict[str, Callable[[Setting], Iterator[Row]]] = {
    "inference": speed_inference.run,
    "folder": speed_folder.run,
    "training": speed_training.run,
    "tiling": speed_tiling.run,
    "metrics": speed_metrics.run,
    "refine": speed_refine.run,
    "constyle": speed_constyle.run,
    "zeroair": speed_zeroair.run,
}
"""Name to the function that yields the rows."""


def main(arguments: list[str] | None = None) -> None:
    """Measure, print each row when it is there, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=list(SUITES))
    parser.add_argument("--output", type=Path, metavar="FILE.json")
    parser.add_argument("--compare", type=Path, metavar="RESULT.json", help="an earlier result of this suite")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each comparison, at least five rounds")
    parser.add_argument("--smoke", action="store_true", help="tiny inputs, one round: a trial of the code")
    chosen = parser.parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    try:
        earlier = load_earlier(chosen.compare, chosen.suite, smoke=chosen.smoke) if chosen.compare else None
    except ValueError as error:
        parser.error(f"--compare {error}")
    setting = Setting.of(chosen.seconds, smoke=chosen.smoke)
    shown = [Path(part).name if part.endswith(".json") else part for part in given]  # folders are this machine's matter
    result = measure(chosen.suite, setting, command=" ".join(["python benchmarks/speed.py", *shown]))
    if chosen.output:
        chosen.output.write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
    if earlier:
        print("\n".join(to_lines(earlier, result)))


def measure(suite: str, setting: Setting, *, command: str) -> Result:
    """All rows of one suite."""
    run = Run.here(command, threads=list(setting.threads), smoke=setting.smoke)
    rows = []
    for row in SUITES[suite](setting):
        rows.append(row)
        print(to_line(row), flush=True)
    for limits in setting.measured.values():
        print(f"limit, {limits.describe()}")
    found = [MachineLimit.of(limits) for limits in setting.measured.values()]
    return Result(suite=suite, run=run.model_copy(update={"limits": found}), rows=rows)


if __name__ == "__main__":
    main()
