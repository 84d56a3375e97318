"""Wiener deconvolution: undoes a Gaussian blur where noise allows.

Hunt 1973 (IEEE Trans. Computers C-22(9)), with a Laplacian as prior; the work is scikit-image's.
"""

import math

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from restorekit.core.classical.frame import ClassicalConfig, LocalRestorer, Photo
from restorekit.core.restorer import InputSpec

__all__ = ["Wiener", "WienerConfig", "gaussian_psf"]

Plane = npt.NDArray[np.float64]

GRID_PX = 512  # on which the filter's reach is measured
TOLERANCE = 1e-5  # what the image beyond the halo may change, at most


class WienerConfig(ClassicalConfig):
    """Options of Wiener deconvolution."""

    sigma_px: float = Field(default=0.8, ge=0.3, le=5)
    """Standard deviation of the Gaussian blur to undo, in px: best PSNR of 0.8 to 1.6 on GoPro (its blur is motion)."""
    balance: float = Field(default=0.01, ge=0.001, le=10)
    """Weight of smoothness against sharpness, without unit. 0.01 gains 0.2 to 1.9 dB on Gaussian blurs of 0.8 to 2.5 px
    (CBSD68, noise of sigma 2 of 255) and loses 0.1 dB on GoPro, where 0.1 is best but undoes no blur at all."""


class Wiener(LocalRestorer):
    """Deconvolution with W = conj(H) / (|H|² + balance |L|²), H the blur and L the Laplacian.

    The halo is measured: beyond it the impulse response of W sums to less than 1e-5.

    Differs from the paper: no. The image is reflected at its borders, the paper's is periodic.
    """

    name = "classical:wiener"
    summary = "Wiener deconvolution of a slight Gaussian blur."
    helps = ("blur",)
    config_type = WienerConfig

    config: WienerConfig

    def __init__(self, config: WienerConfig | None = None) -> None:
        self.config = config or WienerConfig()
        self.spec = InputSpec(halo=_reach(self.config), bytes_per_pixel=144)

    def restore_photo(self, photo: Photo) -> Photo:
        """Sharpen one photo."""
        from scipy import fft

        height, width, _ = photo.shape
        halo = self.spec.halo
        padded_size = [fft.next_fast_len(size + 2 * halo, real=True) for size in (height, width)]
        padding = [(halo, padded - size - halo) for padded, size in zip(padded_size, (height, width), strict=True)]
        padded = np.pad(photo, (*padding, (0, 0)), mode="reflect").astype(np.float64)
        restored = [_deconvolve(padded[..., channel], self.config) for channel in range(3)]
        return np.stack(restored, axis=-1)[halo : halo + height, halo : halo + width].astype(np.float32)


def gaussian_psf(sigma_px: float) -> Plane:
    """A Gaussian blur kernel, square, of odd side, cut off at four sigma, with unit sum."""
    line = cv2.getGaussianKernel(2 * math.ceil(4 * sigma_px) + 1, sigma_px, cv2.CV_64F)
    return np.asarray(line @ line.T, dtype=np.float64)


def _deconvolve(plane: Plane, config: WienerConfig) -> Plane:
    """The filter on one periodic plane."""
    from skimage.restoration import wiener

    restored = wiener(plane, gaussian_psf(config.sigma_px), config.balance, clip=False)
    return np.asarray(restored, dtype=np.float64)


def _reach(config: WienerConfig) -> int:
    """Radius in px beyond which the filter's impulse response sums to less than ``TOLERANCE``."""
    impulse = np.zeros((GRID_PX, GRID_PX))
    impulse[GRID_PX // 2, GRID_PX // 2] = 1
    response = np.abs(_deconvolve(impulse, config))
    rows, columns = np.indices(response.shape) - GRID_PX // 2
    mass = np.bincount(np.maximum(abs(rows), abs(columns)).ravel(), weights=response.ravel())
    outside = mass.sum() - np.cumsum(mass)
    return int(np.argmax(outside < TOLERANCE))
