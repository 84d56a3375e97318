"""What a reader of the table must know: how rows were chosen, what the intervals mean, and why some are missing."""

from collections.abc import Iterator, Sequence

from restorekit.report.columns import ALPHA, FEWEST_IMAGES, LEVEL, RESAMPLES, Cell, Column, corrected
from restorekit.report.record import ModelInfo, Report

__all__ = ["MACS_COUNTER", "footnotes"]

MACS_COUNTER = (
    "GMACs: multiply-accumulates of convolutions and matrix products, attention included, for one image of 256x256 px, "
    "all steps and tiles of the restorer; counted by torch.utils.flop_counter, what runs outside of PyTorch is not"
)


def footnotes(
    report: Report,
    columns: Sequence[Column],
    rows: Sequence[tuple[ModelInfo, tuple[Cell, ...]]],
    classical: Sequence[ModelInfo],
    *,
    shown: int,
) -> tuple[str, ...]:
    """All notes, in the order to print them.

    Args:
        report: where the numbers come from.
        columns: of each of its metrics.
        rows: those of the table, the input first.
        classical: the restorers that were always measured, best first.
        shown: how many of them are rows.
    """
    return (
        *_choice_note(report, shown, len(classical)),
        *_interval_notes(report, [cell for _, cells in rows[1:] for cell in cells]),
        *_seed_note(report, [cell for _, cells in rows for cell in cells]),
        *_rival_notes(report, columns, classical),
        *(note for column in columns for note in _left_out_note(column, len(report.images))),
        *_cost_notes(report, [model for model, _ in rows]),
        *(
            f"{m.name}: GT-MEAN scales every answer to the reference's brightness: not a blind score"
            for m in report.metrics
            if m.protocol.gt_mean
        ),
        *report.failures,
        *(f"{score.model} on {score.image}: {line}" for score in report.scores for line in score.warnings),
        *report.notes,
        f"measured with {report.run.code}",
    )


def _choice_note(report: Report, shown: int, total: int) -> Iterator[str]:
    if shown < total:
        name = next(metric.name for metric in report.metrics if metric.needs_reference)
        yield (
            f"best {shown} of {total} classical restorers by mean {name} on these images "
            "(chosen with the reference; an upper bound for a blind user); all are in scores.csv and report.json"
        )


def _interval_notes(report: Report, cells: Sequence[Cell]) -> Iterator[str]:
    differing = [cell for cell in cells if cell.difference is not None]
    count = max((cell.images for cell in differing), default=0)
    pooled = [metric.name for metric in report.metrics if metric.protocol.average == "pooled"]
    start = report.input.name
    if any(cell.interval for cell in differing):
        yield (
            f"[low, high]: {LEVEL:.0%} paired bootstrap-t interval of the mean difference to {start} over "
            f"{count} images ({RESAMPLES} resamples); wins: share of images better than {start}, ties half"
        )
    if any(cell.against_input.p_value is not None for cell in differing):
        asked = sum(model.kind == "model" or model.asked for model in report.models)
        always = sum(model.kind == "classical" and not model.asked for model in report.models)
        families = [f"{always} classical restorers"] * (always > 0) + [f"{asked} asked for"] * (asked > 0)
        yield (
            f"p: paired sign-flip permutation test, two-sided, Holm-corrected per metric over the "
            f"{' and over the '.join(families)}; n.s.: not significant, p > {ALPHA:g} or an interval that holds 0"
        )
    for needs in sorted({n for cell in differing if (n := cell.against_input.needs) is not None}):
        yield (
            f"n<{needs}: too few images to tell, p > {ALPHA:g} after the correction whatever the differences; "
            f"{needs} images would be needed"
        )
    if pooled:
        yield f"{', '.join(pooled)}: pooled over all pixels of all images, not paired by image: no interval"
    elif any(cell.interval is None for cell in differing):
        if count < FEWEST_IMAGES:
            few = "" if count == 1 else f" and no test ({FEWEST_IMAGES} images are the fewest for either)"
            yield f"n={count}: no interval{few}"
        else:
            yield "no interval where a score is infinite, or where one image carries the whole difference"


def _seed_note(report: Report, cells: Sequence[Cell]) -> Iterator[str]:
    if any(cell.spread is not None for cell in cells):
        drawing = ", ".join(model.name for model in report.models if model.stochastic)
        yield (
            f"±: standard deviation, over {report.run.seeds} seeds, of the mean over the images; {drawing}: "
            "every score is the mean over the seeds, the others gave the same answer to another seed"
        )


def _rival_notes(report: Report, columns: Sequence[Column], classical: Sequence[ModelInfo]) -> Iterator[str]:
    """What each learned model is worth beyond the best that needs no learning, by the metric that ranked them."""
    for metric, column in zip(report.metrics, columns, strict=True):
        if not metric.needs_reference or not classical or metric.protocol.average == "pooled":
            continue
        rival = classical[0].name
        found = {
            model.name: against
            for model in report.models
            if model.kind == "model" and (against := column.difference(model.name, rival)).mean is not None
        }
        for name, against in zip(found, corrected(list(found.values()), column.images), strict=True):
            within = f" [{against.interval.low:.2f}, {against.interval.high:.2f}]" if against.interval else ""
            unit = f" {metric.unit}" if metric.unit else ""
            yield (
                f"{metric.name}, {name} minus {rival} (the best classical restorer on these images): "
                f"{against.mean:+.2f}{unit}{within} {against.doubt}".rstrip()
            )
        return


def _left_out_note(column: Column, total: int) -> Iterator[str]:
    if left_out := column.left_out:
        names = ", ".join(left_out[:3]) + (f" and {len(left_out) - 3} more" if len(left_out) > 3 else "")
        yield (
            f"{column.metric.name}: over {total - len(left_out)} of {total} images; "
            f"without {names}, where a restorer has no value"
        )


def _cost_notes(report: Report, models: Sequence[ModelInfo]) -> Iterator[str]:
    names = {model.name for model in models}
    if any(model.macs for model in models):
        yield MACS_COUNTER
    if any(score.peak_bytes is not None for score in report.scores if score.model in names):
        held = (
            "PyTorch's allocator, weights included"
            if report.run.device.startswith("cuda")
            else "what the process grew by while it restored; weights count with the first image"
        )
        yield f"peak: most memory that one image took, {held}"
    for model in models:
        parts = []
        if model.parameters_total and model.parameters and model.parameters_total > model.parameters:
            parts.append(f"{model.parameters:,} of {model.parameters_total:,} weights are used")
        if model.parameters_prior:
            parts.append(f"{model.parameters_prior:,} of the weights are those of a frozen prior")
        if parts:
            yield f"{model.name}: {'; '.join(parts)}"
