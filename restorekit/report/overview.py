"""One table over all sets of a suite, for its summary, and the page that leads to each set's own page.

- A row is a restorer, a column is a set: the mean of the set's first metric, and the difference to the degraded input.
- A column stands under the protocol of its set, which is printed; nothing is averaged or ranked over columns, so that
  no two protocols meet in one number.
- The page is one file and asks for nothing: style inline and allowed by its hash, links to the sets' folders relative.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from urllib.parse import quote

from restorekit.errors import UsageError
from restorekit.report.columns import Cell, build_column
from restorekit.report.record import MetricInfo, ModelInfo, Report
from restorekit.report.renderings import NOTHING, format_number, markdown_grid, markdown_text, metric_heading

__all__ = ["Overview", "OverviewColumn", "build_overview", "check_page", "overview_markdown", "render_overview"]

PAGE = "index.html"
GENERATOR = '<meta name="generator" content="restorekit bench'
"""How a page says that it is ours, and may be replaced."""
BEST = "\0"
"""Stands before and behind a best mean until it is known how to print one."""
READING = (
    "Mean of the set's first metric; in brackets the mean difference to the degraded input on the same images. "
    "n.s.: not significant; n<9: too few images to tell, 9 would be needed. The best of a column is bold. "
    "Every column has a protocol of its own, below: no number is taken over several columns."
)


@dataclass(frozen=True)
class OverviewColumn:
    """One set, under its first metric."""

    name: str
    report: Report
    metric: MetricInfo
    cells: Mapping[str, Cell]
    """By restorer; those that other sets alone have are missing."""
    images: int
    """How many the means are over."""

    @property
    def best(self) -> float | None:
        """The best mean, at the decimals shown."""
        means = [round(cell.mean, self.metric.decimals) for cell in self.cells.values() if cell.mean is not None]
        return (max if self.metric.higher_is_better else min)(means) if len(means) > 1 else None

    @property
    def conditions(self) -> str:
        """Images, degradation and region, in words."""
        count = len(self.report.images)
        over = f" (means over {self.images})" if self.images < count else ""
        run = self.report.run
        return ", ".join(filter(None, [f"{count} image{'s' * (count != 1)}{over}", run.degradation, run.region]))


@dataclass(frozen=True)
class Overview:
    """All sets of a suite beside each other."""

    title: str
    columns: tuple[OverviewColumn, ...]
    models: tuple[ModelInfo, ...]
    """Of all sets: the input, classical restorers, models."""
    absent: Mapping[str, str]
    """Why a set was not measured, by its name."""


def build_overview(title: str, reports: Mapping[str, Report], absent: Mapping[str, str] | None = None) -> Overview:
    """Put the sets beside each other.

    Args:
        title: of the suite.
        reports: by name of the set, in the order of the columns.
        absent: why other sets have no report.
    """
    columns = []
    for name, report in reports.items():
        if report.metrics:
            column = build_column(report, report.metrics[0])
            columns.append(OverviewColumn(name, report, column.metric, column.cells, column.images))
    models = {model.name: model for report in reports.values() for model in report.models}
    kinds = ("input", "classical", "model")
    ordered = sorted(models.values(), key=lambda model: kinds.index(model.kind))
    return Overview(title, tuple(columns), tuple(ordered), dict(absent or {}))


def overview_markdown(overview: Overview) -> str:
    """The table, how to read it, and under which protocol each column stands."""
    lines = [[markdown_text(text).replace(BEST, "**") for text in _texts(overview, model)] for model in overview.models]
    headings = (f"{column.name}: {metric_heading(column.metric)}" for column in overview.columns)
    header = ["restorer", "kind", *map(markdown_text, headings)]
    notes = [f"- {c.name}: `{c.metric.address}`, {c.conditions}" for c in overview.columns]
    notes += [f"- {name}: not measured: {reason}" for name, reason in overview.absent.items()]
    return "\n".join([*markdown_grid(header, lines), "", markdown_text(READING), "", *notes])


def render_overview(overview: Overview, pages: Mapping[str, str]) -> str:
    """The page, as HTML text.

    Args:
        overview: all sets; at least one was measured.
        pages: address of a set's own page, relative to this one, by name of the set.
    """
    style = files("restorekit.report").joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    run = overview.columns[-1].report.run
    machine = f"{run.machine.cpu}, {run.machine.cores} cores, {run.machine.os}"
    facts = {
        "command": run.command,
        "code": run.code,
        "time": f"{run.time:%Y-%m-%d %H:%M:%S} UTC",
        "device": f"{run.device}, {run.precision}",
        "machine": machine,
        "software": f"Python {run.machine.python}, PyTorch {run.machine.torch}",
    }
    return Template(files("restorekit.report").joinpath("overview.html").read_text(encoding="utf-8")).substitute(
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        generator=GENERATOR,
        style=style,
        version=escape(run.version),
        title=escape(overview.title),
        subtitle=escape(f"{len(overview.columns)} sets · {run.time:%Y-%m-%d} · {run.code}"),
        table=_table(overview, pages),
        reading=escape(READING),
        failed=_failures(overview),
        sets="\n".join(_sets(overview, pages)),
        record="\n".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in facts.items()),
    )


def check_page(folder: Path) -> None:
    """Raise UsageError unless the page may be written into ``folder``: there is none, or one of an earlier suite."""
    file = folder / PAGE
    if file.exists() and GENERATOR not in file.read_text(encoding="utf-8", errors="replace"):
        raise UsageError(
            f"{folder}: expected an empty folder or that of an earlier 'restorekit bench', got an {PAGE} that bench "
            "did not write; choose another folder"
        )


def _texts(overview: Overview, model: ModelInfo) -> Iterator[str]:
    """Restorer, kind, and its cell in every column, the best mean between two ``BEST``."""
    yield model.name
    yield model.kind
    for column in overview.columns:
        cell = column.cells.get(model.name, Cell())
        mean = format_number(cell.mean, column.metric.decimals)
        if cell.mean is None:
            infos = {info.name: info for info in column.report.models}
            yield "failed" if model.name in infos and infos[model.name].failed else NOTHING
            continue
        if round(cell.mean, column.metric.decimals) == column.best:
            mean = f"{BEST}{mean}{BEST}"
        difference = format_number(cell.difference, column.metric.decimals, sign=True)
        yield mean if cell.difference is None else f"{mean} ({f'{difference} {cell.against_input.doubt}'.rstrip()})"


def _table(overview: Overview, pages: Mapping[str, str]) -> str:
    words = ' class="word"'
    header = f'<th scope="col"{words}>restorer</th><th scope="col"{words}>kind</th>'
    header += "".join(
        f'<th scope="col">{_link(column.name, pages)}<br><span class="muted small">'
        f"{escape(metric_heading(column.metric))}<code>{_protocol(column.metric)}</code></span></th>"
        for column in overview.columns
    )
    lines = []
    for model in overview.models:
        name, kind, *cells = (escape(text) for text in _texts(overview, model))
        shown = (text.replace(BEST, "<strong>", 1).replace(BEST, "</strong>") for text in cells)
        numbers = "".join(f"<td>{text}</td>" for text in shown)
        lines.append(f'<tr><th scope="row"{words}>{name}</th><td{words}>{kind}</td>{numbers}</tr>')
    body = "\n".join(lines)
    return f"<table>\n<thead><tr>{header}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _protocol(metric: MetricInfo) -> str:
    """The protocol, which may be broken at its bars."""
    return escape(str(metric.protocol)).replace("|", "|<wbr>")


def _sets(overview: Overview, pages: Mapping[str, str]) -> Iterator[str]:
    """What each column is, one item a set."""
    for column in overview.columns:
        protocol = f"<code>{escape(column.metric.address)}</code>"
        yield f"<li>{_link(column.name, pages)}: {protocol}, {escape(column.conditions)}</li>"
    for name, reason in overview.absent.items():
        yield f"<li>{escape(name)}: not measured: {escape(reason)}</li>"


def _failures(overview: Overview) -> str:
    """Which restorers failed where, as a section; nothing where none did."""
    lines = [f"{column.name}: {line}" for column in overview.columns for line in column.report.failures]
    items = "\n".join(f"<li>{escape(line)}</li>" for line in lines)
    if not lines:
        return ""
    return f'<section aria-labelledby="failed"><h2 id="failed">Failed</h2>\n<ul>\n{items}\n</ul></section>'


def _link(name: str, pages: Mapping[str, str]) -> str:
    return f'<a href="{escape(quote(pages[name]))}">{escape(name)}</a>' if name in pages else escape(name)
