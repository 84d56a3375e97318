"""Every two restorers against each other, because "both beat the input" does not say which of them is better.

Compared are the restorers that were asked for and the best classical one (chosen on these images: in its favour).
P-values are corrected by Holm over all pairs of a metric. Pooled metrics have no value per image, and so no pairs.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from restorekit.report.columns import Column, Difference, build_column, corrected
from restorekit.report.record import MetricInfo, Report
from restorekit.report.tables import ranked_classical

__all__ = ["Pairing", "build_pairs", "pairs_json"]


@dataclass(frozen=True)
class Pairing:
    """``first`` minus ``second`` under one metric."""

    metric: MetricInfo
    first: str
    second: str
    difference: Difference
    images: int


def build_pairs(report: Report) -> tuple[Pairing, ...]:
    """All pairs, metric by metric; none where there are fewer than two restorers, or the metric is pooled."""
    columns = [build_column(report, metric) for metric in report.metrics]
    classical = ranked_classical(report, columns) if report.has_reference else []
    asked = [model.name for model in report.models if model.kind == "model" or model.asked]
    names = [*asked, *(model.name for model in classical[:1] if model.name not in asked)]
    return tuple(pairing for column in columns for pairing in _of_column(column, names))


def pairs_json(report: Report) -> list[dict[str, object]]:
    """One object per pair and metric; infinity as text."""
    return [
        {
            "metric": pairing.metric.address,
            "first": pairing.first,
            "second": pairing.second,
            "images": pairing.images,
            "difference": _plain(pairing.difference.mean),
            "low": pairing.difference.interval.low if pairing.difference.interval else None,
            "high": pairing.difference.interval.high if pairing.difference.interval else None,
            "p_holm": pairing.difference.p_value,
            "wins": pairing.difference.wins,
            "significant": pairing.difference.significant,
            "images_needed": pairing.difference.needs,
        }
        for pairing in report.pairs()
    ]


def _of_column(column: Column, names: Sequence[str]) -> list[Pairing]:
    found = [
        Pairing(column.metric, first, second, difference, len(column.values[first]))
        for first, second in itertools.combinations(names, 2)
        if (difference := column.difference(first, second)).mean is not None
    ]
    differences = corrected([pairing.difference for pairing in found], found[0].images if found else 0)
    return [replace(pairing, difference=difference) for pairing, difference in zip(found, differences, strict=True)]


def _plain(value: float | None) -> float | str | None:
    infinite = value is not None and math.isinf(value)
    return ("Infinity" if value == math.inf else "-Infinity") if infinite else value
