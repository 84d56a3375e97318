"""RoutedUNets: a router looks at the whole photo, small, and at pieces of it; one of several DenseUNets does the rest.

Ours; its parts are old: a mixture of experts with one expert per input (Shazeer et al. 2017, arXiv:1701.06538).

- One network for everything learns each thing later: on noise alone a DenseUNet is in 800 steps where one for five
  degradations is in 9,000. Low light it does not learn at all in 2,000, where one of its own gains 7 dB in 200.
- The experts are trained apart, then the router, which only has to name the degradation: see ``recipes/base``.
- Only one expert runs, so a photo costs what one DenseUNet costs.
- Given the router's reading, nothing else looks at the whole: tiled equals whole.
"""

from itertools import pairwise
from typing import Annotated, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from pydantic import Field, model_validator
from torch import Tensor, nn

from restorekit.core.image.patches import Patches, cut_patches
from restorekit.core.networks.base import NetworkConfig, PlainImages
from restorekit.core.networks.dense_unet import DenseUNetConfig
from restorekit.core.networks.tone import Curves, Thumbnail, in_float32, strided_layer

__all__ = ["Reading", "RoutedUNets", "RoutedUNetsConfig", "Router"]

Logits = Float[Tensor, "batch experts"]
Route = Int64[Tensor, "batch"]


class Reading(NamedTuple):
    """What the tiles need to know of whole photos."""

    logits: Logits
    """Larger: this expert fits better."""
    curves: tuple[Curves | None, ...]
    """The tone curves of each expert; None where it has none, or is not chosen by any photo."""


class RoutedUNetsConfig(NetworkConfig):
    """A router and its experts."""

    summary: ClassVar[str] = "RoutedUNets (ours): what a photo looks like decides which of several DenseUNets restores."

    experts: Annotated[tuple[DenseUNetConfig, ...], Field(min_length=1, max_length=8)] = (
        DenseUNetConfig(),
        DenseUNetConfig(widths=(32, 64, 112), blocks=(1, 1, 3), tones=True),
    )
    """The networks to choose from."""
    leads: tuple[Annotated[float, Field(ge=0, le=20)], ...] | None = None
    """For each expert, how far, in nats, its logit must lead the first one's for the photo to be its; None: 0 for all.
    To brighten a photo that is dark by nature costs more than to leave a dark one."""

    @model_validator(mode="after")
    def _experts_see_colour(self) -> "RoutedUNetsConfig":
        if self.leads is not None and len(self.leads) != len(self.experts):
            raise ValueError(f"leads: expected {len(self.experts)}, one for each expert, got {len(self.leads)}")
        for place, expert in enumerate(self.experts):
            if expert.channels != 3:
                raise ValueError(f"experts[{place}].channels: expected 3 (the router sees RGB), got {expert.channels}")
        return self

    def build(self) -> "RoutedUNets":
        """The network with fresh weights."""
        return RoutedUNets(self)

    @property
    def surveyed(self) -> bool:
        """By the router."""
        return True

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


SURE = 1e3
"""Logit of an expert that is told; no lead is as large."""


class RoutedUNets(nn.Module):
    """Router and experts.

    Args:
        config: the experts, and when they are used.
    """

    def __init__(self, config: RoutedUNetsConfig) -> None:
        super().__init__()
        self.config = config
        self.router = Router(len(config.experts))
        self.experts = nn.ModuleList(expert.build() for expert in config.experts)

    def forward(self, images: PlainImages) -> PlainImages:
        """Restore whole photos, each by its own expert; same shape, unclamped."""
        return self.restore(images, self.read(images, cut_patches(images)))

    def read(self, photos: PlainImages, patches: Patches, route: Route | None = None) -> Reading:
        """What the router makes of whole photos, or of smaller views of them, and of pieces at full resolution.

        Args:
            photos, patches: as for ``Router``.
            route: where the right experts are known, as in training; None: the router finds them.
        """
        count = len(self.experts)
        logits = self.router(photos, patches) if route is None else SURE * F.one_hot(route, count).float()
        chosen = {0} if logits.is_meta else set(self.route_of(logits).tolist())
        experts = enumerate(self.experts)
        curves = tuple(expert.read(photos, patches) if place in chosen else None for place, expert in experts)  # type: ignore[operator]
        return Reading(logits, curves)

    def restore(self, images: PlainImages, reading: Reading) -> PlainImages:
        """Restore images, or tiles of them, given what was read of the whole.

        Args:
            images: (batch, 3, height, width), sizes multiples of ``config.multiple_of``.
            reading: of the photos that they are or come from. Where tensors carry no values (PyTorch's meta device)
                the first expert restores.
        """
        if images.is_meta:
            return self._restore_by(0, images, reading)
        route = self.route_of(reading.logits)
        if len(images) == 1:
            return self._restore_by(int(route), images, reading)
        restored = torch.empty_like(images)
        for expert in sorted(set(route.tolist())):
            chosen = (route == expert).nonzero().flatten()
            curves = tuple(None if part is None else part[chosen] for part in reading.curves)
            part = self._restore_by(expert, images[chosen], Reading(reading.logits[chosen], curves))
            restored = restored.index_copy(0, chosen, part.to(restored.dtype))
        return restored

    def route_of(self, logits: Logits) -> Route:
        """The expert with the largest logit, if it leads the first expert by its ``leads``; else the first."""
        best = logits.argmax(dim=1)
        if self.config.leads is None:
            return best
        leads = logits.new_tensor(self.config.leads)
        margin = logits.gather(1, best[:, None])[:, 0] - logits[:, 0]
        return torch.where(margin >= leads[best], best, torch.zeros_like(best))

    def _restore_by(self, expert: int, images: PlainImages, reading: Reading) -> PlainImages:
        restored: PlainImages = self.experts[expert].restore(images, reading.curves[expert])  # type: ignore[operator]
        return restored


class Router(nn.Module):
    """Whole photos by a thumbnail, their pieces by three convolutions, pooled: haze shows in one, noise in the other.

    Args:
        experts: how many there are.
    """

    WIDTHS = (16, 32, 64)

    def __init__(self, experts: int) -> None:
        super().__init__()
        self.thumbnail = Thumbnail()
        widths = (3, *self.WIDTHS)
        self.patches = nn.Sequential(*(strided_layer(*pair) for pair in pairwise(widths)))
        self.hidden = nn.Linear(self.thumbnail.features + 2 * widths[-1], self.thumbnail.features)
        self.logits = nn.Linear(self.thumbnail.features, experts)

    def forward(self, photos: PlainImages, patches: Patches) -> Logits:
        """In float32 whatever the precision around it."""
        with in_float32(photos):
            maps = self.patches(4 * (patches.float().flatten(0, 1).clamp(0, 1) - 0.5))
            pooled = torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)
            seen = [self.thumbnail(photos), pooled.view(*patches.shape[:2], -1).mean(dim=1)]
            logits: Logits = self.logits(F.relu(self.hidden(torch.cat(seen, dim=1))))
            return logits
