"""The tables of the papers, their published numbers beside ours: benchmarks/papers/*.toml to docs/paper_tables.md.

python benchmarks/paper_tables.py [--reports OUT] [--output docs/paper_tables.md]

OUT is the output folder of ``restorekit bench SUITE``, with a suite whose data sets are named as the columns say. A row
is ours where such a report has a model of one of the row's recipes: ``recipe:NAME``, or weights in a folder or file of
the recipe's last name (``file:runs/table01_lol_snr_clip/weights.safetensors``).
"""

import argparse
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from restorekit import Report
from restorekit.core.metric.protocol import format_address, parse_address
from restorekit.suite import report_folder

__all__ = ["PAPERS", "Column", "PaperTable", "Row", "load_tables", "main", "render"]

PAPERS = Path(__file__).parent / "papers"

DECIMALS = {"PSNR": 2, "SSIM": 3, "LPIPS": 3, "PSNR gain": 2, "weights added, millions": 2}
"""How the papers print each metric."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(_Part):
    """One number of every row."""

    dataset: str = Field(description="as a suite of ours names the set")
    metric: Literal["PSNR", "SSIM", "LPIPS", "PSNR gain", "weights added, millions"]
    address: str | None = Field(default=None, description="full address of the metric in our reports, where it has one")

    @field_validator("address")
    @classmethod
    def _full(cls, address: str | None) -> str | None:
        if address is not None and address != (full := format_address(*parse_address(address))):
            raise ValueError(f"expected a full address, got {address}; write {full}")
        return address


class Recipe(_Part):
    """What reproduces a row, or some of its numbers."""

    name: str
    dataset: str = Field(default="", description="the columns that it is for; all of them if empty")
    change: str = Field(default="", description="what --set changes; a model made so cannot be told by its name")

    def __str__(self) -> str:
        return f"`{self.name}{f' --set {self.change}' if self.change else ''}`"


class Row(_Part):
    """One line of the paper's table."""

    method: str
    base: str = Field(default="", description="the network that is refined or guided")
    prior: str = Field(default="", description="what guides it")
    setting: str = Field(default="", description="what else tells two rows apart")
    published: tuple[float | Literal["not available"], ...] = Field(description="one for each column")
    source: str = Field(default="", description="where these numbers come from, if not from the paper's table")
    recipes: tuple[Recipe, ...] = ()
    model: str = Field(default="", description="what reproduces it without a recipe, as reports name it")
    reason: str = Field(default="", description="why it is not measured, if not for the table's reason")

    @model_validator(mode="after")
    def _says_why_nothing_makes_it(self) -> "Row":
        if not (self.recipes or self.model or self.reason):
            raise ValueError(f"{self.label}: expected recipes, a model, or a reason why there is neither")
        return self

    @property
    def label(self) -> str:
        """What tells the row from the others."""
        return ", ".join(filter(None, (self.method, self.base, self.prior, self.setting)))

    def is_made_by(self, model: str, dataset: str) -> bool:
        """Whether ``model``, as a report of this data set names it, is what the row is about."""
        names = {recipe.name for recipe in self.recipes if recipe.dataset in ("", dataset) and not recipe.change}
        family, _, rest = model.partition(":")
        if family == "file":
            path = PurePath(rest)
            return not {*path.parts, path.stem}.isdisjoint(name.rpartition("/")[2] for name in names)
        return model == self.model or (family == "recipe" and rest in names)


class PaperTable(_Part):
    """One table of a paper."""

    title: str
    paper: str
    arxiv: str = Field(pattern=r"^\d{4}\.\d{5}$")
    table: str = Field(description="its number in the paper, or why there is none")
    source: str = Field(description="where the published numbers were read")
    protocol: str = Field(description="data, training and measurement")
    reason: str = Field(description="why rows with a recipe are not measured")
    notes: tuple[str, ...] = ()
    columns: tuple[Column, ...] = Field(min_length=1)
    rows: tuple[Row, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rectangular(self) -> "PaperTable":
        for row in self.rows:
            if len(row.published) != len(self.columns):
                raise ValueError(f"{row.label}: expected {len(self.columns)} numbers, got {len(row.published)}")
        datasets = {column.dataset for column in self.columns}
        made = [f"recipe {recipe.name}" for row in self.rows for recipe in row.recipes if not recipe.change]
        labels = [row.label for row in self.rows] + made
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            raise ValueError(f"expected rows that can be told apart, got twice: {'; '.join(twice)}")
        if strange := {recipe.dataset for row in self.rows for recipe in row.recipes} - {"", *datasets}:
            raise ValueError(f"expected recipes for {', '.join(sorted(datasets))}, got {', '.join(sorted(strange))}")
        return self


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=Path, metavar="OUT")
    parser.add_argument("--output", type=Path, metavar="FILE.md")
    chosen = parser.parse_args(arguments)
    folders = sorted(chosen.reports.glob("*/report.json")) if chosen.reports else []
    text = render(load_tables(), {path.parent.name: Report.load(path) for path in folders})
    if chosen.output:
        chosen.output.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


def load_tables(folder: Path = PAPERS) -> dict[str, PaperTable]:
    """Every table by the stem of its file, sorted.

    Raises:
        ValueError: a file has unknown keys or bad values; it is named.
    """
    tables = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            tables[path.stem] = PaperTable.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    return tables


def render(tables: Mapping[str, PaperTable], reports: Mapping[str, Report]) -> str:
    """The page: a section for each table.

    Args:
        tables: as ``load_tables`` gives them.
        reports: of our own runs, by the folder of their data set (``restorekit.suite.report_folder``).
    """
    return "\n".join([_HEAD, *(_section(table, reports) for table in tables.values())])


_HEAD = """# The tables of the papers

What the papers print, and what we measured. A number is the published one; where a report of ours has the row, ours
follows in bold. *not measured* says why there is none; *not available*: the paper's number could not be had.

Made by `python benchmarks/paper_tables.py --output docs/paper_tables.md` from `benchmarks/papers/*.toml`; with
`--reports OUT`, the output folder of `restorekit bench`, our numbers come in. Not edited by hand.
"""


def _section(table: PaperTable, reports: Mapping[str, Report]) -> str:
    place = f"table {table.table}" if table.table.isdigit() else table.table
    shown = [name for name in ("method", "base", "prior", "setting") if any(getattr(row, name) for row in table.rows)]
    numbers = [_heading(column, table.columns) for column in table.columns]
    lines = [
        f"## {table.title}",
        "",
        f"{table.paper}, [arXiv:{table.arxiv}](https://arxiv.org/abs/{table.arxiv}), {place}. Numbers: {table.source}.",
        "",
        f"Protocol: {table.protocol}",
        "",
        _line([*shown, "recipe or model", *numbers, "ours"]),
        _line([*["---"] * (len(shown) + 1), *["---:"] * len(numbers), "---"]),
    ]
    for row in table.rows:
        ours = [_measured(row, column, reports) for column in table.columns]
        cells = [_cell(*pair) for pair in zip(table.columns, row.published, ours, strict=True)]
        recipes = ", ".join(map(str, row.recipes)) or (f"`{row.model}`" if row.model else "–")
        lines.append(_line([*(getattr(row, name) for name in shown), recipes, *cells, _said(table, row, ours)]))
    sources = [f"- {row.label}: numbers from {row.source}." for row in table.rows if row.source]
    notes = [f"- {note}" for note in table.notes]
    return "\n".join([*lines, "", *notes, *sources, *([""] if notes or sources else [])])


def _heading(column: Column, columns: Sequence[Column]) -> str:
    """The data set is left out where it is the same everywhere."""
    alone = len({other.dataset for other in columns}) == 1
    return column.metric if alone else f"{column.dataset} {column.metric}"


def _measured(row: Row, column: Column, reports: Mapping[str, Report]) -> tuple[float, int] | None:
    """Mean and number of images of this row in our report of the column's data set."""
    report = reports.get(report_folder(column.dataset))
    if report is None or column.address is None:
        return None
    model = next((info.name for info in report.models if row.is_made_by(info.name, column.dataset)), None)
    values = [
        score.scores[column.address]
        for score in report.scores
        if score.model == model and column.address in score.scores
    ]
    return (float(np.mean(values)), len(values)) if values else None


def _cell(column: Column, published: float | str, ours: tuple[float, int] | None) -> str:
    text = published if isinstance(published, str) else _number(column, published)
    return text if ours is None else f"{text} **{_number(column, ours[0])}**"


def _number(column: Column, value: float) -> str:
    sign = "+" if column.metric == "PSNR gain" else ""
    return f"{value:{sign}.{DECIMALS[column.metric]}f}"


def _said(table: PaperTable, row: Row, ours: Sequence[tuple[float, int] | None]) -> str:
    counts = [str(one[1]) for one in ours if one is not None]
    if not counts:
        return f"not measured: {row.reason or table.reason}"
    images = "/".join(dict.fromkeys(counts))
    return f"{len(counts)} of {len(ours)} numbers, {images} images"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(re.sub(r"\s+", " ", cell).replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    main()
