"""Markdown tables from result files: the only way figures enter the documentation.

python benchmarks/tables.py RESULT.json... [--output FILE.md]
"""

import argparse
from pathlib import Path

from limits import in_words
from results import Result, Row

__all__ = ["main", "to_line", "to_markdown"]

HEADINGS = ("what", "ours", "peer", "median [min, max]", "ratio [min, max]", "share of limit", "note")


def main(arguments: list[str] | None = None) -> None:
    """Read, print or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULT.json")
    parser.add_argument("--output", type=Path, metavar="FILE.md")
    chosen = parser.parse_args(arguments)
    results = [Result.model_validate_json(path.read_text(encoding="utf-8")) for path in chosen.results]
    text = "\n".join(to_markdown(result) for result in results)
    if chosen.output:
        chosen.output.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


def to_markdown(result: Result) -> str:
    """Heading, table, what was slower, and where the figures come from."""
    lines = [f"## Speed: {result.suite}", ""]
    if result.run.smoke:
        lines += ["**A trial of the code on tiny inputs; these figures mean nothing.**", ""]
    lines += [_table_line(HEADINGS), _table_line(["---"] * 3 + ["---:"] * 3 + ["---"])]
    lines += [_table_line(_cells(row)) for row in result.rows]
    losses = [f"- {row.name}: {_ratio(row)} of {row.peer}{_target(row)}" for row in result.rows if row.is_loss]
    lines += ["", "Slower than the peer, or than promised:", "", *(losses or ["- nothing"])]
    return "\n".join([*lines, "", _origin(result), ""])


def to_line(row: Row) -> str:
    """One row for the console."""
    return " | ".join(cell for cell in _cells(row) if cell)


def _cells(row: Row) -> list[str]:
    share = "" if row.share_of_limit is None else f"{100 * row.share_of_limit:.0f} %"
    figures = "–" if row.median is None else f"{row.median:.3g} [{row.min:.3g}, {row.max:.3g}] {row.unit}"
    return [row.name, row.ours, row.peer or "", figures, _ratio(row), share, row.note]


def _ratio(row: Row) -> str:
    return "" if row.ratio is None else f"{row.ratio:.2f} [{row.ratio_min:.2f}, {row.ratio_max:.2f}]"


def _target(row: Row) -> str:
    return "" if row.target is None else f", promised {row.target:g}"


def _table_line(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _origin(result: Result) -> str:
    run = result.run
    state = " with uncommitted changes" if run.modified else ""
    versions = ", ".join(f"{name} {number}" for name, number in run.versions.items())
    limits = "; ".join(
        f"{in_words(limit.threads)}, {limit.precision}: {limit.gflops:.0f} GFLOP/s, {limit.gigabytes:.1f} GB/s"
        for limit in run.limits
    )
    load = "unknown" if run.load is None else f"{run.load:g}"
    return (
        f"Ratio: our speed / the peer's, median of the rounds of one run; above 1 we are faster. "
        f"Measured {run.time:%Y-%m-%d}, commit {run.commit or 'unknown'}{state}, {run.machine.cpu}, "
        f"{run.machine.cores} cores, load {load}; {versions}. Limits in the same run: {limits or 'none'}. "
        f"`{run.command}`"
    )


if __name__ == "__main__":
    main()
