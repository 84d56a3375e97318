"""The same photos through several restorers, measured under one protocol: ``compare`` makes a ``Report``.

- Every restorer sees the same degraded pixels, in memory and as drawn: no file clips noise that leaves [0, 1].
- The degraded input and all classical restorers are always among the rows.
- Scores are taken on at most ``region_megapixels`` of an image, the same centred region for every row; classical
  restorers run on that region only, so that a large photo does not make their rows cost minutes.
"""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np

from restorekit import __version__
from restorekit.core.classical import CLASSICAL
from restorekit.core.degradation.chain import degrade_images, parse_degradation
from restorekit.core.image.convention import Images, Samples, from_images, to_images
from restorekit.core.image.files import read_image
from restorekit.core.image.pairs import NamedInput, Pair
from restorekit.core.image.tiling import TilingOptions, restore_samples
from restorekit.core.metric.base import Metric, make_metric
from restorekit.core.placement import resolve_device, resolve_precision
from restorekit.core.randomness import derive_seed, generator_for
from restorekit.core.restorer import Restorer
from restorekit.errors import UsageError
from restorekit.report.record import CLEAN, ImageScore, Machine, MetricInfo, ModelInfo, Picture, Report, RunRecord
from restorekit.zoo import load

__all__ = ["INPUT", "ComparisonOptions", "Subject", "compare_subjects", "degraded_subjects", "paired_subjects"]

INPUT = "input"
"""The row of the degraded input itself."""


@dataclass(frozen=True)
class ComparisonOptions:
    """How a comparison is run."""

    metrics: Sequence[str] = ()
    """Metric texts; PSNR and SSIM with a reference, NIQE without, when empty."""
    preset: str | None = None
    """A field's protocol, such as ``kair`` or ``basicsr-y``."""
    classical: Sequence[str] = tuple(CLASSICAL)
    """Short names of the classical restorers that are always measured."""
    device: str = "auto"
    precision: str = "auto"
    seed: int = 0
    tile_px: int | None = None
    region_megapixels: float = 2**20 / 1e6
    """Largest measured region of one image, in millions of pixels; 2^20 px by default."""
    pictures: int = 6
    """How many images are kept as pictures for the contact sheet and the page."""
    command: str = ""
    """What to record as the command of the run."""


@dataclass(frozen=True)
class Subject:
    """One photo to compare on: degraded samples, and the clean ones if there are any."""

    name: str
    degraded: Samples
    clean: Samples | None
    warnings: tuple[str, ...] = ()


def degraded_subjects(inputs: Sequence[NamedInput], spec: str | None, *, seed: int) -> Iterator[Subject]:
    """Photos read one by one; with a spec they are the clean ones and their degraded versions are made here.

    The random numbers come from (seed, name of the photo); degraded samples stay float, as drawn.
    """
    degradation = parse_degradation(spec) if spec else None
    for entry in inputs:
        source = read_image(entry.path)
        if degradation is None:
            yield Subject(entry.name, source.samples, None, source.warnings)
            continue
        clean = to_images(source.samples)
        degraded, _ = degrade_images(clean, degradation, generator=generator_for(seed, entry.name))
        samples = degraded[0].permute(1, 2, 0).numpy()
        yield Subject(entry.name, np.ascontiguousarray(samples), _as_colour(source.samples), source.warnings)


def paired_subjects(pairs: Sequence[Pair]) -> Iterator[Subject]:
    """Degraded photos with their references, as they lie on disk.

    Raises:
        UsageError: the two photos of a pair differ in size.
    """
    for pair in pairs:
        degraded, clean = read_image(pair.degraded), read_image(pair.clean)
        if degraded.samples.shape[:2] != clean.samples.shape[:2]:
            raise UsageError(
                f"{pair.name}: expected degraded and clean of one size, got {degraded.width}x{degraded.height} "
                f"and {clean.width}x{clean.height} px; crop one to the other"
            )
        warnings = (*degraded.warnings, *clean.warnings)
        yield Subject(pair.name, _as_colour(degraded.samples), _as_colour(clean.samples), warnings)


def compare_subjects(
    subjects: Iterator[Subject],
    models: Sequence[str],
    options: ComparisonOptions,
    *,
    degradation: str | None = None,
    on_step: Callable[[str, str], None] | None = None,
) -> Report:
    """Restore and measure every subject with every restorer.

    Args:
        subjects: photos, read as they are needed.
        models: model texts beyond the input and the classical rows; a classical one named here is always shown.
        options: metrics, protocol, device, seed, region.
        degradation: the spec the subjects were made with, for the record.
        on_step: called before each restoration with (image, model).

    Raises:
        UsageError: no subjects, unknown models, metrics or devices, a metric that needs a reference without one.
    """
    rows = _rows(models, options)
    device = resolve_device(options.device)
    started = datetime.now(UTC)
    measured = _Measured(metrics=[], scores=[], pictures={}, notes=[])
    for index, subject in enumerate(subjects):
        if index == 0:
            measured.metrics = _metrics(options, has_reference=subject.clean is not None)
        keep = index < options.pictures
        _measure(subject, rows, options, measured, keep=keep, on_step=on_step)
    if not measured.scores:
        raise UsageError("compare: expected at least one photo, got none")
    record = RunRecord(
        version=__version__,
        commit=_commit(),
        command=options.command or "restorekit.compare(...)",
        time=started,
        machine=Machine.here(),
        device=str(device),
        precision=resolve_precision(options.precision, device),
        seed=options.seed,
        degradation=degradation,
        region=measured.region,
        inputs=tuple(dict.fromkeys(score.image for score in measured.scores)),
    )
    return Report(
        run=record,
        metrics=tuple(_describe(metric) for metric in measured.metrics),
        models=tuple(row.info for row in rows),
        scores=tuple(measured.scores),
        notes=tuple(dict.fromkeys(measured.notes)),
        pictures=measured.pictures,
    )


@dataclass(frozen=True)
class _Row:
    """One restorer of the comparison; None stands for the degraded input."""

    info: ModelInfo
    restorer: Restorer | None


@dataclass
class _Measured:
    """What has been collected so far."""

    metrics: list[Metric]
    scores: list[ImageScore]
    pictures: dict[str, dict[str, Picture]]
    notes: list[str]
    region: str | None = None


def _rows(models: Sequence[str], options: ComparisonOptions) -> list[_Row]:
    """Input, classical rows, then what was asked for; all are built before any work, so that a typo costs nothing."""
    rows = [_Row(ModelInfo(name=INPUT, kind="input", note="the degraded photo itself"), None)]
    asked = dict.fromkeys(models)
    for short in options.classical:
        name = f"classical:{short}"
        if name not in asked:
            rows.append(_Row(ModelInfo(name=name, kind="classical"), load(name, device="cpu")))
    for name in asked:
        restorer = load(name, device=options.device, precision=options.precision)
        kind: Literal["classical", "model"] = "classical" if name.startswith("classical:") else "model"
        rows.append(
            _Row(
                ModelInfo(name=name, kind=kind, asked=True, parameters=getattr(restorer, "parameters", None)), restorer
            )
        )
    return rows


def _metrics(options: ComparisonOptions, *, has_reference: bool) -> list[Metric]:
    texts = list(options.metrics) or (["psnr", "ssim"] if has_reference else ["niqe"])
    metrics = [make_metric(text, preset=options.preset) for text in texts]
    blind = [metric.address for metric in metrics if metric.needs_reference and not has_reference]
    if blind:
        raise UsageError(
            f"--metric: expected metrics without reference, got {', '.join(blind)}; add --clean REF or --degrade SPEC"
        )
    return metrics


def _measure(
    subject: Subject,
    rows: Sequence[_Row],
    options: ComparisonOptions,
    measured: _Measured,
    *,
    keep: bool,
    on_step: Callable[[str, str], None] | None,
) -> None:
    """All rows of one photo."""
    region = centred_region(subject.degraded.shape[0], subject.degraded.shape[1], options.region_megapixels)
    height, width = (axis.stop - axis.start for axis in region)
    if (height, width) != subject.degraded.shape[:2]:
        measured.region = f"centred, at most {options.region_megapixels:.3g} million px of an image"
    measured.notes += [f"{subject.name}: {warning}" for warning in subject.warnings]
    clean = to_images(subject.clean[region]) if subject.clean is not None else None
    pictures: dict[str, Picture] = {} if clean is None else {CLEAN: _picture(clean)}
    for row in rows:
        if on_step:
            on_step(subject.name, row.info.name)
        restored, seconds, pixels = _run(row, subject, region, options)
        values = {metric.address: float(metric.score(restored, clean)) for metric in measured.metrics}
        measured.scores.append(
            ImageScore(image=subject.name, model=row.info.name, scores=values, seconds=seconds, megapixels=pixels / 1e6)
        )
        pictures[row.info.name] = _picture(restored)
    if keep:
        measured.pictures[subject.name] = pictures


Region = tuple[slice, slice]


def _run(row: _Row, subject: Subject, region: Region, options: ComparisonOptions) -> tuple[Images, float | None, int]:
    """The measured region restored by one row, the seconds it took, and how many pixels were restored."""
    inside = subject.degraded[region]
    if row.restorer is None:
        return to_images(inside), None, inside.shape[0] * inside.shape[1]
    local = row.info.kind == "classical" and not row.info.asked
    tiling = TilingOptions(tile_px=options.tile_px, seed=derive_seed(options.seed, subject.name))
    started = time.perf_counter()
    restored = restore_samples(row.restorer, inside if local else subject.degraded, tiling, dtype=np.float32)
    seconds = time.perf_counter() - started
    return to_images(restored if local else restored[region]), seconds, restored.shape[0] * restored.shape[1]


def centred_region(height: int, width: int, megapixels: float) -> Region:
    """The centred window of at most ``megapixels`` million px with the image's own shape.

    >>> centred_region(100, 200, 1.0)
    (slice(0, 100, None), slice(0, 200, None))
    """
    scale = min(1.0, (megapixels * 1e6 / (height * width)) ** 0.5)
    inner = [max(1, int(size * scale)) for size in (height, width)]
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    return slice(top, top + inner[0]), slice(left, left + inner[1])


def _picture(images: Images) -> Picture:
    return from_images(images, np.uint8)


def _as_colour(samples: Samples) -> Samples:
    """Gray as three equal channels."""
    return samples if samples.shape[2] == 3 else samples.repeat(3, axis=2)


def _commit() -> str | None:
    """The commit of the checkout this code runs from; None for an installed package or without git."""
    checkout = Path(__file__).parents[1]
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _describe(metric: Metric) -> MetricInfo:
    return MetricInfo(
        address=metric.address,
        name=metric.name.upper(),
        unit=metric.unit,
        higher_is_better=metric.higher_is_better,
        decimals=metric.decimals,
        needs_reference=metric.needs_reference,
    )
