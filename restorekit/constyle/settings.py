"""Everything a ConStyle recipe may say: the network, its losses, when the encoder stops learning, where weights lie."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from restorekit.constyle.contrastive import ContrastSettings
from restorekit.constyle.network import ConStyleNetworkConfig

__all__ = ["ConStyleConfig"]


class ConStyleConfig(BaseModel):
    """The ``[config]`` table of a ConStyle recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: ConStyleNetworkConfig = Field(default=ConStyleNetworkConfig(), description="encoder and U-Net")
    contrast: ContrastSettings = Field(default=ContrastSettings(), description="how the encoder learns")
    description_weight: float = Field(
        default=0.0, ge=0, description="of the loss by which the code tells the degradation; ours, 0: off, as published"
    )
    freeze_after: int | None = Field(
        default=None,
        ge=0,
        description="the encoder learns for this many steps and then stays; 0: never, for one trained before; "
        "left out: always",
    )
    encoder_weights: str | None = Field(
        default=None, description="weights of an earlier ConStyle run whose encoder this one starts from"
    )
    loss: Literal["l1", "charbonnier", "psnr"] = Field(default="l1", description="of the pixels; l1 in the release")
    eps: float = Field(default=1e-3, gt=0, le=1, description="of charbonnier and psnr, in units of the range [0, 1]")
    balance: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="crops count in inverse proportion to this plus their own RMSE; None: alike",
    )
    gradients_every: int = Field(
        default=0, ge=0, description="steps between logs of each loss's gradient norm at the encoder; 0: never"
    )
    weights: str | None = Field(
        default=None, description="a weights.safetensors of an earlier run; None: fresh weights"
    )

    @model_validator(mode="after")
    def _parts_agree(self) -> "ConStyleConfig":
        if self.network.parity != self.contrast.parity:
            raise ValueError(
                f"network.parity and contrast.parity: expected the same, got {self.network.parity} and "
                f"{self.contrast.parity}"
            )
        if not self.network.listens and self.encoder_weights:
            raise ValueError("encoder_weights: expected none, since use_maps and use_code are off and nothing listens")
        return self
