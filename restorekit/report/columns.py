"""One metric over all restorers: means over common images, paired differences, and how sure these are.

- A mean is over the images on which every restorer has a value, so that rows can be compared.
- A difference is paired: two restorers on the same image. Two infinite scores differ by nothing.
- Under ``FEWEST_IMAGES`` images there are values only: no interval, no p-value, no share of wins.
- P-values are corrected in two families, the classical restorers that are always measured, and those that were asked
  for. What a user asks for must not become less sure because of baselines that come along; these are corrected over all
  of them, since the few that a table shows were chosen by their scores.
- "Not significant" is said as soon as either the corrected sign-flip test or the interval says so: the test is too
  eager on skewed differences, the interval knows nothing of how many restorers were tried. Where no difference whatever
  could be significant, because so few images leave nothing after the correction, just that is said.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from restorekit.core.metric.protocol import aggregate
from restorekit.report.record import MetricInfo, Report
from restorekit.statistics import (
    Interval,
    bootstrap_t_interval,
    holm,
    images_needed,
    paired_permutation_test,
    win_rate,
)

__all__ = ["ALPHA", "FEWEST_IMAGES", "LEVEL", "RESAMPLES", "Cell", "Column", "Difference", "build_column", "corrected"]

LEVEL = 0.95
ALPHA = 0.05
RESAMPLES = 2000
"""Of the bootstrap; the sign-flip test draws ``FLIPS`` patterns where it cannot try all."""
FLIPS = 10_000
FEWEST_IMAGES = 8
"""With fewer images the least two-sided p of the sign-flip test is above 0.015: no correction leaves anything."""


@dataclass(frozen=True)
class Difference:
    """One restorer minus another over the same images, in the metric's unit."""

    mean: float | None = None
    interval: Interval | None = None
    """95 %, paired bootstrap-t."""
    p_value: float | None = None
    """Of the sign-flip test; corrected by Holm where it stands in a cell or a pairing."""
    wins: float | None = None
    """Share of images on which the first is better; a tie counts half."""
    needs: int | None = None
    """How many images a corrected test takes to find anything at all, where there are fewer; None where there are
    enough, or nothing was tested."""

    @property
    def significant(self) -> bool | None:
        """Whether test and interval both see a difference; None where there is too little to say."""
        if self.p_value is None or self.needs is not None:
            return None
        return self.p_value <= ALPHA and not (self.interval and self.interval.low <= 0.0 <= self.interval.high)

    @property
    def doubt(self) -> str:
        """What to print behind it: ``n.s.``, not significant; ``n<9``, fewer than 9 images cannot tell; or nothing."""
        if self.needs is not None:
            return f"n<{self.needs}"
        return "n.s." if self.significant is False else ""


@dataclass(frozen=True)
class Cell:
    """One restorer under one metric; None where there is nothing to say."""

    mean: float | None = None
    spread: float | None = None
    """Standard deviation, over seeds, of the mean over images; None where one seed was run or nothing is random."""
    against_input: Difference = Difference()
    """Restorer minus degraded input; empty for the input itself."""
    images: int = 0
    """How many images the mean is over."""
    best: bool = False
    """Whether no row shows a better mean, at the decimals shown."""

    @property
    def difference(self) -> float | None:
        """Mean of restorer minus degraded input, in the metric's unit; None for the input itself."""
        return self.against_input.mean

    @property
    def interval(self) -> Interval | None:
        """Of the difference, 95 %."""
        return self.against_input.interval


@dataclass(frozen=True)
class Column:
    """One metric over all models, shown or not."""

    metric: MetricInfo
    cells: Mapping[str, Cell]
    values: Mapping[str, Sequence[float]]
    """Of each model that has any, over the images that all have."""
    left_out: tuple[str, ...] = ()
    """Images on which some restorer has no value."""

    @property
    def images(self) -> int:
        """How many images the means are over."""
        return max(map(len, self.values.values()), default=0)

    def difference(self, first: str, second: str) -> Difference:
        """``first`` minus ``second``, p-value uncorrected; empty where one has no value, or pixels are pooled."""
        if not {first, second} <= self.values.keys() or self.metric.protocol.average == "pooled":
            return Difference()
        return _paired(self.metric, self.values[first], self.values[second])


def build_column(report: Report, metric: MetricInfo) -> Column:
    """Means over the images that every model has a value for; a model without any value gets an empty cell.

    P-values are corrected within this metric, in two families.
    """
    values, weights = _values(report, metric), {score.image: score.megapixels for score in report.scores}
    measured = [by_image for by_image in values.values() if by_image]
    common = [image for image in report.images if measured and all(image in by_image for by_image in measured)]
    shared = {name: [by_image[image] for image in common] for name, by_image in values.items() if by_image and common}
    sizes = [weights[image] for image in common]
    spreads = _spreads(report, metric, common, weights)
    start = report.input.name
    cells = {
        name: Cell(
            _mean(metric, shared[name], sizes),
            spreads.get(name),
            _against(metric, shared[name], shared.get(start), sizes) if name != start else Difference(),
            len(common),
        )
        if name in shared
        else Cell()
        for name in values
    }
    left_out = tuple(image for image in report.images if image not in common) if measured else ()
    return Column(metric, _corrected(report, cells, len(common)), shared, left_out)


def _values(report: Report, metric: MetricInfo) -> dict[str, dict[str, float]]:
    """Value by model and image, the undefined ones left out."""
    values: dict[str, dict[str, float]] = {model.name: {} for model in report.models}
    for score in report.scores:
        value = score.scores.get(metric.address, math.nan)
        if not math.isnan(value):
            values[score.model][score.image] = value
    return values


def _mean(metric: MetricInfo, values: Sequence[float], weights: Sequence[float]) -> float | None:
    pooled = metric.protocol.average == "pooled"
    return _number(aggregate(values, metric.protocol, weights=weights if pooled else None))


def _against(
    metric: MetricInfo, values: Sequence[float], baseline: Sequence[float] | None, weights: Sequence[float]
) -> Difference:
    """Restorer minus input; of pooled numbers there is the difference alone, for it has no value per image."""
    if baseline is None:
        return Difference()
    if metric.protocol.average == "pooled":
        mean, start = (aggregate(one, metric.protocol, weights=weights) for one in (values, baseline))
        return Difference(_number(_minus(mean, start)))
    return _paired(metric, values, baseline)


def _paired(metric: MetricInfo, values: Sequence[float], baseline: Sequence[float]) -> Difference:
    differences = [_minus(value, start) for value, start in zip(values, baseline, strict=True)]
    with np.errstate(invalid="ignore"):  # +inf and -inf together have no mean
        mean = _number(float(np.mean(differences)))
    if len(differences) < FEWEST_IMAGES:
        return Difference(mean)
    sign = 1.0 if metric.higher_is_better else -1.0
    return Difference(
        mean,
        bootstrap_t_interval(differences, level=LEVEL, resamples=RESAMPLES),
        _number(paired_permutation_test(differences, resamples=FLIPS)),
        _number(win_rate([sign * difference for difference in differences])),
    )


def corrected(family: Sequence[Difference], images: int) -> list[Difference]:
    """One family of differences over so many images, p-values corrected by Holm."""
    p_values = [math.nan if one.p_value is None else one.p_value for one in family]
    needed = images_needed(sum(not math.isnan(p) for p in p_values), alpha=ALPHA, resamples=FLIPS)
    needs = needed if needed is not None and images < needed else None
    return [
        replace(one, p_value=_number(p), needs=None if math.isnan(p) else needs)
        for one, p in zip(family, holm(p_values), strict=True)
    ]


def _corrected(report: Report, cells: dict[str, Cell], images: int) -> dict[str, Cell]:
    """The cells with p-values corrected within each of the two families."""
    for classical in (True, False):
        family = [model.name for model in report.models if (model.kind == "classical" and not model.asked) == classical]
        differences = corrected([cells[name].against_input for name in family], images)
        for name, difference in zip(family, differences, strict=True):
            cells[name] = replace(cells[name], against_input=difference)
    return cells


def _spreads(
    report: Report, metric: MetricInfo, common: Sequence[str], weights: Mapping[str, float]
) -> dict[str, float]:
    """Standard deviation over seeds of the mean over the common images, by model; only where all have several."""
    runs: dict[str, dict[str, list[float]]] = {}
    for score in report.scores:
        if score.by_seed:
            values = [seed.get(metric.address, math.nan) for seed in score.by_seed]
            runs.setdefault(score.model, {})[score.image] = values
    sizes = [weights[image] for image in common]
    spreads = {}
    for name, by_image in runs.items():
        if common and all(image in by_image for image in common):
            by_seed = zip(*(by_image[image] for image in common), strict=True)
            means = [mean for run in by_seed if (mean := _mean(metric, run, sizes)) is not None]
            if len(means) > 1 and all(map(math.isfinite, means)):
                spreads[name] = float(np.std(means, ddof=1))
    return spreads


def _minus(value: float, start: float) -> float:
    """value - start; equal values, two infinities too, differ by nothing."""
    return 0.0 if value == start else value - start


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
