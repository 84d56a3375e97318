"""The tables of the papers, their published numbers beside ours: benchmarks/papers/*.toml to docs/paper_tables.md.

python benchmarks/paper_tables.py [--result OUT]... [--output docs/paper_tables.md]

OUT is a result.json, or the output folder, of ``restorekit bench`` with the suite that a table names. A number is ours
where such a result has the column's data set by name, measured under the column's address, and a model of one of the
row's recipes: ``recipe:NAME``, or weights in a folder or file of the recipe's last name
(``file:runs/table01_lol_snr_clip/weights.safetensors``).
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
from restorekit.suite import load_result

__all__ = ["PAPERS", "Column", "PaperTable", "Row", "load_tables", "main", "render"]

PAPERS = Path(__file__).parent / "papers"

Ours = tuple[float, int] | None
"""Mean and number of images; None: not measured."""

DECIMALS = {"PSNR": 2, "SSIM": 3, "LPIPS": 3, "PSNR gain": 2, "weights added, millions": 2}
"""How the papers print each metric."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(_Part):
    """One number of every row."""

    dataset: str = Field(description="as a suite of ours names the set")
    metric: Literal["PSNR", "SSIM", "LPIPS", "PSNR gain", "weights added, millions"]
    address: str | None = Field(default=None, description="full address of the metric in our reports, where it has one")
    average: bool = Field(default=False, description="of this metric over the columns that have an address")

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
    suite: str = Field(default="", description="what measures the columns that have an address, as bench takes it")
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
    parser.add_argument("--result", type=Path, metavar="OUT", action="append", default=[], dest="results")
    parser.add_argument("--output", type=Path, metavar="FILE.md")
    chosen = parser.parse_args(arguments)
    text = render(load_tables(), [load_result(path).reports for path in chosen.results])
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


def render(tables: Mapping[str, PaperTable], results: Sequence[Mapping[str, Report]] = ()) -> str:
    """The page: a section for each table.

    Args:
        tables: as ``load_tables`` gives them.
        results: of our own runs, reports by the name of their data set; the first that has a number counts.
    """
    return "\n".join([_HEAD, *(_section(table, results) for table in tables.values())])


_HEAD = """# The tables of the papers

What the papers print, and what we measured. A number is the published one; where a result of ours has the row, ours
follows in bold. *not measured* says why there is none; *not available*: the paper's number could not be had.

Every table names the suite that measures its columns, each set under the table's own protocol. FOLDER holds the
[data sets](datasets.md#where-sets-lie); those that are absent are left out.

```sh
restorekit bench papers/zeroair --data FOLDER --models recipe:zeroair/hsts_dehaze -o OUT
python benchmarks/paper_tables.py --result OUT --output docs/paper_tables.md
```

The second command makes this page, from `benchmarks/papers/*.toml`; `--result` may come several times. A number of ours
stands where a result has the column's data set, the column's exact protocol and the row's model. Not edited by hand.
"""


def _section(table: PaperTable, results: Sequence[Mapping[str, Report]]) -> str:
    place = f"table {table.table}" if table.table.isdigit() else table.table
    shown = [name for name in ("method", "base", "prior", "setting") if any(getattr(row, name) for row in table.rows)]
    numbers = [_heading(column, table.columns) for column in table.columns]
    lines = [
        f"## {table.title}",
        "",
        f"{table.paper}, [arXiv:{table.arxiv}](https://arxiv.org/abs/{table.arxiv}), {place}. Numbers: {table.source}.",
        "",
        f"Protocol: {table.protocol}{f' Suite: `{table.suite}`.' if table.suite else ''}",
        "",
        _line([*shown, "recipe or model", *numbers, "ours"]),
        _line([*["---"] * (len(shown) + 1), *["---:"] * len(numbers), "---"]),
    ]
    for row in table.rows:
        ours = _measured(row, table.columns, results)
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


def _measured(row: Row, columns: Sequence[Column], results: Sequence[Mapping[str, Report]]) -> list[Ours]:
    """Mean and number of images of this row in our results, for each column."""
    single = [next((ours for reports in results if (ours := _found(row, column, reports))), None) for column in columns]
    return [
        _average(column.metric, columns, single) if column.average else ours
        for column, ours in zip(columns, single, strict=True)
    ]


def _found(row: Row, column: Column, reports: Mapping[str, Report]) -> Ours:
    report = reports.get(column.dataset)
    if report is None or column.address is None:
        return None
    model = next((info.name for info in report.models if row.is_made_by(info.name, column.dataset)), None)
    values = [
        score.scores[column.address]
        for score in report.scores
        if score.model == model and column.address in score.scores
    ]
    return (float(np.mean(values)), len(values)) if values else None


def _average(metric: str, columns: Sequence[Column], single: Sequence[Ours]) -> Ours:
    """Over all columns of the metric that are measured by an address; None unless all of them are."""
    ours = [one for column, one in zip(columns, single, strict=True) if column.metric == metric and column.address]
    known = [one for one in ours if one is not None]
    return (float(np.mean([mean for mean, _ in known])), sum(n for _, n in known)) if ours and known == ours else None


def _cell(column: Column, published: float | str, ours: Ours) -> str:
    text = published if isinstance(published, str) else _number(column, published)
    return text if ours is None else f"{text} **{_number(column, ours[0])}**"


def _number(column: Column, value: float) -> str:
    sign = "+" if column.metric == "PSNR gain" else ""
    return f"{value:{sign}.{DECIMALS[column.metric]}f}"


def _said(table: PaperTable, row: Row, ours: Sequence[Ours]) -> str:
    counts = [str(one[1]) for one in ours if one is not None]
    if not counts:
        return f"not measured: {row.reason or table.reason}"
    images = "/".join(dict.fromkeys(counts))
    return f"{len(counts)} of {len(ours)} numbers, {images} images"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(re.sub(r"\s+", " ", cell).replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    main()
