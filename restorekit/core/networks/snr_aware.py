"""SNR-Aware: low light by convolution nearby where a pixel holds signal, by attention far away where it holds noise.

Xu, Wang, Fu, Jia 2022, "SNR-Aware Low-Light Image Enhancement" (CVPR). Written from the paper; sizes and layers, which
it does not list, follow the measured behaviour of the authors' code. PTG-RM (arXiv:2403.06793) has it as its main base.

- The map of signal and noise is no input: it is computed from the image, relative to the image's largest value.
- Attention takes nothing from noisy patches. With that and the map, the result of a tile depends on the whole tile.
- Attention grows with the square of the number of 16x16 px blocks of the image.
"""

from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

from restorekit.core.networks.base import FeatureMaps, NetworkConfig, PlainImages, Width
from restorekit.core.networks.dense_unet import DenseBlock

__all__ = ["MaskedAttention", "SNRAware", "SNRAwareConfig", "SNRMap", "snr_map"]

SNRMap = Float[Tensor, "batch 1 height width"]
"""0 for noise alone to 1 for the cleanest pixel of the image."""

Tokens = Float[Tensor, "batch tokens features"]
"""One row for each patch of the features, row by row."""

Trusted = Bool[Tensor, "batch tokens"]
"""Which patches attention may take something from."""

Blocks = Annotated[int, Field(ge=0, le=256)]

SCALE = 4  # px per feature
PATCH = 4  # features per side of a patch
TRUST = 0.5  # patches whose mean in the map is not above this are masked
SLOPE = 0.1  # of every leaky ReLU
BLUR_PX = 5  # side of the box that stands for a denoiser in the map
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
TINY = 1e-4  # keeps both divisions of the map finite


class SNRAwareConfig(NetworkConfig):
    """SNR-Aware of any size; the defaults are those of the authors' code, 39,124,099 parameters."""

    summary: ClassVar[str] = "SNR-Aware (Xu et al. 2022): low light by convolution where clean, attention where noisy."

    width: Width = 64
    """Channels at every resolution; a token of the transformer has sixteen times as many."""
    blocks: tuple[Blocks, Blocks, Blocks] = (1, 6, 1)
    """Residual blocks before the two branches, in the short-range branch, and after both."""
    layers: int = Field(default=6, ge=1, le=64)
    """Transformer layers of the long-range branch."""
    heads: int = Field(default=8, ge=1, le=64)
    """Attention heads of each layer."""
    head_width: Width = 64
    """Channels of queries, keys and values of each head."""
    feedforward_width: Width = 2048
    """Hidden channels of each layer's feed-forward part."""
    channels: Width = 3
    """Colour planes of the image: 3 for RGB, 1 for gray."""

    @property
    def planes(self) -> tuple[int, int]:
        """As many planes as the image has."""
        return self.channels, self.channels

    @property
    def multiple_of(self) -> int:
        """Whole patches of features."""
        return SCALE * PATCH

    def build(self) -> "SNRAware":
        """The network with fresh weights."""
        return SNRAware(self)


class SNRAware(nn.Module):
    """Encoder to a quarter of the resolution, short- and long-range branch, their mixture, decoder with skips.

    Args:
        config: widths and depths.

    Differs from the paper: no.
    """

    def __init__(self, config: SNRAwareConfig) -> None:
        super().__init__()
        width = config.width
        before, short, after = config.blocks
        self.config = config
        self.to_full = nn.Conv2d(config.channels, width, 3, padding=1)
        self.to_half = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.to_quarter = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.before = _stack(width, before)
        self.short = _stack(width, short)
        self.long = nn.ModuleList(TransformerLayer(config) for _ in range(config.layers))
        self.after = _stack(width, after)
        self.from_quarter = nn.Conv2d(2 * width, 4 * width, 3, padding=1)
        self.from_half = nn.Conv2d(2 * width, 4 * width, 3, padding=1)
        self.merge = nn.Conv2d(2 * width, width, 3, padding=1)
        self.head = nn.Conv2d(width, config.channels, 3, padding=1)

    def forward(self, images: PlainImages) -> PlainImages:
        """Brighten images whose height and width are multiples of 16; same shape, unclamped."""
        full: FeatureMaps = F.leaky_relu(self.to_full(images), SLOPE)
        half: FeatureMaps = F.leaky_relu(self.to_half(full), SLOPE)
        quarter: FeatureMaps = F.leaky_relu(self.to_quarter(half), SLOPE)
        snr = snr_map(images)[:, :, ::SCALE, ::SCALE]
        features = self.mixed(self.before(quarter), snr)
        features = torch.cat([self.after(features), quarter], dim=1)
        features = torch.cat([F.leaky_relu(F.pixel_shuffle(self.from_quarter(features), 2), SLOPE), half], dim=1)
        features = torch.cat([F.leaky_relu(F.pixel_shuffle(self.from_half(features), 2), SLOPE), full], dim=1)
        residual: PlainImages = self.head(F.leaky_relu(self.merge(features), SLOPE))
        return images + residual

    def mixed(self, features: FeatureMaps, snr: SNRMap) -> FeatureMaps:
        """Both branches, weighted by the map at the features' resolution:  F = F_short S + F_long (1 - S)."""
        trusted = (F.avg_pool2d(snr, PATCH) > TRUST).flatten(1)
        patches: FeatureMaps = F.pixel_unshuffle(features, PATCH)
        tokens: Tokens = patches.flatten(2).transpose(1, 2)
        for layer in self.long:
            tokens = layer(tokens, trusted)
        far = F.pixel_shuffle(tokens.transpose(1, 2).reshape(patches.shape), PATCH)
        mixture: FeatureMaps = far + snr * (self.short(features) - far)
        return mixture


class TransformerLayer(nn.Module):
    """Attention, then two dense layers, each added to its input.

    Args:
        config: widths and heads.

    Differs from the paper: no. Dropout, zero in the authors' code, is left out.
    """

    def __init__(self, config: SNRAwareConfig) -> None:
        super().__init__()
        width = config.width * PATCH**2
        self.attention = MaskedAttention(width, config.heads, config.head_width)
        self.feedforward = nn.Sequential(
            nn.LayerNorm(width, eps=1e-6),
            nn.Linear(width, config.feedforward_width),
            nn.ReLU(),
            nn.Linear(config.feedforward_width, width),
        )

    def forward(self, tokens: Tokens, trusted: Trusted) -> Tokens:
        """Same shape as ``tokens``."""
        tokens = tokens + self.attention(tokens, trusted)
        fed: Tokens = self.feedforward(tokens)
        return tokens + fed


class MaskedAttention(nn.Module):
    """Self-attention with several heads that takes values from trusted tokens alone.

    softmax(Q K^T / sqrt(d) + m) V, where m is minus infinity for keys that are not trusted. Where no key is, all count
    alike: this is what the authors' code, whose m is a large number, comes to.

    Args:
        width: features of a token.
        heads: how many.
        head_width: d, channels of each head.

    Differs from the paper: no.
    """

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.expand = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.project = nn.Linear(heads * head_width, width, bias=False)

    def forward(self, tokens: Tokens, trusted: Trusted) -> Tokens:
        """What is to be added to the tokens; same shape."""
        queries, keys, values = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in self.expand(self.norm(tokens)).chunk(3, dim=2)
        )
        any_trusted = trusted.any(dim=1, keepdim=True)
        queries = queries * any_trusted[:, :, None, None]  # scores of zero: without a trusted key all count alike
        mask = (trusted | ~any_trusted)[:, None, None]
        attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        taken: Tokens = self.project(attended.transpose(1, 2).flatten(2))
        return taken


def snr_map(images: PlainImages) -> SNRMap:
    """Signal over noise of each pixel, as a share of the image's largest.

    S = D(g) / |g - D(g)|, divided by its largest value in the image, where g is the luma and D a denoiser.

    Args:
        images: (batch, planes, height, width), at least 3 px on each side; of other than 3 planes the mean is g.

    Returns:
        (batch, 1, height, width) in [0, 1].

    Differs from the paper: no. It leaves the denoiser open; the box of 5x5 px is the authors' code's.
    """
    weights = images.new_tensor(LUMA)[:, None, None] if images.shape[1] == 3 else 1 / images.shape[1]
    luma = (images * weights).sum(dim=1, keepdim=True)
    blurred = F.avg_pool2d(F.pad(luma, (BLUR_PX // 2,) * 4, mode="reflect"), BLUR_PX, stride=1)
    ratio = blurred / ((luma - blurred).abs() + TINY)
    return (ratio / (ratio.amax(dim=(1, 2, 3), keepdim=True) + TINY)).clamp(0, 1)


def _stack(width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(DenseBlock(width) for _ in range(blocks)))
