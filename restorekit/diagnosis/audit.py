"""Whether a degraded image is what its label says: benchmark sets are not always.

The published zero-shot "sigma 30" sets, for example, hold noise of sigma 12.5 that is not white: it was added before
the photos were made smaller. With the clean photo at hand the noise is measured on the difference, otherwise blind.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from restorekit.core.degradation.base import Degradation, DegradationTerm
from restorekit.core.degradation.blur import GaussianBlur
from restorekit.core.degradation.chain import Chain, Mixture, parse_degradation
from restorekit.core.degradation.haze import Haze
from restorekit.core.degradation.jpeg import Jpeg
from restorekit.core.degradation.noise import GaussianNoise
from restorekit.core.image.convention import Samples
from restorekit.diagnosis.compression import measure_jpeg
from restorekit.diagnosis.difference import measure_difference
from restorekit.diagnosis.noise import NoiseReading, measure_noise
from restorekit.diagnosis.scene import measure_haze
from restorekit.diagnosis.sharpness import measure_blur
from restorekit.diagnosis.view import Views, look_at
from restorekit.errors import ImageError, UsageError

__all__ = ["Audit", "audit"]

SIGMA_TOLERANCE = 0.1
"""Relative, of the difference, and of a blind reading that is too low; the median errors are below 0.01 and 0.05."""
WHITE_CORRELATION = 0.1
"""Autocorrelation of the difference above which noise is not white."""
SURE = 0.7
"""Confidence from which a blind reading contradicts a label."""
TEXTURE_SIGMA = 3.0
"""Texture only adds to a blind reading, and correlates it: so many times the correlation is the relative excess that
texture may explain. Fitted on CBSD68 with white noise; 2.0 is enough from sigma 15 on."""
TEXTURE_CORRELATION = ((5, 15, 25, 50), (0.33, 0.26, 0.22, 0.14))
"""Sigmas, and the blind correlation that texture may explain; white noise on CBSD68: 0.31, 0.25, 0.22, 0.12 at most."""
DROWNED_SIGMA = 10
"""Noise weaker than this may be hidden by texture that looks like noise which is not white."""
UNNOTICED_SIGMA = 3.0
"""Noise, in grey levels, that a label may leave out."""
CLIPPED_SHARE = 0.001
BLUR_TOLERANCE_PX = 0.5
UNNOTICED_BLUR_PX = 0.6
LEAST_HAZE = 0.05
"""Rise of the dark-channel density that any haze causes."""


@dataclass(frozen=True)
class Audit:
    """What a degraded image really holds."""

    sigma: float
    """Standard deviation of the noise in grey levels of 255, before clipping; with a reference, of all that differs."""
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
    sigma, correlation = (noise.sigma, noise.correlation) if clean is None else measure_difference(degraded, clean)
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


def _noise_problems(facts: Audit, blind: NoiseReading, terms: tuple[Degradation, ...]) -> list[str]:
    labelled = [term for term in terms if isinstance(term, GaussianNoise)]
    if not labelled:
        loud = blind.white and blind.confidence >= SURE and blind.sigma > UNNOTICED_SIGMA
        others = any(isinstance(term, DegradationTerm) and term.name in ("camera", "low_light") for term in terms)
        return (
            [f"noise: expected none, got sigma {blind.sigma:.1f}; name it in the label"] if loud and not others else []
        )
    if len(terms) > 1:
        return []  # whatever follows the noise changes it, and the label says so
    problems = []
    (term,) = labelled
    wrong_sigma, coloured = _contradicted(facts, term) if facts.source == "difference" else _doubted(blind, term)
    if wrong_sigma:
        problems.append(
            f"noise: expected sigma {term.sigma}, got {facts.sigma:.1f} with autocorrelation {facts.correlation:.2f}; "
            "was the photo resized or filtered after the noise was added?"
        )
    elif coloured:
        problems.append(f"noise: expected white noise, got autocorrelation {facts.correlation:.2f} at 1 px")
    if not term.clip and facts.clipped > CLIPPED_SHARE:
        problems.append(f"noise: expected unclipped values, got {facts.clipped:.1%} of the samples at 0 or 1")
    return problems


def _contradicted(facts: Audit, term: GaussianNoise) -> tuple[bool, bool]:
    """Whether the difference to the reference has another sigma, and whether it is not as white, as the label says."""
    low, high = term.sigma.low * (1 - SIGMA_TOLERANCE), term.sigma.high * (1 + SIGMA_TOLERANCE)
    coloured = term.correlation.high == 0 and abs(facts.correlation) > WHITE_CORRELATION
    return not low <= facts.sigma <= high, coloured


def _doubted(blind: NoiseReading, term: GaussianNoise) -> tuple[bool, bool]:
    """The same by the degraded photo alone, where no texture explains it.

    Noise that the label calls correlated is not judged: texture cannot be told from it.
    """
    if term.correlation.high > 0:
        return False, False
    sigma = term.sigma
    if not blind.white:
        return blind.sigma < sigma.low * (1 - SIGMA_TOLERANCE), sigma.low >= DROWNED_SIGMA
    if blind.confidence < SURE:
        return False, False
    most = sigma.high * (1 + SIGMA_TOLERANCE + TEXTURE_SIGMA * max(blind.correlation, 0.0))
    explained = float(np.interp(sigma.low, *TEXTURE_CORRELATION))
    return not sigma.low * (1 - SIGMA_TOLERANCE) <= blind.sigma <= most, abs(blind.correlation) > explained


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
