"""Blocks of NAFNet and Restormer in equal forms for inference: fewer passes over the features, the same results.

On a CPU these blocks wait for memory more than they compute, so a pass saved counts.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.core.networks.base import FeatureMaps
from restorekit.core.networks.fold import scaled, with_norm
from restorekit.core.networks.layer_norm import BiasFreeLayerNorm2d, LayerNorm2d, normalised, rescaled
from restorekit.core.networks.nafnet import NAFBlock, simple_gate
from restorekit.core.networks.restormer import RestormerBlock

__all__ = ["FoldedNAFBlock", "FoldedRestormerBlock"]


class FoldedNAFBlock(nn.Module):
    """What ``NAFBlock`` computes, with five passes over the features fewer.

    The norms' weights go into the convolutions after them, beta and gamma into those before, and attention scales the
    weights of a convolution instead of its input.

    Args:
        block: whose weights are merged.
    """

    def __init__(self, block: NAFBlock) -> None:
        super().__init__()
        mixing, gating = block.mixing_norm, block.gating_norm
        self.eps = mixing.eps
        self.mixing_expand = with_norm(block.mixing_expand, mixing.weight, mixing.bias)
        self.mixing_depthwise = block.mixing_depthwise
        self.attention = block.attention
        self.mixing_project = scaled(block.mixing_project, block.beta)
        self.gating_expand = with_norm(block.gating_expand, gating.weight, gating.bias)
        self.gating_project = scaled(block.gating_project, block.gamma)

    def forward(self, features: FeatureMaps) -> FeatureMaps:
        """Same shape as ``features``."""
        mixed = simple_gate(self.mixing_depthwise(self.mixing_expand(normalised(features, self.eps))))
        mixed_in = _sum(self._projected(mixed), features)
        gated = simple_gate(self.gating_expand(normalised(mixed_in, self.eps)))
        gated_in: FeatureMaps = _sum(self.gating_project(gated), mixed_in)
        return gated_in

    def _projected(self, mixed: FeatureMaps) -> FeatureMaps:
        attention, project = self.attention(mixed.mean(dim=(2, 3), keepdim=True)), self.mixing_project
        if len(mixed) > 1:  # attention is of each image
            projected: FeatureMaps = project(mixed * attention)
            return projected
        return F.conv2d(mixed, project.weight * attention.to(project.weight.dtype), project.bias)


class FoldedRestormerBlock(nn.Module):
    """What ``RestormerBlock`` computes, with fewer passes over the features and fewer multiplications.

    The norms' weights go into the convolutions after them. Query and key keep their lengths: their products are divided
    by them. Attention and the projection after it become one matrix, since nothing stands between them.

    Args:
        block: whose weights are merged.
    """

    def __init__(self, block: RestormerBlock) -> None:
        super().__init__()
        attention, feedforward = block.attention, block.feedforward
        self.heads = attention.heads
        self.norm = rescaled if isinstance(block.attention_norm, BiasFreeLayerNorm2d) else normalised
        self.eps = float(block.attention_norm.eps)  # type: ignore[arg-type]
        self.temperature = attention.temperature
        self.expand = _after(block.attention_norm, attention.expand)
        self.depthwise = attention.depthwise
        self.project = attention.project
        self.hidden = _after(block.feedforward_norm, feedforward.expand)
        self.hidden_depthwise = feedforward.depthwise
        self.hidden_project = feedforward.project

    def forward(self, features: FeatureMaps) -> FeatureMaps:
        """Same shape as ``features``."""
        attended = _sum(self._attended(features), features)
        gate, content = self.hidden_depthwise(self.hidden(self.norm(attended, self.eps))).chunk(2, dim=1)
        fed: FeatureMaps = _sum(self.hidden_project(F.gelu(gate).mul_(content)), attended)
        return fed

    def _attended(self, features: FeatureMaps) -> FeatureMaps:
        batch, channels, height, width = features.shape
        mixed = self.depthwise(self.expand(self.norm(features, self.eps)))
        split = mixed.reshape(batch, 3, self.heads, channels // self.heads, height * width)
        query, key, value = split.unbind(dim=1)
        lengths = [torch.linalg.vector_norm(part, dim=-1).clamp(min=1e-12) for part in (query, key)]
        similarity = query @ key.transpose(-2, -1) / (lengths[0][..., None] * lengths[1][..., None, :])
        attention = torch.softmax(similarity * self.temperature, dim=-1)
        project = self.project.weight.reshape(channels, self.heads, channels // self.heads)
        joined = torch.einsum("ohc,bhcv->bohv", project.to(attention.dtype), attention).reshape(batch, channels, -1)
        projected = (joined @ value.reshape(batch, channels, -1)).reshape(features.shape)
        bias = self.project.bias
        shifted: FeatureMaps = projected if bias is None else projected + bias.to(projected)[:, None, None]
        return shifted


def _after(norm: nn.Module, convolution: nn.Conv2d) -> nn.Conv2d:
    """The convolution, with the weights of the norm before it."""
    bias = norm.bias if isinstance(norm, LayerNorm2d) else None
    return with_norm(convolution, norm.weight, bias)  # type: ignore[arg-type]


def _sum(result: Tensor, features: FeatureMaps) -> FeatureMaps:
    """Both added up, in the place of the result; under autocast, where it is narrower, in a new one."""
    return result.add_(features) if result.dtype == features.dtype else features + result
