"""ConStyle-MAXIM: MAXIM with one width step per level, told by an encoder how the image is degraded.

Fan, Zhao, Chang 2024, "IRConStyle: Image Restoration Framework Using Contrastive Learning and Style Transfer"
(arXiv:2402.15784), with the blocks of Tu et al. 2022 (arXiv:2201.02973).

- The same joints as ``ConStyleUNet``; around them MAXIM's own: the downsized image at each level, and cross gates that
  the fused bottleneck steers.
- Grids reach across the whole input: the result of a tile depends on everything in that tile.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from restorekit.constyle.blocks import leaky
from restorekit.constyle.conditioning import CodeFusion, conditioned_downs
from restorekit.constyle.config import MaximUNetConfig
from restorekit.constyle.encoder import Code
from restorekit.constyle.fold import Up
from restorekit.core.networks.base import FeatureMaps, PlainImages
from restorekit.core.networks.maxim import pyramid
from restorekit.core.networks.maxim_blocks import MaximStack, maxim_bottleneck, pointwise
from restorekit.core.networks.maxim_gates import CrossGate, CrossGates, ScaleMix

__all__ = ["ConStyleMaxim"]


class ConStyleMaxim(nn.Module):
    """Encoder that sees image and maps at each level, bottleneck scaled by the code, gates, decoder, plus the input.

    Args:
        config: widths, depths, windows, and what is heard of the degradation.

    Differs from the paper: no, but for the gates that the authors' code makes and never calls: they are left out unless
    ``unused_gates`` asks for them. Which layers have a bias was found by counting (parameters and multiplications both
    come out exactly).
    """

    def __init__(self, config: MaximUNetConfig) -> None:
        super().__init__()
        width, sizes = config.width, config.windows[:-1]
        levels = range(len(sizes))
        bottom = (len(levels) + 1) * width
        encoded = [(level + 1) * width for level in levels]
        decoded = [max(level + 1, 2) * width for level in levels]
        self.config = config
        self.stems = nn.ModuleList(nn.Conv2d(3, width, 3, padding=1, bias=False) for _ in levels)
        self.fusions = nn.ModuleList(pointwise(width + channels, channels, bias=False) for channels in encoded)
        self.encoder = _stacks(encoded, config)
        self.downs = conditioned_downs(config, encoded, width, leaky)
        self.middle = maxim_bottleneck(bottom, config.windows[-1], config.groups, config.middle_blocks, bias=False)
        self.fusion = CodeFusion(bottom, bottom - width, use_code=config.use_code)
        self.gates = CrossGates(
            encoded, [width] * len(levels), bottleneck=bottom - width, sizes=sizes, keep=True, bias=False
        )
        self.mix = ScaleMix([width] * len(levels), width, keep=True)
        self.ups = nn.ModuleList(map(Up, [*decoded[1:], bottom - width], [len(levels) * width] * len(levels), decoded))
        self.decoder = _stacks(decoded, config)
        self.head = nn.Conv2d(decoded[0], 3, 3, padding=1, bias=False)
        self.unused = nn.ModuleList()
        if config.unused_gates:
            both = zip([*encoded, *decoded], [*sizes, *sizes], strict=True)
            self.unused.extend(CrossGate(channels, channels, size, bias=False) for channels, size in both)

    def forward(
        self, images: PlainImages, code: Code | None = None, maps: Sequence[Tensor] | None = None
    ) -> PlainImages:
        """Restore images; arguments, result and errors as in ``ConStyleUNet``."""
        stems = [stem(image) for stem, image in zip(self.stems, pyramid(images, len(self.stems)), strict=True)]
        features: FeatureMaps = stems[0]
        encoded = []
        for stem, fusion, blocks, down in zip(stems, self.fusions, self.encoder, self.downs, strict=True):
            encoded.append(blocks(fusion(torch.cat([features, stem], dim=1))))
            features = down(encoded[-1], maps)
        features = self.fusion(self.middle(features), code)
        gated = self.gates(encoded, features)
        for level in reversed(range(len(gated))):
            skips = self.mix(gated, *gated[level].shape[-2:])
            features = self.decoder[level](self.ups[level](features, skips))
        residual: PlainImages = self.head(features)
        return images + residual


def _stacks(widths: list[int], config: MaximUNetConfig) -> nn.ModuleList:
    return nn.ModuleList(
        MaximStack(width, size, config.groups, bias=False)
        for width, size in zip(widths, config.windows[:-1], strict=True)
    )
