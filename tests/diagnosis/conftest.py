"""Bundled photos at small size, and flat fields with noise of a known law."""

import importlib.resources
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from restorekit.core.image.convention import Samples
from restorekit.core.image.files import read_image

NAMES = ("coffee.png", "astronaut.png", "chelsea.png")


@pytest.fixture(scope="session")
def photos() -> list[Samples]:
    """Three photos of 300x300 px."""
    folder = importlib.resources.files("skimage") / "data"
    large = [read_image(str(folder / name)).samples for name in NAMES]
    return [np.ascontiguousarray(photo[:300, :300]) for photo in large]


@pytest.fixture(scope="session")
def noisy() -> Callable[..., Samples]:
    """``noisy(photo, sigma, correlation_px=0)``: 8 bits, clipped; sigma in grey levels, before clipping."""

    def add(photo: Samples, sigma: float, correlation_px: float = 0.0) -> Samples:
        noise = np.random.default_rng(7).standard_normal(photo.shape)
        if correlation_px:
            noise = cv2.GaussianBlur(noise, (0, 0), correlation_px)
            noise /= noise.std()
        return np.rint(np.clip(photo + sigma * noise, 0, 255)).astype(np.uint8)

    return add
