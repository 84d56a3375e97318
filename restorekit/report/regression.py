"""Two reports of the same photos under the same protocol: what became better or worse, and whether that is noise.

- Scores are paired by model, image and address; what only one of the reports has does not count.
- "Within noise": the 95 % paired bootstrap-t interval of the mean difference holds 0, or the mean would not show at the
  decimals that tables print. Where there is no interval (fewer than 4 images, infinite scores) nothing is claimed.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from restorekit.core.metric.protocol import aggregate, ensure_same_protocol
from restorekit.errors import ProtocolError
from restorekit.report.record import MetricInfo, Report, RunRecord
from restorekit.statistics import Interval, bootstrap_t_interval

__all__ = ["Change", "Verdict", "changes", "changes_markdown", "ensure_comparable", "judge"]

Verdict = Literal["better", "worse", "within noise", "no interval"]

LEVEL = 0.95


@dataclass(frozen=True)
class Change:
    """One model under one metric, now and before, over the images that both reports have."""

    model: str
    metric: MetricInfo
    images: int
    before: float
    now: float
    difference: float
    """Mean over the images of now minus before, in the metric's unit."""
    interval: Interval | None
    """Of the difference, 95 %; None where the data bound nothing, or pixels are pooled."""

    @property
    def shows(self) -> bool:
        """Whether the difference shows at the decimals that tables print; one that is undefined does."""
        return not abs(self.difference) < self._least

    @property
    def verdict(self) -> Verdict:
        """What the difference and its interval say."""
        return judge(self.difference, self.interval, higher_is_better=self.metric.higher_is_better, least=self._least)

    @property
    def _least(self) -> float:
        return 0.5 * 10.0**-self.metric.decimals


def judge(difference: float, interval: Interval | None, *, higher_is_better: bool, least: float = 0.0) -> Verdict:
    """A mean difference (now minus before) in a word; below ``least`` in size it is noise whatever the interval."""
    if interval is None:
        return "no interval"
    if abs(difference) < least or interval.low <= 0.0 <= interval.high:
        return "within noise"
    return "better" if (difference > 0.0) == higher_is_better else "worse"


def ensure_comparable(name: str, before: Report, run: RunRecord, addresses: Sequence[str]) -> None:
    """Refuse to compare with a report of other numbers.

    Args:
        name: of the data set, for the message.
        before: the earlier report.
        run: of now; its degradation, seeds and region count.
        addresses: full addresses of the metrics of now.

    Raises:
        ProtocolError: one of these was otherwise.
    """
    try:
        ensure_same_protocol([*(metric.address for metric in before.metrics), *addresses])
    except ProtocolError as error:
        raise ProtocolError(f"{name}, compared with the earlier result: {error}") from None
    for what in ("degradation", "seed", "seeds", "region"):
        earlier, now = getattr(before.run, what), getattr(run, what)
        if earlier != now:
            raise ProtocolError(
                f"{name}: expected the {what} of the earlier result, {earlier!r}, got {now!r}; "
                "compare with a result of the same suite"
            )


def changes(now: Report, before: Report) -> list[Change]:
    """Every model under every metric that both reports have, in the order of ``now``."""
    addresses = {metric.address for metric in before.metrics}
    return [
        change
        for metric in now.metrics
        if metric.address in addresses
        for model in now.models
        if (change := _change(now, before, model.name, metric)) is not None
    ]


def changes_markdown(sets: Mapping[str, Sequence[Change]]) -> str:
    """A table with a line for each data set, model and metric that changed, and how many did not."""
    found = [(name, change) for name, of_set in sets.items() for change in of_set]
    changed = [(name, change) for name, change in found if change.shows]
    heading = ("set", "model", "metric", "n", "before", "now", f"difference [{LEVEL:.0%}]", "verdict")
    lines = [_line(heading), _line(["---"] * 3 + ["---:"] * 4 + ["---"])]
    lines += [_line([name, *_cells(change)]) for name, change in changed]
    verdicts = [change.verdict for _, change in changed]
    counts = {verdict: verdicts.count(verdict) for verdict in ("better", "worse", "within noise", "no interval")}
    same = len(found) - len(changed)
    told = [f"{count} {verdict}" for verdict, count in counts.items() if count]
    told += [f"{same} of {len(found)} did not change at the decimals shown"] if same else []
    lines = [*(lines if changed else []), "", ", ".join(told) or "nothing in common"]
    addresses = dict.fromkeys(change.metric.address for _, change in found)
    return "\n".join([*lines, "", *(f"- `{address}`" for address in addresses)]).lstrip()


def _change(now: Report, before: Report, model: str, metric: MetricInfo) -> Change | None:
    first, second = _values(before, model, metric), _values(now, model, metric)
    images = [image for image in second if image in first]
    if not images:
        return None
    pooled = metric.protocol.average == "pooled"
    weights = [second[image][1] for image in images] if pooled else None
    means = [
        aggregate([values[image][0] for image in images], metric.protocol, weights=weights)
        for values in (first, second)
    ]
    differences = [_minus(second[image][0], first[image][0]) for image in images]
    return Change(
        model,
        metric,
        len(images),
        means[0],
        means[1],
        _minus(means[1], means[0]) if pooled else sum(differences) / len(differences),
        None if pooled else bootstrap_t_interval(differences, level=LEVEL),
    )


def _values(report: Report, model: str, metric: MetricInfo) -> dict[str, tuple[float, float]]:
    """Score and megapixels by image; the undefined ones left out."""
    found = {
        score.image: (score.scores.get(metric.address, math.nan), score.megapixels)
        for score in report.scores
        if score.model == model
    }
    return {image: pair for image, pair in found.items() if not math.isnan(pair[0])}


def _minus(now: float, before: float) -> float:
    """now - before; equal values, two infinities too, differ by nothing."""
    return 0.0 if now == before else now - before


def _cells(change: Change) -> Iterator[str]:
    digits = change.metric.decimals
    yield change.model
    yield change.metric.name
    yield str(change.images)
    yield f"{change.before:.{digits}f}"
    yield f"{change.now:.{digits}f}"
    within = (
        "" if change.interval is None else f" [{change.interval.low:.{digits}f}, {change.interval.high:.{digits}f}]"
    )
    yield f"{change.difference:+.{digits}f}{within}"
    yield change.verdict


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
