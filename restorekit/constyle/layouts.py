"""The authors' names for what a ConStyle checkpoint holds, what its shapes say, and what the parts are called here.

From Dongqi-Fan/IRConStyle and Dongqi-Fan/ConStyle_v2. The encoder is ``ConStyle.encoder_q``; levels count from 1, the
finest, as ``Process_Module_l1`` on the way down and ``Process_Module_r1`` on the way up; ``AffineTransform0`` projects
the map at 1/2. The names inside the blocks are those of NAFNet, Restormer and MAXIM.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from restorekit.constyle.config import MaximUNetConfig, UNetConfig
from restorekit.core.networks import layouts as core

__all__ = ["LAYOUTS", "UNUSED", "Layout"]

Tensors = Mapping[str, Tensor]

UNUSED = r"^ConStyle\.(encoder_k\.|queue|encoder_q\.classifier\.)|^Process_Module_.*\.cross_gating_block\."
"""What only training needs, and the gates inside MAXIM's blocks that are never called."""


@dataclass(frozen=True)
class Layout:
    """ConStyle around one kind of block."""

    block: str
    """As in the configuration."""
    mark: str
    """A name that every checkpoint of it has, and no other."""
    deduce: Callable[[Tensors], UNetConfig | MaximUNetConfig]
    """The configuration that the shapes imply; KeyError or ValueError where a part is missing."""
    rename: Callable[[str], str]
    """Our name for one of the authors'."""


def _deduce_nafnet(tensors: Tensors) -> UNetConfig:
    return UNetConfig(block="nafnet", width=tensors["Preprocess_Module.0.weight"].shape[0], **_depths(tensors))


def _deduce_restormer(tensors: Tensors) -> UNetConfig:
    stacks = ("l1", "l2", "l3", "bottom")
    return UNetConfig(
        block="restormer",
        width=tensors["Preprocess_Module.proj.weight"].shape[0],
        heads=tuple(tensors[f"Process_Module_{stack}.0.attn.temperature"].shape[0] for stack in stacks),
        refinement_blocks=_count(tensors, "Finetune_Module") - 1,
        **_depths(tensors),
    )


def _deduce_conv(tensors: Tensors) -> UNetConfig:
    width = tensors["Preprocess_Module.0.weight"].shape[0]
    return UNetConfig(
        block="conv",
        width=width,
        encoder_width=_encoder_width(tensors),
        encoder_blocks=(1, 1, 1),
        middle_blocks=1,
        decoder_blocks=(1, 1, 1),
    )


def _deduce_maxim(tensors: Tensors) -> MaximUNetConfig:
    gate = "SplitHeadMultiAxisGmlpLayer_0.GridGmlpLayer.GridGatingUnit.Dense_0.weight"
    stacks = ("l1", "l2", "l3", "bottom.0")
    return MaximUNetConfig(
        width=tensors["stage_input_conv_0.weight"].shape[0],
        encoder_width=_encoder_width(tensors),
        windows=tuple(math.isqrt(tensors[f"Process_Module_{stack}.{gate}"].shape[0]) for stack in stacks),
        middle_blocks=_count(tensors, "Process_Module_bottom"),
    )


def _depths(tensors: Tensors) -> dict[str, Any]:
    return {
        "encoder_width": _encoder_width(tensors),
        "encoder_blocks": tuple(_count(tensors, f"Process_Module_l{level}") for level in (1, 2, 3)),
        "middle_blocks": _count(tensors, "Process_Module_bottom"),
        "decoder_blocks": tuple(_count(tensors, f"Process_Module_r{level}") for level in (1, 2, 3)),
    }


def _encoder_width(tensors: Tensors) -> int:
    return tensors["ConStyle.encoder_q.stage1.0.0.weight"].shape[0]


def _count(tensors: Tensors, stack: str) -> int:
    """How many blocks a stack has."""
    return len({match[1] for name in tensors if (match := re.match(rf"{stack}\.(\d+)\.", name))})


# ----------------------------------------------------------------------------------------------------------- the names

Names = tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]
"""Patterns and what takes their place, one after the other."""


def _renamed(name: str, names: Names) -> str:
    for pattern, ours in names:
        name = re.sub(pattern, ours, name)
    return name


def _numbered(form: str, *, factor: int = 1, plus: int = 0) -> Callable[[re.Match[str]], str]:
    """What a match becomes: ``form`` with each number of it times ``factor`` plus ``plus``."""
    return lambda match: form.format(*(factor * int(number) + plus for number in match.groups()))


SKELETON: Names = (
    (r"^ConStyle\.encoder_q\.mlp1\.", "encoder.early_head."),
    (r"^ConStyle\.encoder_q\.mlp2\.", "encoder.head."),
    (r"^ConStyle\.encoder_q\.stage(\d)\.", _numbered("encoder.stages.{}.", plus=-1)),
    (r"(?<=^encoder\.stages\.\d\.)(\d)\.0\.", _numbered("{}.", factor=2)),
    (r"^Process_Module_l(\d)\.", _numbered("unet.encoder.{}.", plus=-1)),
    (r"^Process_Module_r(\d)\.", _numbered("unet.decoder.{}.", plus=-1)),
    (r"^Process_Module_bottom\.", "unet.middle."),
    (r"^DC(\d)\.down\.0\.", _numbered("unet.downs.{}.reduce.", plus=-1)),
    (r"^UC(\d)\.up\.0\.", _numbered("unet.ups.{}.expand.", plus=-1)),
    (r"^UC(\d)\.down\.", _numbered("unet.ups.{}.join.", plus=-1)),
    (r"^AffineTransform(\d)\.", r"unet.downs.\1.project."),
    (r"^local_fusion\.", "unet.fusion.fuse."),
    (r"^mlp\.0\.", "unet.fusion.scale."),
)

CONV: Names = (
    (r"^Preprocess_Module\.", "unet.stem."),
    (r"^Finetune_Module\.0\.", "unet.head.0."),
    (r"^Finetune_Module\.1\.(\d)\.", _numbered("unet.head.{}.", plus=1)),
    (
        r"(?<=^unet\.)(encoder\.\d|decoder\.\d|middle)\.(\d)\.(\d)\.",
        lambda match: f"{match[1]}.0.layers.{2 * int(match[2]) + int(match[3])}.",
    ),
)

MAXIM: Names = (
    (r"^stage_input_conv_(\d)\.", r"unet.stems.\1."),
    (r"^Finetune_Module\.0\.", "unet.head."),
    (r"\.UNetEncoderBlock_0\.", "."),
    (r"^unet\.encoder\.(\d)\.Conv_0\.", r"unet.fusions.\1."),
    (r"^unet\.decoder\.(\d)\.Conv_0\.", r"unet.ups.\1.join."),
    (r"^unet\.middle\.(\d+)\.input_proj\.", _numbered("unet.middle_{}.", factor=2)),
    (r"^unet\.middle\.(\d+)\.", _numbered("unet.middle_{}.", factor=2, plus=1)),
    (r"^unet\.middle_", "unet.middle."),
    (
        r"^UpSampleRatio_(\d)\.Conv_0\.",
        lambda match: f"unet.gates.mixes.{2 - int(match[1]) // 3}.reductions.{int(match[1]) % 3}.",
    ),
    (r"^cross_gating_block_(\d)\.ConvTranspose_0\.", r"unet.gates.ups.\1."),
    (r"^cross_gating_block_(\d)\.Conv_0\.", r"unet.gates.gates.\1.signal_input."),
    (r"^cross_gating_block_(\d)\.Conv_1\.", r"unet.gates.gates.\1.guide_input."),
    (r"^cross_gating_block_", "unet.gates.gates."),
    (r"\.(LayerNorm|in_project|SplitHeadMultiAxisGating)_x\.", r".signal_weights.\1."),
    (r"\.(LayerNorm|in_project|SplitHeadMultiAxisGating)_y\.", r".guide_weights.\1."),
    (r"(?<=_weights\.)LayerNorm\.", "input_norm."),
    (r"(?<=_weights\.)in_project\.", "input."),
    (r"(?<=_weights\.)SplitHeadMultiAxisGating\.", ""),
    (r"\.out_project_x\.", ".signal_output."),
    (r"\.out_project_y\.", ".guide_output."),
    (r"\.SplitHeadMultiAxisGmlpLayer_(\d)\.", _numbered(".groups.{}.", factor=2)),
    (r"\.channel_attention_block_1_?(\d)\.", _numbered(".groups.{}.", factor=2, plus=1)),
    (r"\.GridGmlpLayer\.", ".grid."),
    (r"\.BlockGmlpLayer\.", ".window."),
    (r"\.(Grid|Block)GatingUnit\.intermediate_layernorm\.", ".gate_norm."),
    (r"\.(Grid|Block)GatingUnit\.Dense_0\.", ".gate.dense."),
    (r"\.(conv1|channel_mixing\.Dense_0)\.", ".first."),
    (r"\.(conv2|channel_mixing\.Dense_1)\.", ".second."),
    (r"\.channel_attention\.Conv_0\.", ".attention.reduce."),
    (r"\.channel_attention\.Conv_1\.", ".attention.expand."),
    (r"\.Dense_0\.", ".grid.dense."),
    (r"\.Dense_1\.", ".window.dense."),
    (r"\.LayerNorm(_in)?\.", ".norm."),
    (r"\.in_project\.", ".expand."),
    (r"\.out_project\.", ".project."),
    (r"norm\.gamma$", "norm.weight"),
    (r"norm\.beta$", "norm.bias"),
)

NAFNET: Names = ((r"^Preprocess_Module\.0\.", "unet.stem.0."), (r"^Finetune_Module\.0\.", "unet.head.0."))

RESTORMER: Names = (
    (r"^Preprocess_Module\.proj\.", "unet.stem.0."),
    (r"^Finetune_Module\.\d+\.weight$", "unet.head.0.weight"),
    (r"^Finetune_Module\.", "unet.refinement."),
)


def _inside_blocks(network: str, stack: str) -> Names:
    """The names inside the blocks of one of the core's networks, in whose layout ``stack`` is a stack of them."""
    (layout,) = (layout for layout in core.LAYOUTS if layout.network == network)

    def ours(match: re.Match[str]) -> str:
        return f"{match[1]}." + layout.rename(f"{stack}.0.{match[2]}", {}).removeprefix("encoder.0.0.")

    return ((r"^(unet\.(?:encoder\.\d|decoder\.\d|middle|refinement)\.\d+)\.(.+)$", ours),)


def _layout(block: str, mark: str, deduce: Callable[[Tensors], UNetConfig | MaximUNetConfig], *names: Names) -> Layout:
    return Layout(block, mark, deduce, partial(_renamed, names=sum((SKELETON, *names), ())))


LAYOUTS = (
    _layout(
        "nafnet", "Process_Module_l1.0.conv2.weight", _deduce_nafnet, NAFNET, _inside_blocks("nafnet", "encoders.0")
    ),
    _layout(
        "restormer",
        "Process_Module_l1.0.attn.temperature",
        _deduce_restormer,
        RESTORMER,
        _inside_blocks("restormer", "encoder_level1"),
    ),
    _layout("conv", "Process_Module_l1.0.0.weight", _deduce_conv, CONV),
    _layout("maxim", "stage_input_conv_0.weight", _deduce_maxim, MAXIM),
)
"""Every layout that can be converted."""
