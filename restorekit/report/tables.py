"""The table of a comparison: one row per restorer, always the degraded input first.

- Means are over the images on which every row has a value, so that rows can be compared; images left out are named.
- A difference is paired: restorer minus degraded input on the same image. Two infinite scores differ by nothing.
- Classical restorers are many: with a reference only the best few are shown, and a footnote says how they were chosen.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from restorekit.core.metric.protocol import aggregate
from restorekit.report.record import MetricInfo, ModelInfo, Report
from restorekit.statistics import FEWEST, Interval, bootstrap_t_interval

if TYPE_CHECKING:
    import rich.table

__all__ = ["Cell", "Row", "Table", "build_table"]

LEVEL = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Cell:
    """One restorer under one metric; None where there is nothing to say."""

    mean: float | None = None
    difference: float | None = None
    """Mean of restorer minus degraded input, in the metric's unit; None for the input itself."""
    interval: Interval | None = None
    """Of the difference, 95 %."""
    images: int = 0
    """How many images the mean is over."""
    best: bool = False
    """Whether no row shows a better mean, at the decimals shown."""


@dataclass(frozen=True)
class Row:
    """One restorer."""

    model: ModelInfo
    cells: tuple[Cell, ...]
    """One per column of the table."""
    seconds_per_megapixel: float | None = None


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
        from restorekit.report.renderings import table_csv

        return table_csv(self)

    def to_json(self) -> list[dict[str, object]]:
        """One object per restorer and metric; infinity and NaN as text."""
        from restorekit.report.renderings import table_json

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
    columns = [_column(report, metric) for metric in report.metrics]
    classical = _ranked_classical(report, columns)
    best = classical[:classical_rows] if report.has_reference else classical
    asked = [model for model in classical if model.asked and model not in best]
    models = [report.input, *best, *asked, *(model for model in report.models if model.kind == "model")]
    rows = [
        Row(model, tuple(column.cells[model.name] for column in columns), _seconds_per_megapixel(report, model))
        for model in models
    ]
    count = len(report.images)
    title = f"{count} image{'s' * (count != 1)}" + (f", {report.run.degradation}" if report.run.degradation else "")
    footnotes = [
        *_choice_note(report, len(best), len(classical)),
        *_interval_notes(report, rows),
        *_rival_notes(report, columns, classical),
        *(note for column in columns for note in column.notes),
        *(
            f"{m.name}: GT-MEAN scales every answer to the reference's brightness: not a blind score"
            for m in report.metrics
            if m.protocol.gt_mean
        ),
        *report.notes,
    ]
    return Table(title, report.metrics, _mark_best(rows, report.metrics), tuple(footnotes))


@dataclass(frozen=True)
class _Column:
    """One metric over all models, shown or not."""

    cells: Mapping[str, Cell]
    values: Mapping[str, Sequence[float]]
    """Of each model that has any, over the images that all have."""
    notes: tuple[str, ...] = ()


def _column(report: Report, metric: MetricInfo) -> _Column:
    """Means over the images that every model has a value for; a model without any value gets an empty cell."""
    values: dict[str, dict[str, float]] = {model.name: {} for model in report.models}
    weights: dict[str, float] = {}
    for score in report.scores:
        weights[score.image] = score.megapixels
        value = score.scores.get(metric.address, math.nan)
        if not math.isnan(value):
            values[score.model][score.image] = value
    measured = [by_image for by_image in values.values() if by_image]
    common = [image for image in report.images if measured and all(image in by_image for by_image in measured)]
    start = values[report.input.name]
    baseline = [start[image] for image in common] if start else None
    shared = {name: [by_image[image] for image in common] for name, by_image in values.items() if by_image and common}
    cells = {
        name: _cell(metric, shared[name], baseline, [weights[image] for image in common]) if name in shared else Cell()
        for name in values
    }
    cells[report.input.name] = replace(cells[report.input.name], difference=None, interval=None)
    left_out = [image for image in report.images if image not in common] if measured else []
    return _Column(cells, shared, tuple(_left_out_note(metric, left_out, len(report.images))))


def _cell(metric: MetricInfo, values: list[float], baseline: list[float] | None, weights: list[float]) -> Cell:
    """Mean of ``values``, one per image, and of their paired difference to ``baseline`` if the input has one."""
    pooled = metric.protocol.average == "pooled"
    mean = aggregate(values, metric.protocol, weights=weights if pooled else None)
    if baseline is None:
        return Cell(_number(mean), images=len(values))
    if pooled:
        start = aggregate(baseline, metric.protocol, weights=weights)
        return Cell(_number(mean), _number(_minus(mean, start)), None, len(values))
    differences = [_minus(value, start) for value, start in zip(values, baseline, strict=True)]
    with np.errstate(invalid="ignore"):  # +inf and -inf together have no mean
        difference = float(np.mean(differences))
    interval = bootstrap_t_interval(differences, level=LEVEL, resamples=RESAMPLES)
    return Cell(_number(mean), _number(difference), interval, len(values))


def _minus(value: float, start: float) -> float:
    """value - start; equal values, two infinities too, differ by nothing."""
    return 0.0 if value == start else value - start


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _ranked_classical(report: Report, columns: Sequence[_Column]) -> list[ModelInfo]:
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


def _choice_note(report: Report, shown: int, total: int) -> Iterator[str]:
    if shown < total:
        name = next(metric.name for metric in report.metrics if metric.needs_reference)
        yield (
            f"best {shown} of {total} classical restorers by mean {name} on these images "
            "(chosen with the reference; an upper bound for a blind user); all are in scores.csv and report.json"
        )


def _interval_notes(report: Report, rows: Sequence[Row]) -> Iterator[str]:
    cells = [cell for row in rows[1:] for cell in row.cells if cell.difference is not None]
    count = max((cell.images for cell in cells), default=0)
    pooled = [metric.name for metric in report.metrics if metric.protocol.average == "pooled"]
    if any(cell.interval for cell in cells):
        yield (
            f"[low, high]: {LEVEL:.0%} paired bootstrap-t interval of the mean difference to {report.input.name} over "
            f"{count} images ({RESAMPLES} resamples); where it contains 0, these images show no difference"
        )
    if pooled:
        yield f"{', '.join(pooled)}: pooled over all pixels of all images, not paired by image: no interval"
    elif any(cell.interval is None for cell in cells):
        if count == 1:
            yield "n=1: no interval"
        elif count < FEWEST:
            yield f"n={count}: no interval ({FEWEST} images are the fewest that bound a mean)"
        else:
            yield "no interval where a score is infinite, or where one image carries the whole difference"


def _rival_notes(report: Report, columns: Sequence[_Column], classical: Sequence[ModelInfo]) -> Iterator[str]:
    """What each learned model is worth beyond the best that needs no learning, by the metric that ranked them."""
    for metric, column in zip(report.metrics, columns, strict=True):
        if not metric.needs_reference or not classical or metric.protocol.average == "pooled":
            continue
        rival = classical[0].name
        for model in report.models:
            if model.kind != "model" or not {model.name, rival} <= column.values.keys():
                continue
            pairs = zip(column.values[model.name], column.values[rival], strict=True)
            differences = [_minus(value, other) for value, other in pairs]
            interval = bootstrap_t_interval(differences, level=LEVEL, resamples=RESAMPLES)
            within = f" [{interval.low:.2f}, {interval.high:.2f}]" if interval else ""
            unit = f" {metric.unit}" if metric.unit else ""
            yield (
                f"{metric.name}, {model.name} minus {rival} (the best classical restorer on these images): "
                f"{np.mean(differences):+.2f}{unit}{within}"
            )
        return


def _left_out_note(metric: MetricInfo, left_out: Sequence[str], total: int) -> Iterator[str]:
    if left_out:
        names = ", ".join(left_out[:3]) + (f" and {len(left_out) - 3} more" if len(left_out) > 3 else "")
        yield (
            f"{metric.name}: over {total - len(left_out)} of {total} images; "
            f"without {names}, where a restorer has no value"
        )
