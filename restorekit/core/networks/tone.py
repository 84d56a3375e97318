"""Tone curves for a whole photo, estimated on a thumbnail of it.

Ours; its parts are old: global curves estimated on a thumbnail (Gharbi et al. 2017, arXiv:1707.02880; Guo et al. 2020,
arXiv:2001.06826).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.networks.base import PlainImages

__all__ = [
    "Curves",
    "Thumbnail",
    "Toner",
    "apply_curves",
    "auto_levels",
    "evenly_taught",
    "in_float32",
    "strided_layer",
]

Curves = Float[Tensor, "batch 3 3"]
"""For each image and colour: logarithm of the gain, black level, bend; all 0 is the identity. See ``apply_curves``."""

MIDDLE_GRAY, DARKEST = 0.4, 0.02
"""Mean light that teaches as it is, and the least that is told apart; of the encoded range [0, 1]."""

DIM, VEIL = 0.2, 0.22
"""Few photos have a mean below, or nothing darker in any colour; of [0, 1]."""

DARKEST_SHARE = 1 / 400
"""What of a thumbnail counts as its darkest; larger shares take more photos of snow or sand for veiled ones."""

LIGHT_VEIL = 0.18
"""``VEIL`` of a ``Toner`` with levels: it finds more of what is hazy, and learns to leave bright scenes alone."""

USUAL_MEAN, USUAL_BLACK = 0.35, 0.05
"""What a photo that is far beyond ``DIM`` or ``VEIL`` is brought to; of [0, 1]."""


class Toner(nn.Module):
    """Thumbnail to curves; a fresh one gives the identity, or ``auto_levels`` with half of the veil.

    Args:
        told: how many numbers about the photo come from elsewhere; 0: the thumbnail is all there is.
        levels: start from ``auto_levels``. Bright scenes look veiled: for each photo a share of the veil to be removed
            is learned, from what is told if anything is.
    """

    def __init__(self, told: int = 0, *, levels: bool = False) -> None:
        super().__init__()
        self.thumbnail = Thumbnail()
        seen = self.thumbnail.features
        self.listen = nn.Sequential(nn.Linear(seen + told, seen), nn.ReLU()) if told else None
        self.curves = nn.Linear(seen, 9)
        nn.init.zeros_(self.curves.weight)
        nn.init.zeros_(self.curves.bias)
        self.share = nn.Linear(told or seen, 1) if levels else None
        if self.share is not None:
            nn.init.zeros_(self.share.weight)
            nn.init.zeros_(self.share.bias)

    def forward(self, photos: PlainImages, told: Float[Tensor, "batch told"] | None = None) -> Curves:
        """The curves of whole photos, or of smaller views of them, of any size; ``told`` where it was announced."""
        with in_float32(photos):
            features = self.thumbnail(photos)
            heard = features
            if self.listen is not None and told is not None:
                heard = told.float()
                features = self.listen(torch.cat([features, heard], dim=1))
            curves: Curves = self.curves(features).unflatten(1, (3, 3))
            if self.share is not None:
                curves = curves + auto_levels(photos, self.share(heard).sigmoid()[:, 0], veil=LIGHT_VEIL)
            return curves


class Thumbnail(nn.Module):
    """What a thumbnail shows: three convolutions on it and on its logarithm, pooled, with its quantiles."""

    SIDE_PX = 48
    QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

    features = 96
    """How many it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(strided_layer(6, 24), strided_layer(24, 48), strided_layer(48, 96))
        self.hidden = nn.Linear(2 * 96 + 3 * len(self.QUANTILES), self.features)

    def forward(self, photos: PlainImages) -> Float[Tensor, "batch features"]:
        """Of whole photos of any size, area averaged to the thumbnail's; in float32."""
        small = F.interpolate(photos.float(), size=(self.SIDE_PX, self.SIDE_PX), mode="area").clamp(0, 1)
        maps = self.layers(torch.cat([4 * (small - 0.5), _logarithm(small)], dim=1))
        pooled = [maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3)), _logarithm(self._quantiles(small))]
        return F.relu(self.hidden(torch.cat(pooled, dim=1)))

    def _quantiles(self, thumbnails: PlainImages) -> Float[Tensor, "batch values"]:
        values = thumbnails.flatten(2).sort(dim=2).values
        places = [round(share * (values.shape[2] - 1)) for share in self.QUANTILES]
        return values[:, :, places].flatten(1)


def apply_curves(images: PlainImages, curves: Curves) -> PlainImages:
    """y = v + bend v (1 - v) with v = exp(gain) (x - black), for each colour of each image.

    Gains stay within exp(-1) and exp(4), bends within -1 and 1, where the curve rises on [0, 1].
    """
    gain, black, bend = curves[..., None, None].unbind(dim=2)
    scaled = gain.clamp(-1, 4).exp() * (images - black)
    return scaled + bend.clamp(-1, 1) * scaled * (1 - scaled.clamp(0, 1))


def auto_levels(photos: PlainImages, share: Float[Tensor, " batch"] | None = None, *, veil: float = VEIL) -> Curves:
    """Curves in closed form, alike in all colours, for whole photos that lack dark or bright parts; others: identity.

    Where even the darkest colour lies above ``veil``, it is taken for a veil and brought to ``USUAL_BLACK``, or a
    share of the way, 0 to 1 for each photo; where the mean is then below ``DIM``, to ``USUAL_MEAN``. Near these borders
    less is done, so that nothing jumps. A network that learns low light among other things hardly finds this by itself:
    the result of a dark photo grows with the gain only once the gain is large.
    """
    small = F.adaptive_avg_pool2d(photos.float(), Thumbnail.SIDE_PX).clamp(0, 1)
    darkest = small.amin(dim=1).flatten(1).sort(dim=1).values
    darkest = darkest[:, round(darkest.shape[1] * DARKEST_SHARE)]
    black = torch.minimum(5 * (darkest - veil), darkest - USUAL_BLACK).clamp(min=0)
    black = black if share is None else share * black
    mean = (small.mean(dim=(1, 2, 3)) - black).clamp(min=DARKEST)
    lift = torch.minimum(2 * (DIM / mean).log(), (USUAL_MEAN / mean).log())
    gain = torch.maximum(lift, -torch.log1p(-black)).clamp(min=0)
    return torch.stack([gain, black, torch.zeros_like(gain)], dim=1)[:, None].expand(-1, 3, -1)


def evenly_taught(curves: Curves, photos: PlainImages) -> Curves:
    """The same curves, whose gradient is divided by the light of the photo that they make.

    What a factor changes is proportional to the light: in a mixture the loss of bright photos, which need no curve,
    drowns that of dark ones. Without this ConStyle gains 1 dB in low light in 1,000 steps.
    """
    if not (curves.requires_grad and torch.is_grad_enabled()):
        return curves
    light = apply_curves(photos.float(), curves).detach().clamp(0, 1).mean(dim=(1, 2, 3))
    factor = (MIDDLE_GRAY / light.clamp(min=DARKEST))[:, None, None]
    taught = curves.clone()
    taught.register_hook(lambda gradient: factor * gradient)  # type: ignore[no-untyped-call]
    return taught


def in_float32(images: Tensor) -> torch.autocast:
    """No autocast within: logarithms of dark photos need float32, and on thumbnails it costs nothing."""
    device = "cpu" if images.is_meta else images.device.type  # the meta device knows no autocast
    return torch.autocast(device, enabled=False)


def strided_layer(inputs: int, outputs: int) -> nn.Sequential:
    """3x3 convolution of stride 2, normalised over the whole image, ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.GroupNorm(1, outputs), nn.ReLU())


def _logarithm(values: Tensor) -> Tensor:
    """About -5 to 1.5, for values from 0 to 1: what a factor of light changes by a constant."""
    return (values + 1e-3).log() + 1.5
