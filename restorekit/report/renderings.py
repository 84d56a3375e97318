"""A table and its scores written down: Markdown, terminal, CSV, JSON.

- Every rendering starts from the same texts (``header_texts``, ``row_texts``), so no two can disagree.
- Best values are marked by weight or by a sign, never by colour alone.
"""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from restorekit.report.record import MetricInfo, Report
from restorekit.report.tables import Cell, Row, Table

if TYPE_CHECKING:
    import rich.table

__all__ = [
    "best_flags",
    "format_number",
    "header_texts",
    "protocol_line",
    "row_texts",
    "scores_csv",
    "table_csv",
    "table_json",
    "to_markdown",
    "to_rich",
]

NOTHING = "–"
AGAINST = "vs input [95 %]"


def to_markdown(table: Table) -> str:
    """A GitHub-flavoured table, columns aligned for reading as plain text, best values bold, footnotes below."""
    header = [_plain(text) for text in header_texts(table)]
    lines = []
    for row in table.rows:
        texts = [_plain(text) for text in row_texts(table, row)]
        lines.append(
            [f"**{text}**" if best else text for text, best in zip(texts, best_flags(table, row), strict=True)]
        )
    widths = [max(len(line[column]) for line in [header, *lines]) for column in range(len(header))]
    left = 2  # restorer and kind are words, the rest are numbers
    rule = ["-" * width if i < left else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    grid = [
        "| "
        + " | ".join(t.ljust(w) if i < left else t.rjust(w) for i, (t, w) in enumerate(zip(line, widths, strict=True)))
        + " |"
        for line in [header, rule, *lines]
    ]
    addresses = " · ".join(f"`{metric.address}`" for metric in table.columns)
    notes = [f"- {note}" for note in [f"protocols: {addresses}", *table.footnotes]]
    return "\n".join([f"**{table.title}**", "", *grid, "", *notes, ""])


def _plain(text: str) -> str:
    """``text`` for a cell of a Markdown table: nothing in it is read as markup."""
    return re.sub(r"([\\|<>*`])", r"\\\1", " ".join(text.split()))


def to_rich(table: Table) -> "rich.table.Table":
    """A terminal table, a metric's mean above its difference to fit 80 columns; names are never read as markup."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    caption = "\n".join(["* best of its column", protocol_line(table), *(f"- {note}" for note in table.footnotes)])
    drawn = RichTable(title=Text(table.title), caption=Text(caption), box=box.SIMPLE_HEAD)
    drawn.title_justify = drawn.caption_justify = "left"
    drawn.add_column("restorer", overflow="fold")
    for metric in table.columns:
        drawn.add_column(Text(f"{_heading(metric)}\n{AGAINST}"), justify="right", no_wrap=True)
    if speed := _has_speed(table):
        drawn.add_column("s/MP", justify="right", no_wrap=True)
    for row in table.rows:
        size = f", {_size_text(row.model.parameters)}" if row.model.parameters else ""
        kind = "" if row.model.name == row.model.kind else row.model.kind
        cells = [Text.assemble(row.model.name, (f"\n{kind}{size}", "dim"))]
        for metric, cell in zip(table.columns, row.cells, strict=True):
            mean = format_number(cell.mean, metric.decimals) + "*" * cell.best
            difference = (f"\n{_difference_text(metric, cell)}", "dim")
            cells.append(Text.assemble((mean, "bold" if cell.best else ""), difference))
        drawn.add_row(*cells, *[format_number(row.seconds_per_megapixel, 3)] * speed)
    return drawn


def header_texts(table: Table) -> list[str]:
    """Headings of the table's columns: restorer, kind, two per metric, speed and size where known."""
    metrics = [text for metric in table.columns for text in (_heading(metric), AGAINST)]
    return ["restorer", "kind", *metrics, *_extra_headings(table)]


def row_texts(table: Table, row: Row) -> list[str]:
    """One row as text, under ``header_texts``."""
    texts = [row.model.name, row.model.kind]
    for metric, cell in zip(table.columns, row.cells, strict=True):
        texts += [format_number(cell.mean, metric.decimals), _difference_text(metric, cell)]
    return texts + _extra_texts(table, row)


def best_flags(table: Table, row: Row) -> list[bool]:
    """Which of ``row_texts`` are the best of their column."""
    means = [flag for cell in row.cells for flag in (cell.best, False)]
    return [False, False, *means, *(False for _ in _extra_headings(table))]


def protocol_line(table: Table) -> str:
    """What exactly the numbers mean: every full address."""
    return "protocols: " + " · ".join(metric.address for metric in table.columns)


def format_number(value: float | None, decimals: int, *, sign: bool = False) -> str:
    """A number for reading: fixed decimals, ∞ for infinity, – for nothing."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "-∞" if value < 0 else "+∞" if sign else "∞"
    text = f"{value:+.{decimals}f}" if sign else f"{value:.{decimals}f}"
    return text if float(text) else text.replace("-", "+" if sign else "")  # no negative zero


def scores_csv(report: Report) -> str:
    """Every score of every model, shown in the table or not: one line per image, model and metric, full precision."""
    header = ("image", "model", "kind", "metric", "value", "unit", "seconds", "megapixels")
    kinds = {model.name: model.kind for model in report.models}
    lines = (
        (
            *(score.image, score.model, kinds[score.model], metric.address),
            *(score.scores.get(metric.address, math.nan), metric.unit, score.seconds, score.megapixels),
        )
        for score in report.scores
        for metric in report.metrics
    )
    return _csv(header, lines)


def table_csv(table: Table) -> str:
    """The table's numbers, one line per restorer and metric, full precision."""
    records = list(_records(table))
    return _csv(list(records[0]) if records else [], (list(record.values()) for record in records))


def table_json(table: Table) -> list[dict[str, object]]:
    """The table's numbers, one object per restorer and metric; infinity as text, as in the rest of the record."""

    def plain(value: object) -> object:
        infinite = isinstance(value, float) and math.isinf(value)
        return ("Infinity" if value == math.inf else "-Infinity") if infinite else value

    return [{key: plain(value) for key, value in record.items()} for record in _records(table)]


def _records(table: Table) -> Iterator[dict[str, object]]:
    for row in table.rows:
        for metric, cell in zip(table.columns, row.cells, strict=True):
            low, high = cell.interval or (None, None)
            yield {
                "restorer": row.model.name,
                "kind": row.model.kind,
                "metric": metric.address,
                "unit": metric.unit,
                "images": cell.images,
                "mean": cell.mean,
                "difference": cell.difference,
                "low": low,
                "high": high,
                "best": cell.best,
                "seconds_per_megapixel": row.seconds_per_megapixel,
                "parameters": row.model.parameters,
            }


def _csv(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return text.getvalue()


def _difference_text(metric: MetricInfo, cell: Cell) -> str:
    if cell.difference is None:
        return NOTHING
    text = format_number(cell.difference, metric.decimals, sign=True)
    if cell.interval is None:
        return text
    low, high = (format_number(bound, metric.decimals) for bound in cell.interval)
    return f"{text} [{low}, {high}]"


def _heading(metric: MetricInfo) -> str:
    """Name, unit, and an arrow to where better is."""
    unit = f" ({metric.unit})" if metric.unit else ""
    return f"{metric.name}{unit} {'↑' if metric.higher_is_better else '↓'}"


def _has_speed(table: Table) -> bool:
    return any(row.seconds_per_megapixel is not None for row in table.rows)


def _extra_headings(table: Table) -> list[str]:
    """Speed and size, where any row has one."""
    return ["s/MP"] * _has_speed(table) + ["parameters"] * any(row.model.parameters for row in table.rows)


def _extra_texts(table: Table, row: Row) -> list[str]:
    texts = {"s/MP": format_number(row.seconds_per_megapixel, 3), "parameters": _size_text(row.model.parameters)}
    return [texts[name] for name in _extra_headings(table)]


def _size_text(parameters: int | None) -> str:
    """Number of weights for reading.

    >>> _size_text(26_126_644)
    '26.1 M'
    """
    if not parameters:
        return NOTHING
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if parameters >= unit:
            return f"{parameters / unit:.1f} {name}"
    return str(parameters)
