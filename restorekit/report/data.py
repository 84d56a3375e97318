"""A table and its scores for programs: CSV and JSON, in full precision."""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence

from restorekit.report.record import Report
from restorekit.report.tables import Table

__all__ = ["score_records", "scores_csv", "table_csv", "table_json"]


def scores_csv(report: Report) -> str:
    """``score_records`` as CSV, full precision."""
    records = list(score_records(report))
    header = list(records[0]) if records else ["image", "model", "kind", "metric", "value"]
    return _csv(header, (list(record.values()) for record in records))


def score_records(report: Report) -> Iterator[dict[str, str | float | int | None]]:
    """Every score of every model, shown in the table or not: one record per image, model, metric and seed.

    Where several seeds were run, each has its record and the mean over them has none; elsewhere ``seed`` is None.
    """
    kinds = {model.name: model.kind for model in report.models}
    for score in report.scores:
        for metric in report.metrics:
            seeds: list[tuple[int | None, dict[str, float]]] = [
                (report.run.seed + index, scores) for index, scores in enumerate(score.by_seed)
            ]
            for seed, scores in seeds or [(None, score.scores)]:
                yield {
                    "image": score.image,
                    "model": score.model,
                    "kind": kinds[score.model],
                    "metric": metric.address,
                    "value": scores.get(metric.address, math.nan),
                    "unit": metric.unit,
                    "seconds": score.seconds,
                    "megapixels": score.megapixels,
                    "seed": seed,
                    "peak_bytes": score.peak_bytes,
                }


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
                "p_holm": cell.against_input.p_value,
                "significant": cell.against_input.significant,
                "images_needed": cell.against_input.needs,
                "wins": cell.against_input.wins,
                "spread": cell.spread,
                "best": cell.best,
                "seconds_per_megapixel": row.seconds_per_megapixel,
                "parameters": row.model.parameters,
                "parameters_total": row.model.parameters_total,
                "parameters_prior": row.model.parameters_prior,
                "macs": row.model.macs,
                "peak_bytes": row.peak_bytes,
            }


def _csv(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return text.getvalue()
