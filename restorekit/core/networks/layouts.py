"""The layouts of official checkpoints: how each is recognised, what its shapes say, what its tensors are called here.

- NAFNet: ``intro``, ``encoders.L.B``, ``middle_blks.B``, ``decoders.L.B``, ``ending``. Decoders and their upsampling
  count from the coarsest level; ours count from the finest everywhere.
- Restormer: ``patch_embed.proj``, ``encoder_level1.B`` to ``latent.B``, ``decoder_level3.B`` to 1, ``refinement.B``.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from restorekit.core.networks.base import NetworkConfig
from restorekit.core.networks.nafnet import NAFNetConfig
from restorekit.core.networks.restormer import RestormerConfig

__all__ = ["LAYOUTS", "Layout"]

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """One official layout."""

    network: str
    """Name in ``NETWORKS``."""
    marks: frozenset[str]
    """Names that every checkpoint of this layout has, and no other layout."""
    deduce: Callable[[Tensors], NetworkConfig]
    """The configuration that the shapes imply; KeyError, IndexError or ValueError where a part is missing."""
    rename: Callable[[str, Tensors], str]
    """Our name for one of the checkpoint's names."""


def _deduce_nafnet(tensors: Tensors) -> NAFNetConfig:
    levels = _count(tensors, r"downs\.(\d+)\.")
    return NAFNetConfig(
        width=tensors["intro.weight"].shape[0],
        channels=tensors["intro.weight"].shape[1],
        encoder_blocks=tuple(_count(tensors, rf"encoders\.{level}\.(\d+)\.") for level in range(levels)),
        middle_blocks=_count(tensors, r"middle_blks\.(\d+)\."),
        decoder_blocks=tuple(_count(tensors, rf"decoders\.{level}\.(\d+)\.") for level in reversed(range(levels))),
    )


def _rename_nafnet(name: str, tensors: Tensors) -> str:
    levels = _count(tensors, r"downs\.(\d+)\.")
    part, _, rest = name.partition(".")
    for official, ours in _NAFNET_BLOCK.items():
        rest = re.sub(rf"(^|\.){re.escape(official)}(\.|$)", rf"\1{ours}\2", rest)
    if part in {"decoders", "ups"}:
        rest = re.sub(r"^\d+", lambda index: str(levels - 1 - int(index[0])), rest)
    return f"{_NAFNET_PARTS.get(part, part)}.{rest}"


_NAFNET_PARTS = {
    "intro": "stem",
    "encoders": "encoder",
    "middle_blks": "middle",
    "decoders": "decoder",
    "ending": "head",
}

_NAFNET_BLOCK = {
    "norm1": "mixing_norm",
    "conv1": "mixing_expand",
    "conv2": "mixing_depthwise",
    "sca.1": "attention",
    "conv3": "mixing_project",
    "norm2": "gating_norm",
    "conv4": "gating_expand",
    "conv5": "gating_project",
}


def _deduce_restormer(tensors: Tensors) -> RestormerConfig:
    stacks = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")
    width = tensors["patch_embed.proj.weight"].shape[0]
    hidden = [tensors[f"{stack}.0.ffn.project_out.weight"].shape[1] for stack in stacks]
    return RestormerConfig(
        width=width,
        blocks=tuple(_count(tensors, rf"{stack}\.(\d+)\.") for stack in stacks),
        refinement_blocks=_count(tensors, r"refinement\.(\d+)\."),
        heads=tuple(tensors[f"{stack}.0.attn.temperature"].shape[0] for stack in stacks),
        expansion=_expansion([width * 2**level for level in range(len(stacks))], hidden),
        norm="with_bias" if "latent.0.norm1.body.bias" in tensors else "bias_free",
        bias="latent.0.attn.qkv.bias" in tensors,
        in_channels=tensors["patch_embed.proj.weight"].shape[1],
        out_channels=tensors["output.weight"].shape[0],
        dual_pixel="skip_conv.weight" in tensors,
    )


def _expansion(widths: Iterable[int], hidden: Iterable[int]) -> float:
    """The number with fewest decimals that, times each width and cut to an integer, gives each hidden width."""
    pairs = list(zip(widths, hidden, strict=True))
    low = max(size / width for width, size in pairs)
    for decimals in range(8):
        candidate = -(-low * 10**decimals // 1) / 10**decimals
        if all(int(width * candidate) == size for width, size in pairs):
            return float(candidate)
    raise ValueError(f"feed-forward widths {[size for _, size in pairs]} that no common expansion explains")


def _rename_restormer(name: str, tensors: Tensors) -> str:  # noqa: ARG001  (as for every layout)
    for pattern, ours in _RESTORMER_NAMES:
        name = re.sub(pattern, ours, name)
    return name


_RESTORMER_NAMES = (
    (r"^patch_embed\.proj\.", "stem."),
    (r"^encoder_level1\.", "encoder.0."),
    (r"^encoder_level2\.", "encoder.1."),
    (r"^encoder_level3\.", "encoder.2."),
    (r"^decoder_level1\.", "decoder.0."),
    (r"^decoder_level2\.", "decoder.1."),
    (r"^decoder_level3\.", "decoder.2."),
    (r"^down1_2\.body\.", "downs.0."),
    (r"^down2_3\.body\.", "downs.1."),
    (r"^down3_4\.body\.", "downs.2."),
    (r"^up2_1\.body\.", "ups.0."),
    (r"^up3_2\.body\.", "ups.1."),
    (r"^up4_3\.body\.", "ups.2."),
    (r"^reduce_chan_level2\.", "merges.0."),
    (r"^reduce_chan_level3\.", "merges.1."),
    (r"^skip_conv\.", "skip."),
    (r"^output\.", "head."),
    (r"\.norm1\.body\.", ".attention_norm."),
    (r"\.norm2\.body\.", ".feedforward_norm."),
    (r"\.attn\.qkv_dwconv\.", ".attention.depthwise."),
    (r"\.attn\.qkv\.", ".attention.expand."),
    (r"\.attn\.project_out\.", ".attention.project."),
    (r"\.attn\.temperature", ".attention.temperature"),
    (r"\.ffn\.project_in\.", ".feedforward.expand."),
    (r"\.ffn\.dwconv\.", ".feedforward.depthwise."),
    (r"\.ffn\.project_out\.", ".feedforward.project."),
)


def _count(names: Iterable[str], pattern: str) -> int:
    """One more than the largest number that ``pattern`` finds at the start of a name."""
    found = [int(match[1]) for name in names if (match := re.match(pattern, name))]
    return max(found, default=-1) + 1


LAYOUTS: tuple[Layout, ...] = (
    Layout("nafnet", frozenset({"intro.weight", "ending.weight"}), _deduce_nafnet, _rename_nafnet),
    Layout(
        "restormer",
        frozenset({"patch_embed.proj.weight", "encoder_level1.0.attn.temperature"}),
        _deduce_restormer,
        _rename_restormer,
    ),
)
"""Every layout that can be converted."""
