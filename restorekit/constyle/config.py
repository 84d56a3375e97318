"""Which conditioned U-Net: its blocks, sizes, and what it hears from the encoder.

- The sizes of the paper's networks are in ``PAPER_UNETS``; anything smaller can be written in a recipe.
- With ``use_maps`` and ``use_code`` off, a configuration is the plain U-Net of the same layout: a network like those of
  ``restorekit.core.networks``, which any training and any restorer for networks takes.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from restorekit.constyle.blocks import BLOCKS, BlockName
from restorekit.constyle.reach import ENCODER_CONVOLUTIONS, LocalShape, radius_px
from restorekit.core.networks.base import BlockCounts, NetworkConfig, Width
from restorekit.core.networks.maxim import MaximGroups, MaximWindows, check_maxim_width, maxim_multiple

if TYPE_CHECKING:
    from restorekit.constyle.maxim import ConStyleMaxim
    from restorekit.constyle.unet import ConStyleUNet

__all__ = ["PAPER_UNETS", "AnyUNetConfig", "ConditionedConfig", "MaximUNetConfig", "UNetConfig"]


class ConditionedConfig(NetworkConfig):
    """What every conditioned U-Net has."""

    use_maps: bool = True
    """Feature maps of the encoder beside the down-sampled features; off: these are made as wide without them."""
    use_code: bool = True
    """The encoder's code multiplies the bottleneck's features; off: only the features themselves are passed on."""
    encoder_width: Width = 16
    """Width of the encoder that the maps come from; they have 2, 4 and 8 times as many channels."""

    @property
    def planes(self) -> tuple[int, int]:
        """RGB."""
        return 3, 3

    @property
    def map_indices(self) -> tuple[int | None, ...]:
        """Which of the encoder's maps lies beside the features that leave each level, finest first; None: no map."""
        available = range(len(ENCODER_CONVOLUTIONS)) if self.use_maps else ()
        return tuple(index if index in available else None for index in self._halvings())

    @abstractmethod
    def _halvings(self) -> range:
        """For each level, how often its input has been halved."""


class UNetConfig(ConditionedConfig):
    """A conditioned U-Net of any block, width and depth; the defaults are the paper's ConStyle-NAFNet (11.55 M)."""

    summary: ClassVar[str] = "ConStyle U-Net (Fan et al. 2024): told by an encoder how the image is degraded."

    block: BlockName = "nafnet"
    """What the levels are made of; dense is ours, small and fast on CPUs."""
    width: Width = 48
    """Channels at the finest level, C, a multiple of 4. Encoder levels have C, 2C, 3C, the bottleneck 4C, decoder
    levels 2C, 3C, 4C; fewer or more levels likewise."""
    encoder_blocks: BlockCounts = (7, 8, 9)
    """Blocks of each encoder level, finest level first."""
    middle_blocks: int = Field(default=9, ge=0, le=256)
    """Blocks at the lowest resolution."""
    decoder_blocks: BlockCounts = (7, 8, 9)
    """Blocks of each decoder level, finest level first."""
    refinement_blocks: int = Field(default=0, ge=0, le=256)
    """Blocks at the finest level after the decoder; 4 in ConStyle-Restormer."""
    heads: Annotated[tuple[Annotated[int, Field(ge=1, le=256)], ...], Field(min_length=1, max_length=9)] = (1, 2, 4, 8)
    """Attention heads of each level, finest first, the last for the bottleneck; only restormer blocks have any."""
    input_stride: Literal[1, 2] = 1
    """2: the finest level works at half resolution, on 2 x 2 px as 12 channels. The encoder still sees the images
    themselves; its maps at 1/4 and 1/8 then fit the first two levels below, the one at 1/2 is not used."""

    @model_validator(mode="after")
    def _parts_agree(self) -> "UNetConfig":
        levels = len(self.encoder_blocks)
        if levels != len(self.decoder_blocks):
            raise ValueError(
                f"encoder_blocks and decoder_blocks: expected as many levels in both, "
                f"got {levels} and {len(self.decoder_blocks)}"
            )
        if self.width % 4:
            raise ValueError(f"width: expected a multiple of 4, got {self.width}")
        if self.block == "restormer":
            self._check_heads(levels)
        return self

    def _check_heads(self, levels: int) -> None:
        if len(self.heads) != levels + 1:
            raise ValueError(
                f"heads: expected {levels + 1}, one for each level and the bottleneck, got {len(self.heads)}"
            )
        for level, heads in enumerate(self.heads):
            widths = {(level + 1) * self.width, (min(level, levels - 1) + 2) * self.width}
            if any(width % heads for width in widths):
                raise ValueError(f"heads: expected divisors of {sorted(widths)} at level {level}, got {heads}")

    def _halvings(self) -> range:
        first = self.input_stride - 1
        return range(first, first + len(self.encoder_blocks))

    def build(self) -> "ConStyleUNet":
        """The network with fresh weights."""
        from restorekit.constyle.unet import ConStyleUNet

        return ConStyleUNet(self)

    @property
    def multiple_of(self) -> int:
        """Each level halves height and width."""
        return int(self.input_stride * 2 ** len(self.encoder_blocks))

    @property
    def receptive_field_px(self) -> int | None:
        """Radius in px, exact, maps included, the code taken as given; None for blocks that look at everything."""
        reach = BLOCKS[self.block].reach_px
        if reach is None:
            return None
        shape = LocalShape(
            stride=self.input_stride,
            encoder=tuple(reach * blocks for blocks in (*self.encoder_blocks, self.middle_blocks)),
            decoder=tuple(reach * blocks for blocks in self.decoder_blocks),
            tail=reach * self.refinement_blocks + (2 if BLOCKS[self.block].activated_ends else 1),
            maps=self.map_indices,
        )
        return radius_px(shape)


class MaximUNetConfig(ConditionedConfig):
    """ConStyle-MAXIM of any size; the defaults are the paper's (5.38 M that are used)."""

    summary: ClassVar[str] = "ConStyle-MAXIM-1S (Fan et al. 2024): gated MLPs, told how the image is degraded."

    block: Literal["maxim"] = "maxim"
    """Gated multi-layer perceptrons over windows and grids."""
    width: Width = 32
    """Channels at full resolution, C, a multiple of 4. Encoder levels have C, 2C, 3C, the bottleneck 4C, gates C."""
    windows: MaximWindows = (16, 16, 8, 8)
    """Side of windows and grids of each level, finest first; the last is for the bottleneck."""
    groups: MaximGroups = 2
    """Multi-axis MLPs of each level, each followed by channel attention."""
    middle_blocks: int = Field(default=2, ge=0, le=64)
    """Blocks at the lowest resolution, of ``groups`` groups each."""
    unused_gates: bool = False
    """Also make the gates that the authors' code makes and never calls (1,529,088 parameters without gradient); for
    comparing counts only."""

    @model_validator(mode="after")
    def _width_divides(self) -> "MaximUNetConfig":
        check_maxim_width(self.width)
        return self

    def _halvings(self) -> range:
        return range(len(self.windows) - 1)

    def build(self) -> "ConStyleMaxim":
        """The network with fresh weights."""
        from restorekit.constyle.maxim import ConStyleMaxim

        return ConStyleMaxim(self)

    @property
    def multiple_of(self) -> int:
        """Each level's height and width are multiples of its windows."""
        return maxim_multiple(self.windows)


AnyUNetConfig = Annotated[UNetConfig | MaximUNetConfig, Field(discriminator="block")]
"""For a field of a larger configuration: ``block`` says which."""

PAPER_UNETS: dict[str, UNetConfig | MaximUNetConfig] = {
    "nafnet": UNetConfig(),
    "restormer": UNetConfig(
        block="restormer", encoder_blocks=(4, 6, 6), middle_blocks=8, decoder_blocks=(4, 6, 6), refinement_blocks=4
    ),
    "conv": UNetConfig(block="conv", encoder_blocks=(1, 1, 1), middle_blocks=1, decoder_blocks=(1, 1, 1)),
    "maxim": MaximUNetConfig(),
}
"""Name of the block -> the paper's network of it (conv: of the authors' second repository)."""
