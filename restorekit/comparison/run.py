"""Every photo through every restorer: ``compare_subjects``."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np

from restorekit import __version__
from restorekit.comparison.auditing import audit_subject, checked_label
from restorekit.comparison.checkout import Checkout, running_checkout
from restorekit.comparison.cost import measure_cost
from restorekit.comparison.journal import Journal, digest_of
from restorekit.comparison.options import ComparisonOptions
from restorekit.comparison.rows import Region, Row, build_rows, centred_region, reason_of, restore_row
from restorekit.comparison.subjects import Subject, centre_of
from restorekit.core.image.convention import Images, from_images, to_images
from restorekit.core.metric.base import Metric, make_metric
from restorekit.core.metric.protocol import aggregate
from restorekit.core.placement import resolve_device, resolve_precision
from restorekit.errors import ImageError, UsageError
from restorekit.report.record import (
    CLEAN,
    ImageScore,
    InputAudit,
    Machine,
    MetricInfo,
    ModelInfo,
    Picture,
    Report,
    RunRecord,
)
from restorekit.zoo import model_identity

__all__ = ["compare_subjects"]

OnStep = Callable[[str, str], None]


def compare_subjects(
    subjects: Iterator[Subject],
    models: Sequence[str],
    options: ComparisonOptions,
    *,
    degradation: str | None = None,
    on_step: OnStep | None = None,
) -> Report:
    """Restore and measure every subject with every restorer.

    A restorer that raises, on one photo or on all, ends nothing: its record says what it raised (``Report.failures``).

    Args:
        subjects: photos, read as they are needed.
        models: model texts beyond the input and the classical rows; a classical one named here is always shown.
        options: metrics, protocol, device, seeds, crop, region, journal.
        degradation: the spec the subjects were made with, for the record.
        on_step: called before each restoration with (image, model); not for what the journal remembers.

    Raises:
        UsageError: no subjects, unknown models, metrics or devices, a metric that needs a reference without one.
    """
    if options.seeds < 1:
        raise UsageError(f"seeds: expected at least 1, got {options.seeds}")
    run = _Run(build_rows(models, options), options, on_step, label=checked_label(options.label or degradation))
    device = resolve_device(options.device)
    started = datetime.now(UTC)
    checkout = running_checkout()
    run.journal = Journal(options.journal, _identity(run.rows, options, degradation, checkout))
    try:
        for index, subject in enumerate(subjects):
            if index == 0:
                run.metrics = _metrics(options, has_reference=subject.clean is not None)
            _measure(subject, run, keep=index < options.pictures)
    finally:
        run.journal.close()
    if not run.scores:
        raise UsageError("compare: expected at least one photo, got none")
    record = RunRecord(
        version=__version__,
        commit=checkout.commit,
        modified=checkout.modified,
        command=options.command or "restorekit.compare(...)",
        time=started,
        machine=Machine.here(),
        device=str(device),
        precision=resolve_precision(options.precision, device),
        seed=options.seed,
        seeds=options.seeds,
        degradation=degradation,
        region=run.region,
        inputs=tuple(dict.fromkeys(score.image for score in run.scores)),
    )
    return Report(
        run=record,
        metrics=tuple(_describe(metric) for metric in run.metrics),
        models=tuple(_finished(row, run) for row in run.rows),  # before the notes, which it may add to
        scores=tuple(run.scores),
        audits=tuple(run.audits),
        notes=tuple(dict.fromkeys(run.notes)),
        pictures=run.pictures,
    )


@dataclass
class _Run:
    """Who takes part, and what has been collected so far."""

    rows: list[Row]
    options: ComparisonOptions
    on_step: OnStep | None
    journal: Journal = field(default_factory=lambda: Journal(None, {}))
    metrics: list[Metric] = field(default_factory=list)
    scores: list[ImageScore] = field(default_factory=list)
    pictures: dict[str, dict[str, Picture]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    region: str | None = None
    label: str | None = None
    """What the degraded photos are said to be."""
    audits: list[InputAudit] = field(default_factory=list)
    draws: dict[str, bool] = field(default_factory=dict)
    """Whether a model gives another answer to another seed, as its first photo showed."""


def _metrics(options: ComparisonOptions, *, has_reference: bool) -> list[Metric]:
    texts = list(options.metrics) or (["psnr", "ssim"] if has_reference else ["niqe"])
    metrics = [make_metric(text, preset=options.preset) for text in texts]
    blind = [metric.address for metric in metrics if metric.needs_reference and not has_reference]
    if blind:
        raise UsageError(
            f"--metric: expected metrics without reference, got {', '.join(blind)}; add --clean REF or --degrade SPEC"
        )
    return metrics


def _measure(whole: Subject, run: _Run, *, keep: bool) -> None:
    """All rows of one photo."""
    subject = centre_of(whole, run.options.crop_px)
    if subject is not whole:
        run.region = f"cut to the centre, at most {run.options.crop_px} px a side"
    region = centred_region(subject.degraded.shape[0], subject.degraded.shape[1], run.options.region_megapixels)
    height, width = (axis.stop - axis.start for axis in region)
    if (height, width) != subject.degraded.shape[:2]:
        run.region = f"centred, at most {run.options.region_megapixels:.3g} million px of an image"
    run.notes += [f"{subject.name}: {warning}" for warning in subject.warnings]
    clean = to_images(subject.clean[region]) if subject.clean is not None else None
    if run.label and (audited := audit_subject(subject, region, run.label)):
        run.audits.append(audited)
    pictures: dict[str, Picture] = {} if clean is None else {CLEAN: _picture(clean)}
    digest = digest_of(subject) if run.options.journal else ""
    for row in (row for row in run.rows if not row.info.failed):
        score, picture = run.journal.find(digest, row.info.name), run.journal.picture(digest, row.info.name)
        if score is None or (keep and picture is None):
            if run.on_step:
                run.on_step(subject.name, row.info.name)
            score, picture = _attempt(row, subject, region, clean, run)
            if not score.failed:  # what failed is tried again by whoever goes on
                run.journal.add(digest, score, picture if keep else None)
        if not score.failed:
            run.draws.setdefault(row.info.name, bool(score.by_seed))
        run.scores.append(score)
        if keep and picture is not None:
            pictures[row.info.name] = picture
    if keep:
        run.pictures[subject.name] = pictures


def _attempt(
    row: Row, subject: Subject, region: Region, clean: Images | None, run: _Run
) -> tuple[ImageScore, Picture | None]:
    """``_restore_and_score``, or what the restorer raised."""
    try:
        return _restore_and_score(row, subject, region, clean, run)
    except Exception as error:  # a restorer may run anybody's code, and run out of memory
        if row.restorer is not None:
            megapixels = subject.degraded.shape[0] * subject.degraded.shape[1] / 1e6
            reason = reason_of(row.info.name, error)
            return ImageScore(image=subject.name, model=row.info.name, megapixels=megapixels, failed=reason), None
        if isinstance(error, ImageError):  # the photo itself cannot be measured
            raise ImageError(f"{subject.name}: {error}") from error
        raise


def _restore_and_score(
    row: Row, subject: Subject, region: Region, clean: Images | None, run: _Run
) -> tuple[ImageScore, Picture]:
    """One photo by one row, with every seed if its answer depends on it; the picture is that of the first seed."""
    first = restore_row(row, subject, region, run.options)
    by_seed = [_scores(first.restored, clean, run.metrics)]
    seconds = [first.seconds]
    turns = run.options.seeds if row.info.kind == "model" and run.draws.get(row.info.name, True) else 1
    for turn in range(1, turns):
        answer = restore_row(row, subject, region, run.options, turn=turn)
        if turn == 1 and row.info.name not in run.draws and bool((answer.restored == first.restored).all()):
            break
        by_seed.append(_scores(answer.restored, clean, run.metrics))
        seconds.append(answer.seconds)
    times = [time for time in seconds if time is not None]
    score = ImageScore(
        image=subject.name,
        model=row.info.name,
        scores={m.address: aggregate([one[m.address] for one in by_seed], m.protocol) for m in run.metrics},
        by_seed=tuple(by_seed) if len(by_seed) > 1 else (),
        seconds=sum(times) / len(times) if times else None,
        peak_bytes=first.peak_bytes,
        megapixels=first.pixels / 1e6,
        warnings=first.warnings,
    )
    return score, _picture(first.restored)


def _scores(restored: Images, clean: Images | None, metrics: Sequence[Metric]) -> dict[str, float]:
    return {metric.address: float(metric.score(restored, clean)) for metric in metrics}


def _finished(row: Row, run: _Run) -> ModelInfo:
    """The row's record with what it costs; after all photos, because a restorer may remember what it has seen."""
    failed = [score.failed for score in run.scores if score.model == row.info.name]
    if failed and all(failed):
        return row.info.model_copy(update={"failed": failed[0]})
    changes: dict[str, Any] = {"stochastic": run.draws.get(row.info.name, False)}
    if run.options.costs and row.restorer is not None and row.info.kind == "model":
        try:
            changes |= asdict(measure_cost(row.restorer))
        except Exception as error:  # as in ``_attempt``
            run.notes.append(f"{row.info.name}: its cost is unknown, a 256x256 px image fails: {error}")
    return row.info.model_copy(update=changes)


def _identity(
    rows: Sequence[Row], options: ComparisonOptions, degradation: str | None, checkout: Checkout
) -> dict[str, Any]:
    """Everything that the numbers depend on, besides the photos."""
    settings = {
        key: value for key, value in asdict(options).items() if key not in ("journal", "command", "costs", "label")
    }
    return settings | {
        "models": [model_identity(row.info.name) for row in rows],
        "degradation": degradation,
        "restorekit": __version__,
        "commit": checkout.commit,
        "changes": checkout.changes,
        "torch": version("torch"),
    }


def _picture(images: Images) -> Picture:
    return from_images(images, np.uint8)


def _describe(metric: Metric) -> MetricInfo:
    return MetricInfo(
        address=metric.address,
        name=metric.name.upper(),
        unit=metric.unit,
        higher_is_better=metric.higher_is_better,
        decimals=metric.decimals,
        needs_reference=metric.needs_reference,
    )
