"""What is wrong with one photo: every measurement with its confidence, a verdict, and the model that fits."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from restorekit.core.image.convention import Samples
from restorekit.core.image.files import SourceImage, read_image
from restorekit.core.image.samples import is_sample
from restorekit.diagnosis.compression import JpegReading, Tables, measure_jpeg, quality_of_tables
from restorekit.diagnosis.noise import NoiseReading, measure_noise
from restorekit.diagnosis.rain import measure_streaks
from restorekit.diagnosis.scene import CastReading, ExposureReading, measure_cast, measure_exposure, measure_haze
from restorekit.diagnosis.sharpness import BlurReading, measure_blur
from restorekit.diagnosis.verdict import CAST, MODELS, Readings, features_of, packaged_verdict
from restorekit.diagnosis.view import look_at
from restorekit.errors import ImageError

__all__ = ["Diagnosis", "HazeEstimate", "RainEstimate", "diagnose", "take_readings"]


@dataclass(frozen=True)
class HazeEstimate:
    """Haze of a photo."""

    density: float
    """Share of the light that is haze, by the dark channel, in [0, 1]; white scenes read high, too."""
    airlight: tuple[float, float, float]
    """Colour of the haze, in [0, 1]."""
    confidence: float
    """0 to 1: the verdict's probability that haze is the trouble, or that it is not."""


@dataclass(frozen=True)
class RainEstimate:
    """Rain streaks of a photo."""

    likelihood: float
    """The verdict's probability of rain, in [0, 1]."""
    direction: float
    """Of the clearest bright lines, in degrees from vertical."""
    confidence: float
    """0 to 1: how far the likelihood is from undecided."""


@dataclass(frozen=True)
class Diagnosis:
    """Everything measured on one photo."""

    problem: str
    """noise, rain, haze, low_light, blur, jpeg, colour_cast or clean: what shows most."""
    confidence: float
    """Probability of ``problem``, in [0, 1]; of a colour cast, the confidence of its reading."""
    probabilities: dict[str, float]
    """Of every problem but a colour cast, which is named only where ``clean`` is the most probable; they sum to 1."""
    model: str | None
    """The model that fits; None: leave the photo as it is."""
    noise: NoiseReading
    jpeg: JpegReading
    blur: BlurReading
    exposure: ExposureReading
    colour_cast: CastReading
    haze: HazeEstimate
    rain: RainEstimate

    def as_record(self) -> dict[str, Any]:
        """For JSON: plain types only, without the arrays that only the verdict reads."""
        record = asdict(self)
        del record["blur"]["slopes"], record["exposure"]["quantiles"]
        return record


def diagnose(image: str | Path | SourceImage | Samples) -> Diagnosis:
    """Measure what is wrong with one photo, without a reference.

    Args:
        image: a path (a JPEG's own tables then tell its quality), a ``sample:`` name, what ``read_image`` gave, or
            (height, width, 1 or 3) samples of uint8, uint16 or float32 in [0, 1].

    Raises:
        ImageError: it cannot be read, is smaller than 32x32 px, or not finite.
    """
    if isinstance(image, str | Path):
        samples, tables = read_image(image).samples, _tables(image)
    else:
        samples, tables = image.samples if isinstance(image, SourceImage) else image, None
    readings = take_readings(samples)
    jpeg = readings.jpeg
    if tables:
        jpeg = replace(jpeg, quality=quality_of_tables(tables), source="tables", confidence=1.0)
    probabilities = packaged_verdict().probabilities(features_of(readings))
    problem = max(probabilities, key=lambda name: probabilities[name])
    confidence = probabilities[problem]
    if problem == "clean" and readings.cast.clear:
        problem, confidence = CAST, readings.cast.confidence
    rain, haze = probabilities["rain"], probabilities["haze"]
    return Diagnosis(
        problem=problem,
        confidence=confidence,
        probabilities=probabilities,
        model=MODELS[problem],
        noise=readings.noise,
        jpeg=jpeg,
        blur=readings.blur,
        exposure=readings.exposure,
        colour_cast=readings.cast,
        haze=HazeEstimate(readings.haze.density, readings.haze.airlight, max(haze, 1 - haze)),
        rain=RainEstimate(rain, readings.streaks.direction, abs(2 * rain - 1)),
    )


def take_readings(samples: Samples) -> Readings:
    """All measurements of (height, width, 1 or 3) samples; JPEG quality from the pixels.

    Raises:
        ImageError: smaller than 32x32 px, not finite, or of another shape.
    """
    if samples.ndim != 3 or samples.shape[2] not in (1, 3):
        raise ImageError(f"diagnose: expected samples of shape (height, width, 1 or 3), got {samples.shape}")
    views = look_at(samples)
    return Readings(
        noise=measure_noise(views.windows),
        jpeg=measure_jpeg(views.windows),
        blur=measure_blur(views.windows),
        exposure=measure_exposure(views.overview),
        cast=measure_cast(views.overview),
        haze=measure_haze(views.overview),
        streaks=measure_streaks(views.overview),
    )


def _tables(path: str | Path) -> Tables | None:
    """The quantisation tables of a JPEG file; None for other files."""
    from PIL import Image

    if is_sample(str(path)):
        return None
    with Image.open(path) as image:
        return getattr(image, "quantization", None) or None
