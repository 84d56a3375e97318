"""The two ends of the refinement module: images to features at a quarter of the resolution, and back.

At inference both ends run on strips of rows: nothing else of the module is as large as features at full resolution.
"""

import torch
import torch.nn.functional as F
from torch import nn

from restorekit.core.networks.base import FeatureMaps, PlainImages
from restorekit.refine.config import SLOPE
from restorekit.refine.shapes import DegradedImages, Features
from restorekit.refine.shared_norm import Moments, SharedInstanceNorm, merge
from restorekit.refine.statistics import Statistics
from restorekit.refine.strips import SCALE, Strip, laid_out, strips

__all__ = ["DECODER_HALO", "Decoder", "Encoder"]

DECODER_HALO = 2
"""Feature pixels around a strip that the decoder needs."""


class Encoder(nn.Module):
    """R_e: compares the restored with the degraded image; 3x3 convolutions, two of them with stride two.

    Args:
        planes: of both images together.
        width: channels of the features.

    Differs from the paper: no; it gives no layers, these are the authors' code's.
    """

    def __init__(self, planes: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(planes, width, 3, padding=1, bias=False)
        self.stem_norm = SharedInstanceNorm(width)
        self.to_half = nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False)
        self.half_norm = SharedInstanceNorm(width)
        self.to_quarter = nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False)

    def forward(self, restored: PlainImages, degraded: DegradedImages, known: Statistics) -> Features:
        """Features at a quarter of the images' height and width, which are multiples of four."""
        half = self.half_features(restored, degraded, known.stem)
        if torch.is_grad_enabled():
            normalised = self.half_norm(half, known.half)
        else:
            normalised = self.half_norm.apply_(half, known.half or Moments.of(half))
        features: Features = self.to_quarter(normalised)
        return features

    def half_features(self, restored: PlainImages, degraded: DegradedImages, moments: Moments | None) -> Features:
        """What the second normalisation takes: features at half resolution, given the moments of the first one."""
        if torch.is_grad_enabled():
            stem = self.stem_norm(self.stem(torch.cat([restored, degraded], dim=1)), moments)
            return self._from_stem(stem)
        height, width = restored.shape[2] // SCALE, restored.shape[3] // SCALE
        pieces = list(strips(height, width, halo=1, device=restored.device))
        if moments is None:
            moments = merge(
                Moments.of(strip.inner(self._stem_of(restored, degraded, strip), SCALE)) for strip in pieces
            )
        half = None
        for strip in pieces:
            stem = self.stem_norm.apply_(self._stem_of(restored, degraded, strip), moments)
            part = strip.inner(self._from_stem(stem), SCALE // 2)
            if half is None:
                half = laid_out(part.new_empty(*part.shape[:2], 2 * height, 2 * width))
            half[:, :, strip.rows(SCALE // 2)] = part
        assert half is not None
        return half

    def _stem_of(self, restored: PlainImages, degraded: DegradedImages, strip: Strip) -> Features:
        pair = torch.cat([strip.outer(restored, SCALE), strip.outer(degraded, SCALE)], dim=1)
        stem: Features = self.stem(laid_out(pair))
        return stem

    def _from_stem(self, normalised: FeatureMaps) -> Features:
        half: Features = self.to_half(F.leaky_relu_(normalised, SLOPE))
        return half


class Decoder(nn.Module):
    """R_d: features back to full resolution by two sub-pixel convolutions, then two plain ones.

    Args:
        width: channels of the features.
        planes: of the result.
        start_at_zero: the last layer starts with zeros.

    Differs from the paper: no; it gives no layers, these are the authors' code's.
    """

    def __init__(self, width: int, planes: int, *, start_at_zero: bool) -> None:
        super().__init__()
        self.to_half = nn.Conv2d(width, 4 * width, 3, padding=1, bias=False)
        self.to_full = nn.Conv2d(width, 4 * width, 3, padding=1, bias=False)
        self.smooth = nn.Conv2d(width, width, 3, padding=1)
        self.tail = nn.Conv2d(width, planes, 3, padding=1)
        if start_at_zero:
            nn.init.zeros_(self.tail.weight)
            nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]

    def forward(self, features: Features) -> PlainImages:
        """(batch, channels, rows, columns) to (batch, planes, 4 rows, 4 columns)."""
        for layer in (self.to_half, self.to_full):
            features = F.leaky_relu_(F.pixel_shuffle(layer(features), 2), SLOPE)  # one name: what is used up is freed
        features = F.leaky_relu_(self.smooth(features), SLOPE)
        answer: PlainImages = self.tail(features)
        return answer
