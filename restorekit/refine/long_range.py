"""The long-range branch of PTG-SVE: Restormer blocks, whose attention looks at the whole image at once.

- What a block takes from the whole image is one small matrix of channels by channels. ``attention_matrix`` finds it,
  from sums over pixels that tiles can add up; with the matrices given, every block is local and tiles equal the whole.
- With gradients each block is computed again in the backward pass instead of being kept: half of the module's
  activations would be this branch's, and it is 4 % of its work.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from restorekit.core.networks.restormer import ChannelAttention, RestormerBlock
from restorekit.refine.shapes import Features
from restorekit.refine.shared_norm import at_least_float32

__all__ = ["AttentionMatrix", "LongRange", "Products", "attention_matrix", "products"]

AttentionMatrix = Float[Tensor, "batch channels channels"]
"""How much each channel (row) takes of each other (column), after the softmax."""

SMALLEST_NORM = 1e-12  # below it a query or key counts as zero, as in torch.nn.functional.normalize


class LongRange(nn.Module):
    """Restormer blocks with one head.

    Args:
        channels: width.
        blocks: how many; 4 in the authors' code.

    Differs from the paper: no; it names Restormer's blocks, not their number.
    """

    def __init__(self, channels: int, *, blocks: int = 4) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(RestormerBlock(channels, heads=1) for _ in range(blocks))

    def forward(self, features: Features, matrices: Sequence[AttentionMatrix] | None = None) -> Features:
        """All blocks on a whole image; or, on a tile, as many blocks as attention matrices are given."""
        if matrices is not None:
            for index, matrix in enumerate(matrices):
                features = _with_matrix(self.block(index), features, matrix)
            return features
        for block in self.blocks:
            if torch.is_grad_enabled():
                features = checkpoint(block, features, use_reentrant=False, preserve_rng_state=False)
            else:
                features = block(features)
        return features

    def block(self, index: int) -> RestormerBlock:
        """One of the blocks."""
        return cast(RestormerBlock, self.blocks[index])


@dataclass(frozen=True)
class Products:
    """Sums over pixels that an attention matrix is made of; those of tiles add up to those of the whole."""

    query_key: AttentionMatrix
    query_query: Float[Tensor, "batch channels"]
    key_key: Float[Tensor, "batch channels"]

    def __add__(self, other: "Products") -> "Products":
        return Products(
            self.query_key + other.query_key, self.query_query + other.query_query, self.key_key + other.key_key
        )


def products(block: RestormerBlock, features: Features, inner: tuple[slice, slice]) -> Products:
    """The sums of one block over the ``inner`` rows and columns of its input, in float32 at least."""
    attention = block.attention
    mixed = _mixed(attention, block.attention_norm(features), of_value=False)[:, :, *inner]
    query, key = at_least_float32(mixed).flatten(2).chunk(2, dim=1)
    with torch.autocast(mixed.device.type, enabled=False):
        return Products(query @ key.transpose(-2, -1), query.square().sum(-1), key.square().sum(-1))


def attention_matrix(block: RestormerBlock, sums: Products) -> AttentionMatrix:
    """The attention matrix of a whole image from its sums (eq. 1 of Restormer, arXiv:2111.09881).

    Normalising the product by both lengths is normalising query and key before; it needs no normalised copies.

    Differs from the paper: no.
    """
    lengths = [norm.sqrt().clamp_min(SMALLEST_NORM) for norm in (sums.query_query, sums.key_key)]
    similarity = sums.query_key / (lengths[0][:, :, None] * lengths[1][:, None])
    return torch.softmax(similarity * block.attention.temperature, dim=-1)


def _with_matrix(block: RestormerBlock, features: Features, matrix: AttentionMatrix) -> Features:
    """The block with the attention matrix of the whole image: only values are computed."""
    attention = block.attention
    value = _mixed(attention, block.attention_norm(features), of_value=True)
    attended = (matrix.to(value.dtype) @ value.flatten(2)).reshape(value.shape)
    features = features + attention.project(attended)
    fed: Features = block.feedforward(block.feedforward_norm(features))
    return features + fed


def _mixed(
    attention: ChannelAttention, normalised: Features, *, of_value: bool
) -> Float[Tensor, "batch mixed rows columns"]:
    """The values, or query and key; weights of the others are not applied."""
    channels = normalised.shape[1]
    part = slice(2 * channels, None) if of_value else slice(0, 2 * channels)
    expanded = F.conv2d(normalised, attention.expand.weight[part])
    return F.conv2d(expanded, attention.depthwise.weight[part], padding=1, groups=expanded.shape[1])
