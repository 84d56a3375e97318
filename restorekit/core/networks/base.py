"""What every network of this folder states about itself, before it is built.

- A configuration is frozen data: it can be hashed, pickled, written to a recipe, and it knows its network's traits
  (channels, size multiple, receptive field) without a single weight in memory.
- ``config.build()`` makes the network; the network's shape depends on nothing else.
"""

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar

from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

__all__ = ["BlockCounts", "FeatureMaps", "NetworkConfig", "PlainImages", "Width"]

FeatureMaps = Float[Tensor, "batch channels height width"]
"""Activations inside a network; any range."""

PlainImages = Float[Tensor, "batch planes height width"]
"""What a bare network takes and gives: like ``Images``, but with the number of colour planes of its configuration."""

Width = Annotated[int, Field(ge=1, le=4096)]
"""A number of channels."""

BlockCounts = Annotated[tuple[Annotated[int, Field(ge=0, le=256)], ...], Field(min_length=1, max_length=8)]
"""Blocks per level, finest level first."""


class NetworkConfig(BaseModel, ABC):
    """Hyper-parameters of one network: frozen, unknown keys refused; the text under a field is its help text."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    summary: ClassVar[str]
    """One line for lists of networks."""

    @property
    def surveyed(self) -> bool:
        """Whether the network reads the whole photo before it restores pieces of it; see ``surveyed``."""
        return False

    @abstractmethod
    def build(self) -> nn.Module:
        """The network with fresh weights on the current default device."""

    @property
    @abstractmethod
    def planes(self) -> tuple[int, int]:
        """Colour planes taken and given, (3, 3) for RGB."""

    @property
    @abstractmethod
    def multiple_of(self) -> int:
        """Height and width of the input are multiples of this, in px; the tiler sees to it, the network does not."""

    @property
    def receptive_field_px(self) -> int | None:
        """How far, in px, an input pixel can lie from an output pixel that it changes; None: anywhere in the image."""
        return None
