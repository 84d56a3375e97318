"""The refinement module as its authors released it, written plainly: what suite ``refine`` is measured against.

    python benchmarks/plain_refinement.py idle|ours|plain HEIGHT WIDTH     (one forward pass, for its peak memory)

Functions of a state dict in our names, so that both compute the same with the same weights. Every concatenation is
made, prior and position are spread over the image, and the dynamic filter gathers all nine neighbours of every pixel.
"""

import sys
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from restorekit.comparison.cost import peak_memory
from restorekit.refine import RefinementConfig, RefinementModule

__all__ = ["inputs", "make_module", "plain_refinement"]

Weights = Mapping[str, Tensor]

PRIOR_DIM = 512
SLOPE = 0.1


def make_module() -> RefinementModule:
    """The module as released: 671,735 weights, always the same."""
    torch.manual_seed(0)
    config = RefinementConfig(prior_dim=PRIOR_DIM, compose="residual", parity="official")
    return RefinementModule(config).eval()


def inputs(height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """A restored and a degraded image, and a prior of unit length."""
    generator = torch.Generator().manual_seed(1)
    restored, degraded = (torch.rand(1, 3, height, width, generator=generator) for _ in range(2))
    return restored, degraded, F.normalize(torch.randn(1, PRIOR_DIM, generator=generator))


def plain_refinement(weights: Weights, restored: Tensor, degraded: Tensor, prior: Tensor) -> Tensor:
    """The released graph: (1, 3, height, width), sides that are multiples of four."""
    features = _encoded(weights, torch.cat([restored, degraded], dim=1))
    features = _enhanced(weights, features, prior)
    features = _attended(weights, features, prior)
    for name in ("to_half", "to_full"):
        features = _leaky(F.pixel_shuffle(_conv(weights, f"decoder.{name}", features), 2))
    features = _leaky(_conv(weights, "decoder.smooth", features))
    return restored.clamp(0, 1) + _conv(weights, "decoder.tail", features)


def _encoded(weights: Weights, pair: Tensor) -> Tensor:
    full = _leaky(_instance_norm(weights, "encoder.stem_norm", _conv(weights, "encoder.stem", pair)))
    half = _instance_norm(weights, "encoder.half_norm", _conv(weights, "encoder.to_half", full, stride=2))
    return _conv(weights, "encoder.to_quarter", half, stride=2)


def _enhanced(weights: Weights, features: Tensor, prior: Tensor) -> Tensor:
    at = "enhancement.range_map"
    guide = _mapped(weights, f"{at}.mapping", prior)
    beside = torch.cat(
        [features, _spread(guide, features), _position(weights, f"{at}.guided.embedding", features)], dim=1
    )
    hidden = _leaky(_conv(weights, f"{at}.guided", beside))
    range_map = torch.sigmoid(_conv(weights, f"{at}.score", hidden))
    long = features
    for index in range(4):
        long = _transformer(weights, f"enhancement.long.blocks.{index}", long)
    hidden = F.relu(_conv(weights, "enhancement.short.first", features))
    short = features + _conv(weights, "enhancement.short.second", hidden)
    return range_map * long + (1 - range_map) * short


def _attended(weights: Weights, features: Tensor, prior: Tensor) -> Tensor:
    guide = _mapped(weights, "attention.mapping", prior)
    pooled = torch.cat([features.mean(dim=(2, 3)), guide], dim=1)
    squeezed = _leaky(F.linear(pooled, weights["attention.channel.squeeze.weight"]))
    channels = torch.sigmoid(F.linear(squeezed, weights["attention.channel.excite.weight"]))[:, :, None, None]
    at = "attention.spatial"
    beside = torch.cat(
        [features, _spread(guide, features), _position(weights, f"{at}.guided.embedding", features)], dim=1
    )
    kernels = _conv(weights, f"{at}.kernels", _leaky(_conv(weights, f"{at}.guided", beside)))
    filtered = _leaky(_filtered(features, kernels))
    pixels = torch.sigmoid(_conv(weights, f"{at}.score", filtered))
    both = torch.cat([channels * features, pixels * features], dim=1)
    return features + _conv(weights, "attention.fuse", both)


def _filtered(features: Tensor, kernels: Tensor) -> Tensor:
    """Every pixel by its own 3x3 kernel for each channel; neighbours and kernels side by side, then one product."""
    batch, channels, height, width = features.shape
    neighbours = F.pad(features, (1, 1, 1, 1), mode="replicate").unfold(2, 3, 1).unfold(3, 3, 1)
    gathered = neighbours.permute(0, 2, 3, 1, 4, 5).reshape(batch, height, width, channels, 9)
    own = kernels.permute(0, 2, 3, 1).reshape(batch, height, width, channels, 9)
    return (gathered * own).sum(dim=-1).permute(0, 3, 1, 2).contiguous()


def _transformer(weights: Weights, at: str, features: Tensor) -> Tensor:
    batch, channels, height, width = features.shape
    mixed = _conv(weights, f"{at}.attention.expand", _layer_norm(weights, f"{at}.attention_norm", features))
    mixed = _conv(weights, f"{at}.attention.depthwise", mixed, groups=3 * channels)
    query, key, value = mixed.flatten(2).chunk(3, dim=1)
    alike = F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).transpose(1, 2)
    taken = torch.softmax(alike * weights[f"{at}.attention.temperature"], dim=-1) @ value
    features = features + _conv(weights, f"{at}.attention.project", taken.reshape(batch, channels, height, width))
    hidden = _conv(weights, f"{at}.feedforward.expand", _layer_norm(weights, f"{at}.feedforward_norm", features))
    gate, content = _conv(weights, f"{at}.feedforward.depthwise", hidden, groups=hidden.shape[1]).chunk(2, dim=1)
    return features + _conv(weights, f"{at}.feedforward.project", F.gelu(gate) * content)


def _mapped(weights: Weights, at: str, prior: Tensor) -> Tensor:
    return F.linear(_leaky(F.linear(prior, weights[f"{at}.layers.0.weight"])), weights[f"{at}.layers.2.weight"])


def _position(weights: Weights, at: str, features: Tensor) -> Tensor:
    rows, columns = (torch.linspace(-1, 1, side) for side in features.shape[2:])
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None].repeat(len(features), 1, 1, 1)
    return _conv(weights, f"{at}.mix", _leaky(_conv(weights, f"{at}.expand", grid)))


def _spread(guide: Tensor, features: Tensor) -> Tensor:
    return guide[:, :, None, None].repeat(1, 1, *features.shape[2:])


def _conv(weights: Weights, name: str, images: Tensor, *, stride: int = 1, groups: int = 1) -> Tensor:
    weight = weights[f"{name}.weight"]
    padding = weight.shape[2] // 2
    return F.conv2d(images, weight, weights.get(f"{name}.bias"), stride=stride, padding=padding, groups=groups)


def _instance_norm(weights: Weights, name: str, images: Tensor) -> Tensor:
    return F.instance_norm(images, weight=weights[f"{name}.weight"], bias=weights[f"{name}.bias"])


def _layer_norm(weights: Weights, name: str, images: Tensor) -> Tensor:
    rows = images.permute(0, 2, 3, 1)
    normed = F.layer_norm(rows, rows.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"])
    return normed.permute(0, 3, 1, 2).contiguous()


def _leaky(images: Tensor) -> Tensor:
    return F.leaky_relu(images, SLOPE)


def main(which: str, height: int, width: int) -> None:
    """One forward pass in this process; prints by how many bytes it grew at most."""
    module, given = make_module(), inputs(height, width)
    passes: dict[str, Callable[..., object]] = {
        "ours": module,
        "plain": lambda *images: plain_refinement(module.state_dict(), *images),
    }
    if which not in passes:
        sys.exit(f"expected one of {', '.join(passes)}, got {which!r}")
    with torch.inference_mode():
        passes[which](*inputs(32, 48))  # what libraries set up once is no memory of the pass
        with peak_memory(None) as peak:
            passes[which](*given)
        print(peak())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
