"""What the refinement module is made of: one frozen configuration, and the rows of the paper's table 3 as overrides.

No torch is imported here: recipes and the command line read this file.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["SLOPE", "TABLE_3", "RefinementConfig"]

SLOPE = 0.1
"""Of every leaky ReLU of the module, as in the authors' code; the paper names no activation."""

WIDEST_DIRECT_PRIOR = 1152  # with it, six planes and a mask the module has 999,992 parameters: the paper's "< 1 M"
PROJECTION_BUDGET = 589_000  # (prior_dim + 512) x projected_dim: what is then left of one million parameters


class RefinementConfig(BaseModel):
    """The refinement module R; the defaults are the paper's full setting with our start as the identity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    prior_dim: int = Field(default=512, ge=1, le=65_536)
    """Length of the prior's feature vector; 512 for CLIP ViT-B/32. Above 1152 it is first projected, see
    ``projected_dim``."""
    restored_planes: Literal[1, 3] = 3
    """Colour planes of the restored image, which is also the result: 3 for RGB, 1 for gray."""
    degraded_planes: Literal[1, 2, 3, 6] = 3
    """Planes of the degraded image: as many as restored, or twice as many for a dual-pixel pair (left, right)."""
    compose: Literal["mask", "residual"] = "mask"
    """How the decoder's answer is used. mask: eq. 1 of the paper. residual: as released by the authors, the restored
    image clamped to [0, 1] plus a residual."""
    parity: Literal["fixed", "official"] = "fixed"
    """fixed: starts as the identity, and sees the prior at unit variance. official: PyTorch's initialisation, and the
    prior at unit length, where it changes a fresh module's residual by 0.02 %."""
    fusion: Literal["range_map", "snr", "sum", "none"] = "range_map"
    """How short- and long-range features are fused. range_map: eq. 2-3. snr: the signal-to-noise map of the degraded
    image instead of a learned one. sum: added up. none: no spatial-varying enhancement at all."""
    channel_attention: bool = True
    """Whether features pass channel attention (eq. 4)."""
    spatial_attention: bool = True
    """Whether features pass spatial attention (eq. 5-6)."""
    position: bool = True
    """Whether the range map and the spatial attention see a learned position embedding."""
    prior_use: Literal["mapped", "concat_1d", "concat_2d", "none"] = "mapped"
    """How the prior enters. mapped: through a learned mapping of two layers. concat_1d: concatenated after one linear
    layer. concat_2d: likewise, but the prior is a map, resized to the features. none: not at all."""
    width: int = Field(default=16, ge=1, le=1024)
    """Channels of the features. 16 in the paper; other widths leave its budget of one million parameters."""

    @model_validator(mode="after")
    def _planes_agree(self) -> "RefinementConfig":
        if self.degraded_planes not in (self.restored_planes, 2 * self.restored_planes):
            raise ValueError(
                f"degraded_planes: expected {self.restored_planes} or {2 * self.restored_planes} beside "
                f"restored_planes = {self.restored_planes}, got {self.degraded_planes}"
            )
        return self

    @property
    def projected_dim(self) -> int:
        """What the prior is projected to before anything else, so that the module stays below a million parameters.

        >>> RefinementConfig(prior_dim=1152).projected_dim, RefinementConfig(prior_dim=1280).projected_dim
        (1152, 328)
        """
        if self.prior_dim <= WIDEST_DIRECT_PRIOR:
            return self.prior_dim
        return max(PROJECTION_BUDGET // (self.prior_dim + 512) // 8, 1) * 8


TABLE_3: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "full": {},
        "without_spatial_varying": {"fusion": "none"},
        "without_channel_attention": {"channel_attention": False},
        "without_spatial_attention": {"spatial_attention": False},
        "large": {"width": 64, "fusion": "sum", "position": False, "prior_use": "none"},
        "without_position": {"position": False},
        "snr_mask": {"fusion": "snr"},
        "concat_1d": {"prior_use": "concat_1d", "position": False},
        "concat_2d": {"prior_use": "concat_2d", "position": False},
    }
)
"""The ablations of table 3 by row: what each changes of the full setting.

Differs from the paper: it does not say how priors were concatenated. Here one linear layer to 4 x width channels comes
before the concatenation, so that both rows have the same size and a 2-D prior costs as little as a 1-D one; what is
missing against "full" is the second layer and the position embedding.
"""
