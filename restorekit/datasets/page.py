"""The catalogue as Markdown: the table and the layouts of docs/datasets.md."""

from collections.abc import Iterator

from restorekit.datasets.known_sets import Counts, DataSet, Part, catalogue
from restorekit.datasets.template import Template

__all__ = ["catalogue_page", "counts_text"]


def catalogue_page() -> str:
    """A table of all sets, then a section for each: layouts, counts, protocol, source, licence."""
    rows = [
        f"| [`{item.name}`](#{item.name}) | {item.task} | {_split_counts(item)} | {item.paper} |" for item in _sets()
    ]
    table = "\n".join(["| set | task | pairs | paper |", "| --- | --- | --- | --- |", *rows])
    return "\n\n".join([table, *(_section(item) for item in _sets())])


def counts_text(counts: Counts) -> str:
    """``485``, ``98 or 100``, or ``?`` where it is not known."""
    return " or ".join(map(str, counts)) or "?"


def _sets() -> list[DataSet]:
    return list(catalogue().values())


def _split_counts(item: DataSet) -> str:
    """Of the first layout."""
    parts = item.parts_of(item.layouts[0])
    if len(parts) > 3:
        return str(sum(part.count[0] for part in parts if part.count))
    return ", ".join(f"{part.split} {counts_text(part.count)}{'' if part.degraded else ' clean'}" for part in parts)


def _section(item: DataSet) -> str:
    facts = [
        *([f"- Measured as {', '.join(f'`{address}`' for address in item.protocol)}"] if item.protocol else []),
        *([f"- Protocol: {item.protocol_source}"] if item.protocol_source else []),
        *([f"- Samples: {item.depth}"] if item.depth else []),
        f"- From: {item.obtain}",
        f"- Licence: {item.licence}",
        *([f"- Note: {item.notes}"] if item.notes else []),
    ]
    rows = ["| layout | split | degraded | clean | files |", "| --- | --- | --- | --- | --- |", *map(_row, item.parts)]
    return "\n\n".join([f"### {item.name}", f"{item.title}: {item.paper}.", "\n".join(facts), "\n".join(rows)])


def _row(part: Part) -> str:
    degraded, clean = (counts_text(counts) for counts in part.expected)
    files = clean if not part.degraded else f"{degraded} with {clean}"
    cells = (part.layout, part.split, " and ".join(map(_code, part.degraded)) or "none", _code(part.clean))
    return f"| {' | '.join(cells)} | {'; '.join(_remarks(part, files))} |"


def _remarks(part: Part, files: str) -> Iterator[str]:
    yield files
    if part.pairing == "order":
        yield "in sorted order"
    if part.larger_clean:
        yield "middle of the clean image"
    if part.note:
        yield part.note


def _code(template: str) -> str:
    return f"`{Template(template)}`"
