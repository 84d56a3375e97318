"""How well the averaged weights restore a few photos, per degradation, by the core's metrics."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from restorekit.core.degradation.chain import degrade_images
from restorekit.core.image.convention import Images, convert_depth, to_images
from restorekit.core.image.files import read_image
from restorekit.core.image.pairs import evenly_spaced, list_images
from restorekit.core.image.patches import centred_window
from restorekit.core.metric.base import make_metric
from restorekit.core.randomness import generator_for
from restorekit.errors import UsageError
from restorekit.training.batches import gray_pixels

__all__ = ["Validator"]

METRICS = ("psnr", "ssim")
CROP_PX = 256
"""Side of the centre crops: large enough for every receptive field here, small enough for a CPU."""
MULTIPLE_OF = 32
"""Crops of smaller photos are cut to this, in px: what every network here accepts without padding."""


class Validator:
    """Fixed pairs of degraded and clean crops; the same for every step, run and machine.

    Args:
        folder: clean photos.
        degradations: name to spec; each photo is degraded by each, with a seed from its name.
        images: how many photos, evenly spaced in the sorted folder.
        gray: whether photos become gray first.

    Raises:
        UsageError: no photos, or one smaller than 32 px.
        SpecError: a degradation cannot be read.
        ImageError: a photo cannot be read.
    """

    def __init__(self, folder: str | Path, degradations: Mapping[str, str], *, images: int, gray: bool = False) -> None:
        chosen = evenly_spaced(list_images([folder]), images)
        clean = [(item.name, _centre(to_images(_eight_bits(item.path, gray=gray)), item.name)) for item in chosen]
        self._metrics = {name: make_metric(name) for name in METRICS}
        self._pairs = {
            label: [
                (degrade_images(photo, spec, generator=generator_for(0, name, "validation"))[0], photo)
                for name, photo in clean
            ]
            for label, spec in degradations.items()
        }

    @torch.no_grad()
    def scores(self, restore: Callable[[Images], Images], *, device: torch.device) -> dict[str, float]:
        """Mean over the photos, as ``{"noise25/psnr": 31.2, ...}``: dB for PSNR, no unit for SSIM."""
        totals: dict[str, list[float]] = {}
        for label, pairs in self._pairs.items():
            for degraded, clean in pairs:
                restored = restore(degraded.to(device)).float().cpu()
                for name, metric in self._metrics.items():
                    totals.setdefault(f"{label}/{name}", []).extend(metric.score(restored, clean).tolist())
        return {key: sum(values) / len(values) for key, values in totals.items()}


def _eight_bits(path: Path, *, gray: bool) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    pixels = convert_depth(read_image(path).samples, np.uint8).astype(np.uint8, copy=False)
    return gray_pixels(pixels) if gray and pixels.shape[2] == 3 else pixels


def _centre(image: Images, name: str) -> Float[Tensor, "batch 3 crop_height crop_width"]:
    height, width = (min(side, CROP_PX) // MULTIPLE_OF * MULTIPLE_OF for side in image.shape[-2:])
    if not height or not width:
        raise UsageError(
            f"validation: {name}: expected at least {MULTIPLE_OF} px on each side, got {image.shape[-1]} x "
            f"{image.shape[-2]}; leave it out"
        )
    rows, columns = centred_window(image.shape[-2:], (height, width))
    return image[:, :, rows, columns].contiguous()
