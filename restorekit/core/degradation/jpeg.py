"""JPEG compression by the real encoder (libjpeg-turbo through OpenCV)."""

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
import torch

from restorekit.core.degradation.base import DegradationTerm, Params
from restorekit.core.degradation.settings import Span, span, word
from restorekit.core.image.convention import Images, Samples, from_images, to_images

__all__ = ["Jpeg", "jpeg_samples"]

SUBSAMPLING = {
    "420": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "422": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "444": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
}


@dataclass(frozen=True)
class Jpeg(DegradationTerm):
    """JPEG: encoded to 8 bits, compressed and decoded. Not differentiable: rounding has no useful gradient.

    ``gradient=straight`` passes the gradient of the output to the input unchanged (straight-through estimate).
    """

    name: ClassVar[str] = "jpeg"
    differentiable: ClassVar[bool] = False

    quality: Span = span("10..95", low=1, high=100, whole=True, help="libjpeg's quality; 100 is the least compressed")
    subsampling: str = word("420", tuple(SUBSAMPLING), help="how colour is halved: 420 both ways, 422 across, 444 not")
    gradient: str = word("none", ("none", "straight"), help="none: no gradient; straight: passed on unchanged")

    def _degrade(self, clean: Images, params: Params) -> Images:
        decoded = [
            to_images(jpeg_samples(from_images(image[None].detach(), np.uint8), quality, self.subsampling))
            for image, quality in zip(clean, params["quality"].int().tolist(), strict=True)
        ]
        degraded = torch.cat(decoded).to(clean.device)
        return degraded + (clean - clean.detach()) if self.gradient == "straight" else degraded


def jpeg_samples(samples: Samples, quality: int, subsampling: str = "420") -> Samples:
    """(height, width, 3) RGB uint8 through a JPEG file in memory, at libjpeg's ``quality`` 1..100."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SUBSAMPLING[subsampling]]
    _, encoded = cv2.imencode(".jpg", samples[..., ::-1], settings)
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None  # what the encoder wrote, the decoder reads
    return np.ascontiguousarray(decoded[..., ::-1], dtype=np.uint8)
