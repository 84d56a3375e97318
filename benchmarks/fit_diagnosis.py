"""Fit the verdict of ``restorekit diagnose``.

    python benchmarks/fit_diagnosis.py FOLDER... [--photos N] [--cache FILE]

It reads clean photos, degrades crops of them, and writes the weights to ``restorekit/diagnosis/verdict.json``; a cache
keeps the features, so that a second fit takes seconds. ``benchmarks/diagnose.py`` then says how good they are.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from diagnose import JPEG, LIGHT_RAIN, Row, cached, degraded, measured, photos_in, verdict
from scipy.optimize import minimize
from scipy.special import logsumexp

from restorekit.core.image.convention import Samples
from restorekit.core.image.files import read_image
from restorekit.diagnosis.verdict import PROBLEMS, WEIGHTS_FILE, packaged_verdict

TRAINING = (
    ("clean", "none"),
    ("clean", "jpeg:quality=88..97"),
    ("noise", "noise:sigma=5..50|noise:sigma=5..50,clip=0"),
    ("noise", "camera:shot=0.004..0.02,read=0.005..0.02"),
    ("rain", LIGHT_RAIN),
    ("rain", "rain"),
    ("haze", "haze"),
    ("low_light", "low_light"),
    ("blur", "blur:sigma=0.5..3"),
    ("blur", "motion:length=4..30"),
    ("jpeg", JPEG),
)
"""What a crop of a clean photo is turned into. Compressed hardly visibly, it still counts as clean: most photos are.

Camera noise is strong enough to be seen. Weak noise that a camera has smoothed looks like texture: fitted on it too,
the verdict called six of fourteen clean development photos noisy."""
CROP = (288, 352)
PENALTY = 1e-3
"""Weight of the squared weights against the mean log-likelihood."""


def main() -> None:
    """Measure, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="clean photos")
    parser.add_argument("--photos", type=int, default=65, help="how many of the folders together")
    parser.add_argument("--cache", type=Path, help="JSON lines of features: read if present, else written")
    parser.add_argument("--out", type=Path, default=Path("restorekit/diagnosis") / WEIGHTS_FILE)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rows = cached(arguments.cache, training_rows(arguments.folders, arguments.photos))
    document = fit(rows)
    document["photos"] = len({row.name for row in rows})
    document["folders"] = sorted(folder.name for folder in arguments.folders)
    arguments.out.write_text(json.dumps(document, indent=1) + "\n")
    print(f"{arguments.out}: {len(rows)} images, {accuracy(rows):.1%} of the training images right")


def training_rows(folders: list[Path], photos: int) -> Iterator[Row]:
    """Crops of clean photos at random scales, each degraded in one of the ways of ``TRAINING``."""
    paths = [path for folder in folders for path in photos_in(folder)]
    rng = np.random.default_rng(0)
    rng.shuffle(paths)
    for path in paths[:photos]:
        whole = read_image(path).samples
        for label, spec in TRAINING:
            crop = random_crop(whole, rng)
            yield Row("train", label, path.name, measured(degraded(crop, spec, path.name, seed=1)))


def random_crop(photo: Samples, rng: np.random.Generator) -> Samples:
    """A crop at a scale of 0.5 to 1, averaged."""
    scale = rng.uniform(0.5, 1)
    scaled = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 0.95 else photo
    height, width = (min(side, limit) for side, limit in zip(scaled.shape[:2], CROP, strict=True))
    top = rng.integers(0, scaled.shape[0] - height + 1)
    left = rng.integers(0, scaled.shape[1] - width + 1)
    return np.ascontiguousarray(scaled[top : top + height, left : left + width])


def fit(rows: list[Row]) -> dict[str, object]:
    """Multinomial logistic regression; every problem counts the same, however many images show it."""
    names = sorted(rows[0].features)
    values = np.array([[row.features[name] for name in names] for row in rows])
    target = np.array([PROBLEMS.index(row.label) for row in rows])
    mean, scale = values.mean(axis=0), values.std(axis=0) + 1e-6
    inputs = np.clip((values - mean) / scale, -4, 4)
    share = 1 / np.bincount(target, minlength=len(PROBLEMS)).clip(1)[target]
    share /= share.sum()
    chosen = np.eye(len(PROBLEMS))[target]

    def loss(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        table = flat.reshape(len(PROBLEMS), -1)
        scores = inputs @ table[:, 1:].T + table[:, 0]
        logs = scores - logsumexp(scores, axis=1, keepdims=True)
        value = -(share * (logs * chosen).sum(axis=1)).sum() + PENALTY * np.square(table[:, 1:]).sum()
        slope = (share[:, None] * (np.exp(logs) - chosen)).T
        gradient = np.concatenate([slope.sum(axis=1)[:, None], slope @ inputs + 2 * PENALTY * table[:, 1:]], axis=1)
        return float(value), gradient.ravel()

    best = minimize(loss, np.zeros(len(PROBLEMS) * (len(names) + 1)), jac=True, method="L-BFGS-B")
    table = best.x.reshape(len(PROBLEMS), -1)
    features = {
        name: {
            "mean": round(mean[k], 5),
            "scale": round(scale[k], 5),
            "weights": {problem: round(table[i, k + 1], 3) for i, problem in enumerate(PROBLEMS)},
        }
        for k, name in enumerate(names)
    }
    bias = {problem: round(table[i, 0], 3) for i, problem in enumerate(PROBLEMS)}
    return {"fitted_by": "benchmarks/fit_diagnosis.py", "bias": bias, "features": features}


def accuracy(rows: Iterable[Row]) -> float:
    """Share of images whose verdict is their label."""
    packaged_verdict.cache_clear()
    return float(np.mean([verdict(row) == row.label for row in rows]))


if __name__ == "__main__":
    main()
