"""From measurements to a verdict: one multinomial logistic regression on a few features, its weights in verdict.json.

- Weights are fitted by ``benchmarks/fit_diagnosis.py`` on clean photos that our own code degraded.
- A photo may suffer from several troubles; the verdict names the one that shows most.
- A colour cast is no class of the regression: it is named by ``CastReading.clear`` where nothing else is wrong.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from restorekit.diagnosis.compression import JpegReading
from restorekit.diagnosis.noise import NoiseReading
from restorekit.diagnosis.rain import STREAK_FEATURES, StreakReading
from restorekit.diagnosis.scene import CastReading, ExposureReading, HazeReading
from restorekit.diagnosis.sharpness import BlurReading

__all__ = ["CAST", "MODELS", "PROBLEMS", "Readings", "VerdictModel", "features_of", "packaged_verdict"]

CAST = "colour_cast"

MODELS: Mapping[str, str | None] = {
    "noise": "base",
    "rain": "base",
    "haze": "classical:dcp",  # base dehazes only what is hazy beyond doubt: benchmarks/results/dev.md
    "low_light": "base",
    "blur": "base",
    "jpeg": "base",  # not named among what it helps against; on CBSD68 +0.1 to +1.0 dB at qualities 10 to 80
    CAST: "classical:gray_world",
    "clean": None,
}
"""Problem to the model that is proposed; None: leave the photo as it is."""

PROBLEMS = tuple(problem for problem in MODELS if problem != CAST)
"""The classes of the regression."""
WEIGHTS_FILE = "verdict.json"


@dataclass(frozen=True)
class Readings:
    """All measurements of one photo."""

    noise: NoiseReading
    jpeg: JpegReading
    blur: BlurReading
    exposure: ExposureReading
    cast: CastReading
    haze: HazeReading
    streaks: StreakReading


@dataclass(frozen=True)
class VerdictModel:
    """A linear classifier: softmax(weights @ (features - mean) / scale + bias)."""

    names: tuple[str, ...]
    """Features, in the order of the columns."""
    mean: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]
    """(problems, features), in the order of ``PROBLEMS``."""
    bias: npt.NDArray[np.float64]

    def probabilities(self, features: Mapping[str, float]) -> dict[str, float]:
        """One number per problem, summing to 1; features further than 4 deviations from the mean count as 4."""
        values = np.array([features[name] for name in self.names])
        scores = self.weights @ np.clip((values - self.mean) / self.scale, -4, 4) + self.bias
        shares = np.exp(scores - scores.max())
        return dict(zip(PROBLEMS, (shares / shares.sum()).tolist(), strict=True))


def features_of(readings: Readings) -> dict[str, float]:
    """What the verdict looks at, by name; logarithms where ratios matter."""
    noise, blur, exposure, haze = readings.noise, readings.blur, readings.exposure, readings.haze
    features = {
        "noise_level": float(np.log10(noise.sigma + 0.5)),
        "noise_correlation": noise.correlation,
        "noise_agreement": noise.confidence / (1.0 if noise.white else 0.5),
        "white_noise": float(noise.white) * float(np.log10(noise.sigma + 1)),
        "jpeg_loss": 0.0 if readings.jpeg.quality is None else float(np.log2(101 - readings.jpeg.quality)),
        "blockiness": float(np.log10(readings.jpeg.blockiness + 0.01)),
        "edge_width": float(np.log2(blur.sigma_px + 0.3)),
        "elongation": float(np.log2(blur.elongation)),
        "brightness": float(np.log2(exposure.mean + 0.02)),
        "dark_share": exposure.under,
        "haze_density": haze.density,
        "airlight": float(np.mean(haze.airlight)),
    }
    for ring, (usual, least, most) in enumerate(blur.slopes.tolist(), start=1):
        features |= {f"slope_{ring}": usual, f"least_slope_{ring}": least, f"steepest_slope_{ring}": most}
    features |= {f"luma_{k}": value for k, value in enumerate(exposure.quantiles.tolist())}
    features |= {f"haze_{k}": value for k, value in enumerate(haze.features.tolist())}
    return features | dict(zip(STREAK_FEATURES, readings.streaks.features.tolist(), strict=True))


@cache
def packaged_verdict() -> VerdictModel:
    """The classifier that ships with restorekit."""
    document = json.loads(resources.files(__package__).joinpath(WEIGHTS_FILE).read_text())
    rows = document["features"]
    return VerdictModel(
        names=tuple(rows),
        mean=np.array([row["mean"] for row in rows.values()]),
        scale=np.array([row["scale"] for row in rows.values()]),
        weights=np.array([[row["weights"][problem] for row in rows.values()] for problem in PROBLEMS]),
        bias=np.array([document["bias"][problem] for problem in PROBLEMS]),
    )
