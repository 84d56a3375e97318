"""What a frozen pretrained network offers a method that is guided by it: one vector, or a map, for each image."""

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from restorekit.core.image.convention import Images

__all__ = ["FeaturePrior", "PriorMaps", "PriorVectors"]

PriorVectors = Float[Tensor, "batch dim"]
"""One vector of unit length for each image."""

PriorMaps = Float[Tensor, "batch map_channels map_rows map_columns"]
"""A vector of unit length at each place of a coarse grid over the image."""


@runtime_checkable
class FeaturePrior(Protocol):
    """A frozen network, or a formula, that sees whole images of any size; nothing of it is ever trained.

    Everything is float32, on the device of the images, and without gradient. The same images give the same features:
    one image's do not depend on the others of its batch.
    """

    name: str
    """As given to ``--prior`` or in a recipe."""

    if TYPE_CHECKING:  # hidden from isinstance, which would read it (until Python 3.12), and so load the network

        @property
        def dim(self) -> int:
            """Length of a vector; a network may have to be loaded to know it."""
            ...

    def to(self, device: torch.device, precision: str = "float32") -> "FeaturePrior":
        """This prior, computing on ``device``; precision is "float32", "bfloat16" or "float16"."""
        ...

    def features(self, images: Images) -> PriorVectors:
        """One vector for each image.

        Args:
            images: (batch, 3, height, width), sRGB in [0, 1]; noise may leave the range.
        """
        ...

    def feature_map(self, images: Images) -> PriorMaps:
        """A coarse map for each image, for the 2-D ablation; its channels need not be ``dim``, its size is the
        prior's own.

        Args:
            images: as for ``features``.
        """
        ...
