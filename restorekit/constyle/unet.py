"""The conditioned U-Net: one skeleton for every kind of block.

Fan, Zhao, Chang 2024, "IRConStyle: Image Restoration Framework Using Contrastive Learning and Style Transfer"
(arXiv:2402.15784).

- Widths grow by C with each level instead of doubling: that, not the encoder, is where most parameters are saved.
- ``code`` is a property of the whole image: found once and handed to every tile, it leaves tiled equal to whole for
  blocks that look only around themselves.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.constyle.blocks import BLOCKS, BlockKind
from restorekit.constyle.conditioning import CodeFusion, conditioned_downs
from restorekit.constyle.config import UNetConfig
from restorekit.constyle.encoder import Code
from restorekit.constyle.fold import Up
from restorekit.core.networks.base import FeatureMaps, PlainImages

__all__ = ["ConStyleUNet"]


class ConStyleUNet(nn.Module):
    """Stem, encoder with the style encoder's maps, bottleneck scaled by its code, decoder, head, plus the input itself.

    Args:
        config: blocks, widths, depths, and what is heard of the degradation.

    Differs from the paper: no, for the configurations in ``PAPER_UNETS``. Depth, ``input_stride``, dense blocks and
    what takes the place of maps that are switched off are ours.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        kind, width, levels = BLOCKS[config.block], config.width, range(len(config.encoder_blocks))
        planes = 3 * config.input_stride**2
        bottom = (len(levels) + 1) * width
        encoded = [(level + 1) * width for level in levels]
        decoded = [(level + 2) * width for level in levels]
        heads = config.heads if config.block == "restormer" else (1,) * (len(levels) + 1)
        self.config = config
        self.eased_start = kind.eased_start
        self.stem = nn.Sequential(_convolution(planes, width))
        self.encoder = _stacks(kind, encoded, config.encoder_blocks, heads)
        self.downs = conditioned_downs(config, encoded, width, kind.activation)
        self.middle = _stack(kind, bottom, config.middle_blocks, heads[-1])
        self.fusion = CodeFusion(bottom, bottom - width, use_code=config.use_code)
        self.ups = nn.ModuleList(map(Up, [*decoded[1:], bottom - width], encoded, decoded))
        self.decoder = _stacks(kind, decoded, config.decoder_blocks, heads)
        self.refinement = _stack(kind, decoded[0], config.refinement_blocks, heads[0])
        last = _convolution(width if kind.activated_ends else decoded[0], planes)
        self.head = nn.Sequential(last)
        if kind.activated_ends:
            self.stem.append(kind.activation(width))
            first = nn.Sequential(_convolution(decoded[0], width), kind.activation(width))
            self.head = nn.Sequential(first, last, kind.activation(planes))
        if kind.eased_start:
            nn.init.zeros_(last.weight)

    def forward(
        self, images: PlainImages, code: Code | None = None, maps: Sequence[Tensor] | None = None
    ) -> PlainImages:
        """Restore images.

        Args:
            images: (batch, 3, height, width), sizes multiples of ``config.multiple_of``.
            code: of the whole images; not looked at where ``config.use_code`` is off.
            maps: of these very pixels, at a half, a quarter and an eighth of the size; not looked at where
                ``config.use_maps`` is off.

        Returns:
            Same shape as ``images``, unclamped.

        Raises:
            UsageError: code or maps are None, but used.
        """
        stride = self.config.input_stride
        seen = 4 * (images - 0.5) if self.eased_start else images
        features: FeatureMaps = self.stem(F.pixel_unshuffle(seen, stride))
        skips = []
        for blocks, down in zip(self.encoder, self.downs, strict=True):
            skips.append(blocks(features))
            features = down(skips[-1], maps)
        features = self.fusion(self.middle(features), code)
        for up, blocks in zip(reversed(self.ups), reversed(self.decoder), strict=True):
            features = blocks(up(features, skips.pop()))
        residual: PlainImages = F.pixel_shuffle(self.head(self.refinement(features)), stride)
        return images + residual


def _convolution(incoming: int, outgoing: int) -> nn.Conv2d:
    return nn.Conv2d(incoming, outgoing, 3, padding=1, bias=False)


def _stacks(kind: BlockKind, widths: Sequence[int], blocks: Sequence[int], heads: Sequence[int]) -> nn.ModuleList:
    return nn.ModuleList(_stack(kind, *level) for level in zip(widths, blocks, heads, strict=False))


def _stack(kind: BlockKind, width: int, blocks: int, heads: int) -> nn.Sequential:
    return nn.Sequential(*(kind.make(width, heads) for _ in range(blocks)))
