"""Whether a degraded image is what its label says: benchmark sets are not always.

The published zero-shot "sigma 30" sets, for example, hold noise of sigma 12.5 that is not white: it was added before
the photos were made smaller. With the clean photo at hand the noise is measured on the difference, otherwise blind.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from restorekit.core.degradation.base import Degradation, DegradationTerm
from restorekit.core.degradation.blur import GaussianBlur
from restorekit.core.degradation.chain import Chain, Mixture, parse_degradation
from restorekit.core.degradation.haze import Haze
from restorekit.core.degradation.jpeg import Jpeg
from restorekit.core.degradation.noise import GaussianNoise
from restorekit.core.image.convention import Samples, convert_depth
from restorekit.diagnosis.compression import measure_jpeg
from restorekit.diagnosis.noise import NoiseReading, measure_noise
from restorekit.diagnosis.scene import measure_haze
from restorekit.diagnosis.sharpness import measure_blur
from restorekit.diagnosis.view import Views, look_at
from restorekit.errors import ImageError, UsageError

__all__ = ["Audit", "audit"]

SIGMA_TOLERANCE = 0.1
"""Relative; the median error of the blind reading is below 0.05, that of the difference below 0.01."""
WHITE_CORRELATION = 0.1
"""Autocorrelation above which noise is not white; blind readings of white noise stay below 0.1."""
SURE = 0.7
"""Confidence from which a blind reading contradicts a label."""
UNNOTICED_SIGMA = 3.0
"""Noise, in grey levels, that a label may leave out."""
CLIPPED_SHARE = 0.001
BLUR_TOLERANCE_PX = 0.5
UNNOTICED_BLUR_PX = 0.6
LEAST_HAZE = 0.05
"""Rise of the dark-channel density that any haze causes."""
MIDDLE = (0.3, 0.7)
"""Clean values at which noise of up to 50 grey levels is hardly clipped."""


@dataclass(frozen=True)
class Audit:
    """What a degraded image really holds."""

    sigma: float
    """Standard deviation of the noise in grey levels of 255; with a reference, of everything that differs."""
    correlation: float
    """Autocorrelation of that noise at a lag of 1 px, mean of both directions; 0 for white noise."""
    source: Literal["difference", "blind"]
    """Whether sigma and correlation come from the difference to the reference."""
    clipped: float
    """Share of samples at 0 or 1."""
    blur_px: float
    """Width of the sharp edges as the deviation of a Gaussian, in px."""
    haze: float
    """Dark-channel density, in [0, 1]."""
    jpeg: int | None
    """JPEG quality that the pixels still show."""
    problems: tuple[str, ...]
    """One line for each thing that is not as the label says; empty where all agrees."""


def audit(degraded: Samples, clean: Samples | None = None, label: str | None = None) -> Audit:
    """Measure a degraded image and compare it with its label.

    Args:
        degraded: (height, width, 1 or 3) samples.
        clean: its reference, same shape.
        label: a degradation, such as ``noise:sigma=25``; None measures only. Numbers may be ranges.

    Raises:
        ImageError: images of different shape, or smaller than 32x32 px.
        SpecError: the label cannot be read.
        UsageError: the label is a mixture (``a|b``), so nothing says what this image should hold.
    """
    if clean is not None and clean.shape != degraded.shape:
        raise ImageError(f"audit: expected a reference of shape {degraded.shape}, got {clean.shape}; crop or resize it")
    terms = _terms(parse_degradation(label)) if label is not None else None
    views = look_at(degraded)
    reference = None if clean is None else look_at(clean)
    noise = measure_noise(views.windows)
    sigma, correlation = (noise.sigma, noise.correlation) if clean is None else _difference(degraded, clean)
    facts = Audit(
        sigma=sigma,
        correlation=correlation,
        source="blind" if clean is None else "difference",
        clipped=noise.clipped,
        blur_px=measure_blur(views.windows).sigma_px,
        haze=measure_haze(views.overview).density,
        jpeg=measure_jpeg(views.windows).quality,
        problems=(),
    )
    if terms is None:
        return facts
    problems = (*_noise_problems(facts, noise, terms), *_other_problems(facts, reference, terms))
    return Audit(**{**vars(facts), "problems": problems})


def _terms(degradation: Degradation) -> tuple[Degradation, ...]:
    if isinstance(degradation, Mixture):
        raise UsageError(f"label: expected one chain, got the mixture {degradation.spec}; audit each part by itself")
    return degradation.terms if isinstance(degradation, Chain) else (degradation,)


def _difference(degraded: Samples, clean: Samples) -> tuple[float, float]:
    """Standard deviation in grey levels and autocorrelation at 1 px of ``degraded - clean``, where clean is mid-tone.

    Without mid-tones (less than one pixel in ten) everywhere.
    """
    left, right = (convert_depth(samples, np.float32).astype(np.float64) for samples in (degraded, clean))
    difference = left - right
    middle = (right > MIDDLE[0]) & (right < MIDDLE[1])
    if middle.mean() < 0.1:
        middle = np.ones_like(middle)
    difference -= difference[middle].mean()
    variance = float(np.square(difference[middle]).mean())
    if variance == 0:
        return 0.0, 0.0
    lagged = [_lagged(difference, middle, axis) for axis in (0, 1)]
    return float(np.sqrt(variance)) * 255, float(np.mean(lagged)) / variance


def _lagged(difference: npt.NDArray[np.float64], chosen: npt.NDArray[np.bool_], axis: int) -> float:
    """Mean product of neighbours along ``axis``, over pairs that are both chosen."""
    last = difference.shape[axis]
    here, there = (np.take(difference, range(*ends), axis=axis) for ends in ((0, last - 1), (1, last)))
    both = np.take(chosen, range(last - 1), axis=axis) & np.take(chosen, range(1, last), axis=axis)
    return float((here * there)[both].mean()) if both.any() else 0.0


def _noise_problems(facts: Audit, blind: NoiseReading, terms: tuple[Degradation, ...]) -> list[str]:
    labelled = [term for term in terms if isinstance(term, GaussianNoise)]
    sure = facts.source == "difference" or blind.confidence >= SURE
    if not labelled:
        loud = blind.white and blind.confidence >= SURE and blind.sigma > UNNOTICED_SIGMA
        others = any(isinstance(term, DegradationTerm) and term.name in ("camera", "low_light") for term in terms)
        return (
            [f"noise: expected none, got sigma {blind.sigma:.1f}; name it in the label"] if loud and not others else []
        )
    problems = []
    (term,) = labelled[:1]
    low, high = term.sigma.low, term.sigma.high
    alone = len(terms) == 1  # whatever follows the noise changes it, and the label says so
    outside = facts.sigma < low * (1 - SIGMA_TOLERANCE) or facts.sigma > high * (1 + SIGMA_TOLERANCE)
    if alone and outside and (sure or facts.correlation > WHITE_CORRELATION):
        problems.append(
            f"noise: expected sigma {term.sigma}, got {facts.sigma:.1f} with autocorrelation {facts.correlation:.2f}; "
            "was the photo resized or filtered after the noise was added?"
        )
    elif alone and term.correlation.high == 0 and abs(facts.correlation) > WHITE_CORRELATION and sure:
        problems.append(f"noise: expected white noise, got autocorrelation {facts.correlation:.2f} at 1 px")
    if alone and not term.clip and facts.clipped > CLIPPED_SHARE:
        problems.append(f"noise: expected unclipped values, got {facts.clipped:.1%} of the samples at 0 or 1")
    return problems


def _other_problems(facts: Audit, reference: Views | None, terms: tuple[Degradation, ...]) -> list[str]:
    """Blur and haze against the reference's own, and JPEG traces that the label does not name."""
    problems = []
    names = {term.name for term in terms if isinstance(term, DegradationTerm)}
    if facts.jpeg is not None and not any(isinstance(term, Jpeg) for term in terms):
        inherited = reference is not None and measure_jpeg(reference.windows).quality == facts.jpeg
        if not inherited:
            problems.append(f"jpeg: expected no compression, got traces of quality {facts.jpeg}; name it in the label")
    if reference is None or names & {"noise", "camera", "rain", "low_light"}:
        return problems  # noise and streaks have edges of their own
    before = measure_blur(reference.windows).sigma_px
    added = float(np.sqrt(max(facts.blur_px**2 - before**2, 0)))
    for term in terms:
        if isinstance(term, GaussianBlur):
            low, high = term.sigma.low - BLUR_TOLERANCE_PX, term.sigma.high + BLUR_TOLERANCE_PX
            if not low <= added <= high:
                problems.append(f"blur: expected sigma {term.sigma} px, got {added:.1f} px more than the reference")
    if not names & {"blur", "motion", "defocus", "resample", "jpeg"} and added > UNNOTICED_BLUR_PX:
        problems.append(f"blur: expected none, got {added:.1f} px more than the reference; name it in the label")
    if any(isinstance(term, Haze) for term in terms):
        rise = facts.haze - measure_haze(reference.overview).density
        if rise < LEAST_HAZE:
            problems.append(f"haze: expected some, got a density only {rise:.2f} above the reference's")
    return problems
