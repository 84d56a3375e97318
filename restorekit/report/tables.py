"""The table of a comparison: one row per restorer, always the degraded input first.

Classical restorers are many: with a reference only the best few are shown, and a footnote says how they were chosen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from restorekit.report.columns import Cell, Column, build_column
from restorekit.report.footnotes import footnotes
from restorekit.report.record import MetricInfo, ModelInfo, Report

if TYPE_CHECKING:
    import rich.table

__all__ = ["Cell", "Row", "Table", "build_table", "ranked_classical"]


@dataclass(frozen=True)
class Row:
    """One restorer."""

    model: ModelInfo
    cells: tuple[Cell, ...]
    """One per column of the table."""
    seconds_per_megapixel: float | None = None
    peak_bytes: int | None = None
    """Most memory that any image took."""


@dataclass(frozen=True)
class Table:
    """Means of a comparison, ready to be written down in any form."""

    title: str
    columns: tuple[MetricInfo, ...]
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...]

    def to_markdown(self) -> str:
        """A GitHub-flavoured Markdown table with aligned columns; the best value of a column is bold."""
        from restorekit.report.renderings import to_markdown

        return to_markdown(self)

    def to_csv(self) -> str:
        """One line per restorer and metric, full precision."""
        from restorekit.report.data import table_csv

        return table_csv(self)

    def to_latex(self) -> str:
        """A LaTeX table with booktabs rules; the best value of a column is bold, the footnotes stand below."""
        from restorekit.report.latex import to_latex

        return to_latex(self)

    def to_json(self) -> list[dict[str, object]]:
        """One object per restorer and metric; infinity and NaN as text."""
        from restorekit.report.data import table_json

        return table_json(self)

    def to_rich(self) -> "rich.table.Table":
        """A table for the terminal; the best value of a column is bold and carries an asterisk."""
        from restorekit.report.renderings import to_rich

        return to_rich(self)


def build_table(report: Report, *, classical_rows: int = 3) -> Table:
    """Means of each metric, paired differences to the degraded input with 95 % intervals, and speed.

    Args:
        report: its input row is always shown, then classical restorers, then models in the report's order.
        classical_rows: how many classical restorers to show when there is a reference to choose them by, besides those
            that were asked for by name. Without a reference nothing can choose, and all are shown.
    """
    columns = [build_column(report, metric) for metric in report.metrics]
    classical = ranked_classical(report, columns)
    best = classical[:classical_rows] if report.has_reference else classical
    asked = [model for model in classical if model.asked and model not in best]
    models = [report.input, *best, *asked, *(model for model in report.models if model.kind == "model")]
    rows = [
        Row(
            model,
            tuple(column.cells[model.name] for column in columns),
            _seconds_per_megapixel(report, model),
            _peak_bytes(report, model),
        )
        for model in models
    ]
    count = len(report.images)
    title = f"{count} image{'s' * (count != 1)}" + (f", {report.run.degradation}" if report.run.degradation else "")
    notes = footnotes(report, columns, [(row.model, row.cells) for row in rows], classical, shown=len(best))
    return Table(title, report.metrics, _mark_best(rows, report.metrics), notes)


def ranked_classical(report: Report, columns: Sequence[Column]) -> list[ModelInfo]:
    """Classical restorers, best first by the first metric with a reference; in their own order without one."""
    classical = [model for model in report.models if model.kind == "classical"]
    for metric, column in zip(report.metrics, columns, strict=True):
        if metric.needs_reference:
            sign = -1.0 if metric.higher_is_better else 1.0
            means = {model.name: column.cells[model.name].mean for model in classical}
            return sorted(classical, key=lambda model: math.inf if (m := means[model.name]) is None else sign * m)
    return classical


def _seconds_per_megapixel(report: Report, model: ModelInfo) -> float | None:
    """Total seconds over total megapixels of the images that were timed."""
    timed = [score for score in report.scores if score.model == model.name and score.seconds is not None]
    megapixels = sum(score.megapixels for score in timed)
    return sum(score.seconds or 0.0 for score in timed) / megapixels if timed else None


def _peak_bytes(report: Report, model: ModelInfo) -> int | None:
    peaks = [score.peak_bytes for score in report.scores if score.model == model.name and score.peak_bytes is not None]
    return max(peaks, default=None)


def _mark_best(rows: Sequence[Row], metrics: Sequence[MetricInfo]) -> tuple[Row, ...]:
    """Mark the best mean of each column, and whatever looks equal to it at the decimals shown."""
    best: list[float | None] = []
    for index, metric in enumerate(metrics):
        means = [round(mean, metric.decimals) for row in rows if (mean := row.cells[index].mean) is not None]
        choose = max if metric.higher_is_better else min
        best.append(choose(means) if len(means) > 1 else None)

    def marked(row: Row) -> Row:
        triples = zip(row.cells, metrics, best, strict=True)
        return replace(row, cells=tuple(replace(c, best=_shows(c.mean, top, m.decimals)) for c, m, top in triples))

    return tuple(marked(row) for row in rows)


def _shows(mean: float | None, top: float | None, decimals: int) -> bool:
    return mean is not None and top is not None and round(mean, decimals) == top
