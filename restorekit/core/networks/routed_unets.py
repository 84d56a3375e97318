"""RoutedUNets: a router looks at the whole photo, small; a tone curve and one of several DenseUNets do the rest.

Ours; its parts are old: a mixture of experts with one expert per input (Shazeer et al. 2017, arXiv:1701.06538), and
global curves estimated on a thumbnail (Gharbi et al. 2017, arXiv:1707.02880; Guo et al. 2020, arXiv:2001.06826).

- What is wrong with a photo is seen in the whole of it, and one network for everything first learns to leave all of it
  alone: with one DenseUNet for five degradations, low light gained 0.0 dB in 2,000 steps, with its own 7 dB in 200.
- Only one expert runs, so a photo costs what one DenseUNet costs.
- Given the router's reading, nothing else looks at the whole: tiled equals whole.
"""

from typing import Annotated, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from pydantic import Field, model_validator
from torch import Tensor, nn

from restorekit.core.networks.base import NetworkConfig, PlainImages, Width
from restorekit.core.networks.dense_unet import DenseUNetConfig

__all__ = ["Reading", "RoutedUNets", "RoutedUNetsConfig", "Router", "apply_curves"]

Curves = Float[Tensor, "batch 3 3"]
"""For each image and colour: logarithm of the gain, black level, bend; all 0 is the identity. See ``apply_curves``."""

Logits = Float[Tensor, "batch experts"]
Route = Int64[Tensor, "batch"]


class Reading(NamedTuple):
    """What the router makes of whole photos."""

    logits: Logits
    """Larger: this expert fits better."""
    curves: Float[Tensor, "batch experts 3 3"]
    """The tone curves that go with each expert."""


class RoutedUNetsConfig(NetworkConfig):
    """A router and its experts."""

    summary: ClassVar[str] = (
        "RoutedUNets (ours): a thumbnail decides which of several DenseUNets restores, after which tone curve."
    )

    experts: Annotated[tuple[DenseUNetConfig, ...], Field(min_length=1, max_length=8)] = (
        DenseUNetConfig(),
        DenseUNetConfig(widths=(32, 64, 112), blocks=(1, 1, 3)),
    )
    """The networks to choose from; the first leaves the tones of a photo as they are."""
    view_px: Annotated[int, Field(ge=8, le=256)] = 48
    """Side of the square thumbnail that the router sees, in px."""
    router_width: Width = 24
    """Channels of the router's first layer."""
    lead: Annotated[float, Field(ge=0, le=20)] = 0.0
    """How far, in nats, another expert's logit must lead the first one's for the photo to be its. To brighten a photo
    that is dark by nature costs more than to leave a dark one."""

    @model_validator(mode="after")
    def _experts_see_colour(self) -> "RoutedUNetsConfig":
        for place, expert in enumerate(self.experts):
            if expert.channels != 3:
                raise ValueError(f"experts[{place}].channels: expected 3 (tone curves are RGB), got {expert.channels}")
        return self

    def build(self) -> "RoutedUNets":
        """The network with fresh weights."""
        return RoutedUNets(self)

    @property
    def planes(self) -> tuple[int, int]:
        """RGB."""
        return 3, 3

    @property
    def multiple_of(self) -> int:
        """That of the deepest expert: all are powers of two."""
        return max(expert.multiple_of for expert in self.experts)

    @property
    def receptive_field_px(self) -> int:
        """The largest of the experts, once the router has read the whole photo."""
        return max(expert.receptive_field_px for expert in self.experts)


class RoutedUNets(nn.Module):
    """Router, tone curve, expert.

    Args:
        config: the experts and the router's size.
    """

    def __init__(self, config: RoutedUNetsConfig) -> None:
        super().__init__()
        self.config = config
        self.router = Router(config.router_width, len(config.experts))
        self.experts = nn.ModuleList(expert.build() for expert in config.experts)

    def forward(self, images: PlainImages) -> PlainImages:
        """Restore whole photos, each by its own expert; same shape, unclamped."""
        return self.restore(images, self.read(images))

    def read(self, images: PlainImages) -> Reading:
        """What the router makes of whole photos, or of thumbnails of them, of any size."""
        side = self.config.view_px
        reading: Reading = self.router(F.interpolate(images, size=(side, side), mode="area"))
        return reading

    def restore(self, images: PlainImages, reading: Reading, route: Route | None = None) -> PlainImages:
        """Restore images, or tiles of them, given what was read of the whole.

        Args:
            images: (batch, 3, height, width), sizes multiples of ``config.multiple_of``.
            reading: of the photos that they are or come from.
            route: the expert of each image; None: see ``route_of``. Where tensors carry no values (PyTorch's meta
                device) it is the first expert.
        """
        if images.is_meta:
            return self._restore_by(0, images, reading)
        route = self.route_of(reading) if route is None else route
        if len(images) == 1:
            return self._restore_by(int(route), images, reading)
        restored = torch.empty_like(images)
        for expert in sorted(set(route.tolist())):
            chosen = (route == expert).nonzero().flatten()
            part = self._restore_by(expert, images[chosen], Reading(*(read[chosen] for read in reading)))
            restored = restored.index_copy(0, chosen, part.to(restored.dtype))
        return restored

    def route_of(self, reading: Reading) -> Route:
        """The expert with the largest logit, if it leads the first expert by ``config.lead``; else the first."""
        handicap = torch.full_like(reading.logits, self.config.lead)
        handicap[:, 0] = 0.0
        return (reading.logits - handicap).argmax(dim=1)

    def _restore_by(self, expert: int, images: PlainImages, reading: Reading) -> PlainImages:
        if expert:
            images = apply_curves(images, reading.curves[:, expert])
        restored: PlainImages = self.experts[expert](images)
        return restored


class Router(nn.Module):
    """Three convolutions on a thumbnail and on its logarithm, pooled, with the thumbnail's quantiles.

    Args:
        width: channels of the first layer; each further one doubles them.
        experts: how many there are.
    """

    QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

    def __init__(self, width: int, experts: int) -> None:
        super().__init__()
        self.experts = experts
        self.layers = nn.Sequential(
            _layer(6, width, stride=2), _layer(width, 2 * width, stride=2), _layer(2 * width, 4 * width, stride=2)
        )
        self.hidden = nn.Linear(8 * width + 3 * len(self.QUANTILES), 4 * width)
        self.logits = nn.Linear(4 * width, experts)
        self.curves = nn.Linear(4 * width, 9 * experts)
        nn.init.zeros_(self.curves.weight)
        nn.init.zeros_(self.curves.bias)

    def forward(self, thumbnails: PlainImages) -> Reading:
        """In float32 whatever the precision around it: the logarithm of dark photos needs it, and it costs nothing."""
        device = "cpu" if thumbnails.is_meta else thumbnails.device.type  # the meta device knows no autocast
        with torch.autocast(device, enabled=False):
            thumbnails = thumbnails.float().clamp(0, 1)
            features = self.layers(torch.cat([4 * (thumbnails - 0.5), _logarithm(thumbnails)], dim=1))
            pooled = [features.mean(dim=(2, 3)), features.amax(dim=(2, 3)), _logarithm(self._quantiles(thumbnails))]
            hidden = F.relu(self.hidden(torch.cat(pooled, dim=1)))
            return Reading(self.logits(hidden), self.curves(hidden).unflatten(1, (self.experts, 3, 3)))

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


def _layer(inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1), nn.GroupNorm(1, outputs), nn.ReLU())


def _logarithm(values: Tensor) -> Tensor:
    """About -5 to 1.5, for values from 0 to 1: what a factor of light changes by a constant."""
    return (values + 1e-3).log() + 1.5
