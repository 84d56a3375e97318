"""The tensors that pass between the parts of the refinement module, by name."""

from jaxtyping import Float
from torch import Tensor

__all__ = ["DegradedImages", "Features", "Guide", "PositionMap", "PreparedPrior", "Prior", "Weights"]

Features = Float[Tensor, "batch channels rows columns"]
"""Activations at a quarter of the images' height and width, or at another scale where a function says so."""

DegradedImages = Float[Tensor, "batch degraded_planes height width"]
"""The degraded images I_d, as large as the restored ones; of dual-pixel pairs both views."""

Prior = Float[Tensor, "batch dim"] | Float[Tensor, "batch dim prior_rows prior_columns"]
"""What a frozen pretrained network saw, g: a vector of unit length, or a map of them."""

PreparedPrior = Float[Tensor, "batch prepared"] | Float[Tensor, "batch prepared prior_rows prior_columns"]
"""A prior as the module's parts take it: at the scale they expect, projected if it is long."""

Guide = Float[Tensor, "batch mapped"] | Float[Tensor, "batch mapped guide_rows guide_columns"]
"""A prior after its learned mapping."""

PositionMap = Float[Tensor, "1 position_channels rows columns"]
"""Position features S, the same for every image of a batch."""

Weights = Float[Tensor, "batch 1 rows columns"]
"""One weight in [0, 1] for each feature pixel."""
