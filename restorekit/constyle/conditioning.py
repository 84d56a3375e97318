"""The two places where a U-Net hears of the degradation: maps beside its down-sampled features, the code at its bottom.

Fan, Zhao, Chang 2024, "IRConStyle: Image Restoration Framework Using Contrastive Learning and Style Transfer"
(arXiv:2402.15784).
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.constyle.config import ConditionedConfig
from restorekit.constyle.encoder import CODE_SIZE, Code
from restorekit.core.networks.base import FeatureMaps
from restorekit.errors import UsageError

__all__ = ["CodeFusion", "ConditionedDown", "conditioned_downs"]

Down = Float[Tensor, "batch wider height_out width_out"]


def conditioned_downs(
    config: ConditionedConfig, widths: Sequence[int], added: int, activation: Callable[[int], nn.Module]
) -> nn.ModuleList:
    """What leads from each level to the next coarser one, with the map that ``config`` puts beside it."""
    return nn.ModuleList(
        ConditionedDown(
            width,
            added,
            map_index=index,
            map_channels=0 if index is None else config.encoder_width * 2 ** (index + 1),
            activation=activation,
        )
        for width, index in zip(widths, config.map_indices, strict=True)
    )


class ConditionedDown(nn.Module):
    """Half the size by 3x3 convolution and pixel unshuffle, then a projected map of the encoder beside it.

    Args:
        incoming: width of the features, a multiple of 4.
        added: by how much the result is wider, a multiple of 4.
        map_index: which of the encoder's maps; None: no map, the convolution itself makes the result wider.
        map_channels: of that map.
        activation: channels to what follows the map's 1x1 convolution.

    Differs from the paper: no. The authors' code calls the projection an affine transform; nothing is modulated.
    """

    def __init__(
        self,
        incoming: int,
        added: int,
        *,
        map_index: int | None,
        map_channels: int,
        activation: Callable[[int], nn.Module],
    ) -> None:
        super().__init__()
        self.map_index = map_index
        reduced = incoming if map_index is not None else incoming + added
        self.reduce = nn.Conv2d(incoming, reduced // 4, 3, padding=1, bias=False)
        if map_index is not None:
            self.project = nn.Sequential(nn.Conv2d(map_channels, added, 1, bias=False), activation(added))

    def forward(self, features: FeatureMaps, maps: Sequence[Tensor] | None) -> Down:
        """(batch, incoming, height, width) to (batch, incoming + added, height / 2, width / 2).

        Raises:
            UsageError: a map is used, but there is none.
        """
        halved: Down = F.pixel_unshuffle(self.reduce(features), 2)
        if self.map_index is None:
            return halved
        if maps is None:
            raise UsageError(
                "maps: expected the encoder's maps, got None; hand them over or configure use_maps = false"
            )
        return torch.cat([halved, self.project(maps[self.map_index])], dim=1)


class CodeFusion(nn.Module):
    """The bottom of the U-Net: features, beside themselves times the projected code, through a 1x1 convolution.

    With features b, projected code m and weights (W₁ W₂) for the two halves: W₁ b + W₂ (b ⊙ m) = (W₁ + W₂ diag(m)) b.
    The right-hand side is computed: equal, half the multiplications, and nothing is concatenated.

    Args:
        incoming: width of the features.
        outgoing: width of the result.
        use_code: False leaves the second half away; the first stays.

    Differs from the paper: no. m is any real number, as in the authors' code: neither squashed nor centred at one.
    """

    def __init__(self, incoming: int, outgoing: int, *, use_code: bool = True) -> None:
        super().__init__()
        self.scale = nn.Linear(CODE_SIZE, incoming) if use_code else None
        self.fuse = nn.Conv2d(2 * incoming if use_code else incoming, outgoing, 1, bias=False)

    def forward(self, features: FeatureMaps, code: Code | None) -> Float[Tensor, "batch outgoing height width"]:
        """Same height and width as ``features``.

        Raises:
            UsageError: the code is used, but there is none.
        """
        if self.scale is None:
            return self.fuse(features)  # type: ignore[no-any-return]
        if code is None:
            raise UsageError("code: expected the encoder's code, got None; hand it over or configure use_code = false")
        plain, scaled = self.fuse.weight[:, :, 0, 0].chunk(2, dim=1)
        weights = plain + scaled * self.scale(code)[:, None]
        fused: Tensor = weights @ features.flatten(2)
        return fused.reshape(len(features), -1, *features.shape[2:])
