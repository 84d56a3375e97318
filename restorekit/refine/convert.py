"""Checkpoints of the authors' code, turned into ours: SNR-Aware with its refinement, the only base that they released.

- The base lies in the weight file, since it was trained together with the module; the prior stays outside.
- Everything is read off the shapes but the number of attention heads, which has no shape: theirs is always 8.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from restorekit.core.networks.catalogue import configure
from restorekit.core.networks.loading import put_weights
from restorekit.errors import ModelError
from restorekit.refine.config import RefinementConfig
from restorekit.refine.module import RefinementModule
from restorekit.refine.settings import RefineConfig

__all__ = ["ConvertedRefinement", "convert"]

Tensors = Mapping[str, Tensor]

INSIDE = "refinement11."
"""What the authors call the module within their network."""

MARK = f"{INSIDE}mapp12.weight"

HEADS = 8

PRIOR = "open_clip:ViT-B-32:openai:input=native"
"""The authors show CLIP the photo at its own size."""

NOTE = (
    "the authors show CLIP whole photos at their own size, which theirs takes and the published CLIP does not; here "
    "its position embedding is resized, and results may differ from theirs; its weights are not in the file"
)


@dataclass(frozen=True)
class ConvertedRefinement:
    """A checkpoint in our names."""

    config: RefineConfig
    """The settings that its shapes imply."""
    tensors: dict[str, Tensor]
    """For the parts "module" and "base" of a refinement's weight file."""
    notes: tuple[str, ...]
    """What its owner should know."""


def convert(tensors: Tensors, where: str) -> ConvertedRefinement | None:
    """Recognise a checkpoint, deduce its configuration, rename every tensor, and check that all of them fit.

    Args:
        tensors: by the authors' names.
        where: the file, for messages.

    Returns:
        None for checkpoints of anything but a refinement.

    Raises:
        ModelError: a refinement around a network that the authors have not released, or tensors that do not belong
            together: the message names one.
    """
    if MARK not in tensors:
        return None
    module = {name.removeprefix(INSIDE): part for name, part in tensors.items() if name.startswith(INSIDE)}
    base = {name: part for name, part in tensors.items() if not name.startswith(INSIDE)}
    if "recon_trunk_light.0.conv1.weight" not in base:
        raise ModelError(
            f"{where}: expected a refinement around SNR-Aware, as released, got it around another network "
            f"({next(iter(base), 'none at all')}, ...)"
        )
    try:
        config = RefineConfig.model_validate(
            {
                "base_network": "snr_aware",
                "base_options": _base_options(base),
                "module": _module_options(module),
                "prior": PRIOR,
            }
        )
        own = {f"base.{name}": part for name, part in _base_names(base).items()}
    except (KeyError, ValueError) as error:
        raise ModelError(
            f"{where}: expected a whole checkpoint of SNR-Aware with a refinement, got a part: {error}"
        ) from None
    own |= {f"module.{_renamed(name, MODULE)}": part for name, part in module.items()}
    _check(config, own, where)
    return ConvertedRefinement(config, own, (NOTE,))


def _check(config: RefineConfig, tensors: Tensors, where: str) -> None:
    """Every tensor has its place and its shape."""
    assert config.base_network is not None
    with torch.device("meta"):
        parts = {
            "base": configure(config.base_network, config.base_options).build(),
            "module": RefinementModule(config.module),
        }
    for part, network in parts.items():
        prefix = f"{part}."
        own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        put_weights(network, own, where)


def _module_options(tensors: Tensors) -> dict[str, Any]:
    return RefinementConfig(
        prior_dim=tensors["mapp_space1.weight"].shape[1],
        width=tensors["r1.weight"].shape[0],
        compose="residual",
        parity="official",
    ).model_dump()


def _base_options(tensors: Tensors) -> dict[str, Any]:
    attended = tensors["transformer.layer_stack.0.slf_attn.w_qs.weight"].shape[0]
    if attended % HEADS:
        raise ValueError(f"queries of {HEADS} heads, got {attended} channels")
    return {
        "width": tensors["conv_first_1.weight"].shape[0],
        "blocks": [_count(tensors, name) for name in ("feature_extraction", "recon_trunk_light", "recon_trunk")],
        "layers": _count(tensors, "transformer.layer_stack"),
        "heads": HEADS,
        "head_width": attended // HEADS,
        "feedforward_width": tensors["transformer.layer_stack.0.pos_ffn.w_1.weight"].shape[0],
        "channels": tensors["conv_last.weight"].shape[0],
    }


def _base_names(tensors: Tensors) -> dict[str, Tensor]:
    """SNR-Aware's tensors by our names; queries, keys and values are one layer here."""
    ours = {_renamed(name, BASE): part for name, part in tensors.items() if not re.search(r"\.w_[qkv]s\.weight$", name)}
    for layer in range(_count(tensors, "transformer.layer_stack")):
        parts = [tensors[f"transformer.layer_stack.{layer}.slf_attn.w_{letter}s.weight"] for letter in "qkv"]
        ours[f"long.{layer}.attention.expand.weight"] = torch.cat(parts)
    return ours


def _count(tensors: Tensors, stack: str) -> int:
    """Parts of a numbered stack."""
    pattern = re.compile(rf"{re.escape(stack)}\.(\d+)\.")
    return len({found[1] for found in map(pattern.match, tensors) if found})


def _renamed(name: str, names: Mapping[str, str]) -> str:
    """Our name; one that is not known stays and is refused by the check."""
    for theirs, ours in names.items():
        renamed, count = re.subn(rf"^{theirs}(?=\.\w+$|$)", ours, name)
        if count:
            return renamed
    return name


BASE = {
    "conv_first_1": "to_full",
    "conv_first_2": "to_half",
    "conv_first_3": "to_quarter",
    r"feature_extraction\.(\d+)\.conv1": r"before.\1.first",
    r"feature_extraction\.(\d+)\.conv2": r"before.\1.second",
    r"recon_trunk_light\.(\d+)\.conv1": r"short.\1.first",
    r"recon_trunk_light\.(\d+)\.conv2": r"short.\1.second",
    r"recon_trunk\.(\d+)\.conv1": r"after.\1.first",
    r"recon_trunk\.(\d+)\.conv2": r"after.\1.second",
    r"transformer\.layer_stack\.(\d+)\.slf_attn\.layer_norm": r"long.\1.attention.norm",
    r"transformer\.layer_stack\.(\d+)\.slf_attn\.fc": r"long.\1.attention.project",
    r"transformer\.layer_stack\.(\d+)\.pos_ffn\.layer_norm": r"long.\1.feedforward.0",
    r"transformer\.layer_stack\.(\d+)\.pos_ffn\.w_1": r"long.\1.feedforward.1",
    r"transformer\.layer_stack\.(\d+)\.pos_ffn\.w_2": r"long.\1.feedforward.3",
    "upconv1": "from_quarter",
    "upconv2": "from_half",
    "HRconv": "merge",
    "conv_last": "head",
}
"""SNR-Aware: pattern of the authors' name -> ours."""

MODULE = {
    "r1": "encoder.stem",
    "r1norm": "encoder.stem_norm",
    "r2": "encoder.to_half",
    "r2norm": "encoder.half_norm",
    "r22": "encoder.to_quarter",
    "mapp_position1": "enhancement.range_map.guided.embedding.expand",
    "mapp_position2": "enhancement.range_map.guided.embedding.mix",
    "mapp_space1": "enhancement.range_map.mapping.layers.0",
    "mapp_space2": "enhancement.range_map.mapping.layers.2",
    "r1_mask": "enhancement.range_map.guided",
    "r2_mask": "enhancement.range_map.score",
    r"resnet\.conv1": "enhancement.short.first",
    r"resnet\.conv2": "enhancement.short.second",
    r"transformer\.(\d+)\.norm1\.body": r"enhancement.long.blocks.\1.attention_norm",
    r"transformer\.(\d+)\.attn\.temperature": r"enhancement.long.blocks.\1.attention.temperature",
    r"transformer\.(\d+)\.attn\.qkv": r"enhancement.long.blocks.\1.attention.expand",
    r"transformer\.(\d+)\.attn\.qkv_dwconv": r"enhancement.long.blocks.\1.attention.depthwise",
    r"transformer\.(\d+)\.attn\.project_out": r"enhancement.long.blocks.\1.attention.project",
    r"transformer\.(\d+)\.norm2\.body": r"enhancement.long.blocks.\1.feedforward_norm",
    r"transformer\.(\d+)\.ffn\.project_in": r"enhancement.long.blocks.\1.feedforward.expand",
    r"transformer\.(\d+)\.ffn\.dwconv": r"enhancement.long.blocks.\1.feedforward.depthwise",
    r"transformer\.(\d+)\.ffn\.project_out": r"enhancement.long.blocks.\1.feedforward.project",
    "mapp_position11": "attention.spatial.guided.embedding.expand",
    "mapp_position22": "attention.spatial.guided.embedding.mix",
    "mapp_space11": "attention.mapping.layers.0",
    "mapp_space22": "attention.mapping.layers.2",
    "mapping11": "attention.channel.squeeze",
    "mapping12": "attention.channel.excite",
    "mapp11": "attention.spatial.guided",
    "mapp12": "attention.spatial.kernels",
    "mapp1": "attention.spatial.score",
    "refine11": "attention.fuse",
    "r1_decoder": "decoder.to_half",
    "r2_decoder": "decoder.to_full",
    "conv_last2": "decoder.smooth",
    "conv_last3": "decoder.tail",
}
"""The module: likewise."""
