"""What a restorer is, and what a method hands to the rest of the house: protocols, no base classes.

- A restorer never pads, tiles, reads files, prints, or chooses a device. The tiler and the command line do.
- A restorer whose answer depends on the whole image (a mean, a code, an airlight) splits its work in two:
  ``survey`` looks at the whole once, ``restore_tile`` uses what was found. Tiled then equals whole.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from restorekit.core.image.convention import Images
from restorekit.core.image.patches import Patches

__all__ = ["GlobalRestorer", "InputSpec", "Method", "Restorer", "StepResult", "TrainingTask", "WholeView", "Window"]


@dataclass(frozen=True)
class InputSpec:
    """What a restorer asks of its input; the tiler keeps these promises, so the restorer need not check."""

    multiple_of: int = 1
    """Height and width handed over are multiples of this, in px."""
    minimum: int = 1
    """Height and width handed over are at least this, in px."""
    tiling: Literal["overlap", "whole", "shared"] = "overlap"
    """overlap: tiles are independent; whole: never cut; shared: ``survey`` once, then ``restore_tile``."""
    halo: int = 32
    """Radius of the receptive field in px. Where it is bounded, tiled equals whole."""
    bytes_per_pixel: int = 4096
    """Peak working memory for each input pixel, in bytes; the tile size is chosen from it."""


@dataclass(frozen=True)
class Window:
    """Where a tile lies in the whole image, in px; padding added by the tiler at the right and bottom is included."""

    top: int
    left: int
    height: int
    width: int
    full_height: int
    full_width: int


@runtime_checkable
class WholeView(Protocol):
    """The whole image as a survey sees it: never as one float tensor, unless it is small."""

    height: int
    width: int

    def overview(self, max_side_px: int) -> Images:
        """The whole image, area-averaged so that its longer side is at most ``max_side_px``."""
        ...

    def patches(self) -> Patches:
        """Evenly spaced pieces of the image, at full resolution."""
        ...

    def tiles(self, *, halo: int = 0) -> Iterator[tuple[Images, Window, Window]]:
        """An exact partition of the image: (tile with halo, its window, the window of its core)."""
        ...


@runtime_checkable
class Restorer(Protocol):
    """What every method is, once built."""

    name: str
    spec: InputSpec

    def to(self, device: torch.device, precision: str = "float32") -> "Restorer":
        """The same restorer on ``device``; precision is "float32", "bfloat16" or "float16"."""
        ...

    def restore(self, degraded: Images, *, generator: torch.Generator | None = None) -> Images:
        """Same shape and device as ``degraded``; not necessarily within [0, 1]."""
        ...


@runtime_checkable
class GlobalRestorer(Restorer, Protocol):
    """A restorer with ``spec.tiling == "shared"``: something is computed once from the whole image."""

    def survey(self, view: WholeView) -> Any:
        """Whatever ``restore_tile`` needs to know of the whole image."""
        ...

    def restore_tile(
        self, degraded: Images, code: Any, *, window: Window, generator: torch.Generator | None = None
    ) -> Images:
        """Restore one tile (batch of one) given the survey's ``code`` and the tile's place in the whole."""
        ...


@dataclass(frozen=True)
class StepResult:
    """One training step: the loss to differentiate, and numbers to log."""

    loss: Tensor
    logs: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class TrainingTask(Protocol):
    """What a method hands to the training loop."""

    def modules(self) -> Mapping[str, nn.Module]:
        """Trainable parts by name; the loop places, averages and saves them."""
        ...

    def step(self, batch: Mapping[str, Tensor], *, generator: torch.Generator) -> StepResult:
        """Forward pass and loss for one batch."""
        ...

    def after_step(self) -> None:
        """What happens after the optimiser's step: momentum encoder, queue."""
        ...


@runtime_checkable
class Method(Protocol):
    """One way to restore images: a typed configuration, and how to build a restorer (and its training) from it."""

    name: str
    summary: str
    config: type[BaseModel]

    def restorer(self, config: BaseModel) -> Restorer:
        """A restorer for a checked configuration; its weights load on first use."""
        ...
