"""A table for reading: Markdown and terminal here; the page and LaTeX start from the same texts.

- Every rendering starts from the same texts (``header_texts``, ``row_texts``), so no two can disagree.
- Best values are marked by weight or by a sign, never by colour alone.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from restorekit.report.columns import Cell
from restorekit.report.failures import shortened
from restorekit.report.pairs import Pairing
from restorekit.report.record import MetricInfo
from restorekit.report.tables import Row, Table

if TYPE_CHECKING:
    import rich.table

__all__ = [
    "NOTHING",
    "best_flags",
    "bytes_text",
    "difference_texts",
    "format_number",
    "header_texts",
    "markdown_grid",
    "markdown_text",
    "metric_heading",
    "protocol_line",
    "row_texts",
    "to_markdown",
    "to_rich",
]

NOTHING = "–"
AGAINST = "vs input [95 %]"


def to_markdown(table: Table) -> str:
    """A GitHub-flavoured table, columns aligned for reading as plain text, best values bold, footnotes below."""
    header = [markdown_text(text) for text in header_texts(table)]
    lines = []
    for row in table.rows:
        texts = [markdown_text(text) for text in row_texts(table, row)]
        lines.append(
            [f"**{text}**" if best else text for text, best in zip(texts, best_flags(table, row), strict=True)]
        )
    addresses = " · ".join(f"`{metric.address}`" for metric in table.columns)
    notes = [f"- {note}" for note in [f"protocols: {addresses}", *table.footnotes]]
    return "\n".join([f"**{table.title}**", "", *markdown_grid(header, lines), "", *notes, ""])


def markdown_grid(header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """The lines of an aligned table whose first two columns are words and the others numbers."""
    widths = [max(len(line[column]) for line in [header, *lines]) for column in range(len(header))]
    left = 2
    rule = ["-" * width if i < left else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    return [
        "| "
        + " | ".join(t.ljust(w) if i < left else t.rjust(w) for i, (t, w) in enumerate(zip(line, widths, strict=True)))
        + " |"
        for line in [header, rule, *lines]
    ]


def markdown_text(text: str) -> str:
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
        drawn.add_column(Text(f"{metric_heading(metric)}\n{AGAINST}"), justify="right", no_wrap=True)
    extras = [(heading, text) for heading, text in _extras(table) if heading in ("s/MP", "peak")]
    if extras:  # one column, to fit 80
        drawn.add_column("\n".join(heading for heading, _ in extras), justify="right", no_wrap=True)
    for row in table.rows:
        parts: list[str] = ["" if row.model.name == row.model.kind else row.model.kind]
        parts += [_size_text(row.model.parameters)] if row.model.parameters else []
        parts += [f"{_macs_text(row.model.macs)} GMACs"] if row.model.macs else []
        parts += [_failed_text(row)] if row.model.failed else []
        cells = [Text.assemble(row.model.name, (f"\n{', '.join(filter(None, parts))}", "dim"))]
        for metric, cell in zip(table.columns, row.cells, strict=True):
            mean = _mean_text(metric, cell) + "*" * cell.best
            below = f"\n{_difference_text(metric, cell)}"
            if cell.against_input.p_value is not None:
                below += f"\np {_p_text(cell)}, wins {_share_text(cell)}"
            cells.append(Text.assemble((mean, "bold" if cell.best else ""), (below, "dim")))
        drawn.add_row(*cells, *["\n".join(text(row) for _, text in extras)] * bool(extras))
    return drawn


def header_texts(table: Table) -> list[str]:
    """Headings of the table's columns: restorer, kind, two to four per metric, speed and size where known."""
    metrics = [text for metric in table.columns for text in (metric_heading(metric), AGAINST, *_test_headings(table))]
    return ["restorer", "kind", *metrics, *(heading for heading, _ in _extras(table))]


def row_texts(table: Table, row: Row) -> list[str]:
    """One row as text, under ``header_texts``."""
    texts = [row.model.name, row.model.kind]
    for metric, cell in zip(table.columns, row.cells, strict=True):
        texts += [_mean_text(metric, cell), _difference_text(metric, cell)]
        texts += [_p_text(cell), _share_text(cell)][: len(_test_headings(table))]
    if row.model.failed:
        texts[2:3] = [_failed_text(row)]
    return texts + [text(row) for _, text in _extras(table)]


def best_flags(table: Table, row: Row) -> list[bool]:
    """Which of ``row_texts`` are the best of their column."""
    beside = [False] * (1 + len(_test_headings(table)))
    means = [flag for cell in row.cells for flag in (cell.best, *beside)]
    return [False, False, *means, *(False for _ in _extras(table))]


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


def difference_texts(pairing: Pairing) -> list[str]:
    """Difference with its interval, p-value, wins and images of two restorers."""
    cell = Cell(against_input=pairing.difference)
    return [_difference_text(pairing.metric, cell), _p_text(cell), _share_text(cell), str(pairing.images)]


def _mean_text(metric: MetricInfo, cell: Cell) -> str:
    mean = format_number(cell.mean, metric.decimals)
    return mean if cell.spread is None else f"{mean} ± {format_number(cell.spread, metric.decimals)}"


def _failed_text(row: Row) -> str:
    """What stands in place of the first mean of a restorer that failed."""
    return f"failed: {shortened(row.model.failed)}"


def _difference_text(metric: MetricInfo, cell: Cell) -> str:
    if cell.difference is None:
        return NOTHING
    text = format_number(cell.difference, metric.decimals, sign=True)
    if cell.interval is not None:
        low, high = (format_number(bound, metric.decimals) for bound in cell.interval)
        text += f" [{low}, {high}]"
    return f"{text} {cell.against_input.doubt}".rstrip()


def _test_headings(table: Table) -> list[str]:
    """Columns of the test, where any cell has one."""
    tested = any(cell.against_input.p_value is not None for row in table.rows for cell in row.cells)
    return ["p", "wins"] if tested else []


def _p_text(cell: Cell) -> str:
    """A p-value for reading.

    >>> from restorekit.report.columns import Difference
    >>> [_p_text(Cell(against_input=Difference(p_value=p))) for p in (0.00012, 0.0312, 0.5)]
    ['<0.001', '0.031', '0.50']
    """
    p_value = cell.against_input.p_value
    if p_value is None:
        return NOTHING
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}" if p_value < 0.1 else f"{p_value:.2f}"


def _share_text(cell: Cell) -> str:
    wins = cell.against_input.wins
    return NOTHING if wins is None else f"{wins:.0%}".replace("%", " %")


def metric_heading(metric: MetricInfo) -> str:
    """Name, unit, and an arrow to where better is."""
    unit = f" ({metric.unit})" if metric.unit else ""
    return f"{metric.name}{unit} {'↑' if metric.higher_is_better else '↓'}"


def _extras(table: Table) -> list[tuple[str, Callable[[Row], str]]]:
    """Heading and text of the columns of speed and size, where any row has one."""
    columns: tuple[tuple[str, bool, Callable[[Row], str]], ...] = (
        (
            "s/MP",
            any(row.seconds_per_megapixel is not None for row in table.rows),
            lambda row: format_number(row.seconds_per_megapixel, 3),
        ),
        ("peak", any(row.peak_bytes is not None for row in table.rows), lambda row: bytes_text(row.peak_bytes)),
        ("parameters", any(row.model.parameters for row in table.rows), lambda row: _size_text(row.model.parameters)),
        ("GMACs", any(row.model.macs for row in table.rows), lambda row: _macs_text(row.model.macs)),
    )
    return [(heading, text) for heading, known, text in columns if known]


def bytes_text(count: int | None) -> str:
    """A number of bytes for reading.

    >>> bytes_text(123_456_789), bytes_text(2_500_000_000)
    ('123 MB', '2.5 GB')
    """
    if count is None:
        return NOTHING
    if count < 1e6:
        return "<1 MB"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _macs_text(macs: int | None) -> str:
    return format_number(macs / 1e9, 1 if macs >= 1e9 else 3) if macs else NOTHING


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
