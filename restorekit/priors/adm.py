"""OpenAI's guided-diffusion checkpoints (ADM) as stock diffusers models, such as 256x256_diffusion_uncond.pt.

Dhariwal and Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis" (arXiv:2105.05233); weights under MIT.

- The architecture is read off the tensors; the two things no shape tells are the channels per attention head (64 in
  every published model) and the order of the attention rows.
- Rows of the published ``qkv`` weights are [head][q, k, v][channel]. Taking them as [q, k, v][head][channel] loads
  without an error and computes nonsense.
- Only models with up- and downsampling inside residual blocks and a scale-shift norm fit ``UNet2DModel``.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restorekit.core.networks.convert import read_checkpoint
from restorekit.core.networks.loading import put_weights
from restorekit.core.weights import sha256_of
from restorekit.errors import ModelError
from restorekit.priors.gaussian_diffusion_prior import LINEAR_SCHEDULE

__all__ = ["ADM_SCHEDULE", "adm_configuration", "convert_adm", "convert_adm_tensors"]

ADM_SCHEDULE: Mapping[str, Any] = {
    **LINEAR_SCHEDULE,
    "variance_type": "learned_range",
    "clip_sample": True,
    "timestep_spacing": "linspace",
}
"""Of the published models up to 256 px, for a diffusers ``DDPMScheduler``."""


def convert_adm(
    source: Path, destination: Path, *, size_px: int = 256, head_channels: int = 64, half: bool = False
) -> None:
    """Write a checkpoint as a folder in diffusers' layout (``unet/`` and ``scheduler/``), with a model card.

    Args:
        source: .pt; read without running anything in it.
        destination: folder, made as needed.
        size_px: side of the images the model was trained on.
        head_channels: channels of an attention head.
        half: store in float16, half the size.

    Raises:
        ModelError: the file is absent or damaged, or holds another architecture.
    """
    import diffusers

    tensors = read_checkpoint(source)
    options = adm_configuration(tensors, str(source), size_px=size_px, head_channels=head_channels)
    unet: Any = diffusers.UNet2DModel
    with torch.device("meta"):
        network = unet(**options)
    renamed = convert_adm_tensors(tensors, options)
    put_weights(network, renamed, str(source))
    if half:
        network = network.half()
    scheduler: Any = diffusers.DDPMScheduler
    pipeline: Any = diffusers.DDPMPipeline
    pipeline(network, scheduler(**ADM_SCHEDULE)).save_pretrained(destination)
    (destination / "README.md").write_text(_card(source, options))


def adm_configuration(
    tensors: Mapping[str, Tensor], where: str, *, size_px: int = 256, head_channels: int = 64
) -> dict[str, Any]:
    """The arguments of ``UNet2DModel`` that the shapes imply.

    Args:
        tensors: by guided-diffusion's names.
        where: the file, for messages.
        size_px, head_channels: see ``convert_adm``.

    Raises:
        ModelError: another architecture, or a part of one.
    """
    _check_kind(tensors, where)
    try:
        blocks = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("input_blocks."))
        # each level's last output block holds the upsampling one; the first of them tells the length of a level
        length = 1 + min(int(m[1]) for name in tensors if (m := re.match(_UPSAMPLER, name)) and _is_up(m, tensors))
        firsts = range(1, blocks, length)
        widths = [tensors[f"input_blocks.{first}.0.in_layers.2.weight"].shape[0] for first in firsts]
        attends = [f"input_blocks.{first}.1.qkv.weight" in tensors for first in firsts]
        outputs = tensors["out.2.weight"].shape[0]
    except (KeyError, IndexError, ValueError) as error:
        raise ModelError(f"{where}: expected a whole guided-diffusion checkpoint, got a part: {error}") from None
    down = ["AttnDownBlock2D" if attending else "ResnetDownsampleBlock2D" for attending in attends]
    up = ["AttnUpBlock2D" if attending else "ResnetUpsampleBlock2D" for attending in reversed(attends)]
    return {
        "sample_size": size_px,
        "in_channels": 3,
        "out_channels": outputs,
        "layers_per_block": length - 1,
        "block_out_channels": widths,
        "down_block_types": down,
        "up_block_types": up,
        "attention_head_dim": head_channels,
        "attn_norm_num_groups": 32,  # left out, the middle attention would have no norm
        "norm_num_groups": 32,
        "norm_eps": 1e-5,
        "resnet_time_scale_shift": "scale_shift",
        "downsample_type": "resnet",
        "upsample_type": "resnet",
    }


def convert_adm_tensors(tensors: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Tensor]:
    """Every tensor under its name in ``UNet2DModel``.

    Args:
        tensors: by guided-diffusion's names.
        options: from ``adm_configuration``.
    """
    converted: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        place, _, rest = _place(name, options).partition("|")
        if rest.startswith("qkv."):
            parts = _split_attention(tensor, int(options["attention_head_dim"]))
            converted |= {f"{place}.to_{part}{rest[3:]}": rows for part, rows in zip("qkv", parts, strict=True)}
        elif rest.startswith("proj_out."):
            converted[f"{place}.to_out.0{rest[8:]}"] = tensor.squeeze(-1) if tensor.ndim == 3 else tensor
        else:
            converted[f"{place}.{rest}" if rest else place] = tensor
    return converted


def _split_attention(tensor: Tensor, head_channels: int) -> tuple[Tensor, ...]:
    """(heads · 3 · head_channels, ...) rows, ordered [head][q, k, v][channel], to three (channels, ...) tensors."""
    heads = tensor.shape[0] // (3 * head_channels)
    rows = tensor.reshape(heads, 3, head_channels, *tensor.shape[1:2]).transpose(0, 1)
    return tuple(part.reshape(heads * head_channels, *tensor.shape[1:2]).contiguous() for part in rows)


def _place(name: str, options: Mapping[str, Any]) -> str:
    """The name in ``UNet2DModel``; parts of an attention keep their old name after a bar."""
    for pattern, ours in _ENDS:
        if re.match(pattern, name):
            return re.sub(pattern, ours, name)
    part, index, rest = name.split(".", 2)
    per_level = int(options["layers_per_block"]) + 1
    if part == "middle_block":
        module = ("mid_block.resnets.0", "mid_block.attentions.0", "mid_block.resnets.1")[int(index)]
        return _inside(module, rest)
    layer, rest = rest.split(".", 1)
    if part == "input_blocks":
        level, position = divmod(int(index) - 1, per_level)
        if position == per_level - 1:
            return _inside(f"down_blocks.{level}.downsamplers.0", rest)
        return _inside(f"down_blocks.{level}.{_kind(layer, rest)}.{position}", rest)
    level, position = divmod(int(index), per_level)
    if layer != "0" and not _attention(rest):
        return _inside(f"up_blocks.{level}.upsamplers.0", rest)
    return _inside(f"up_blocks.{level}.{_kind(layer, rest)}.{position}", rest)


def _kind(layer: str, rest: str) -> str:
    return "resnets" if layer == "0" and not _attention(rest) else "attentions"


def _attention(rest: str) -> bool:
    return rest.startswith(("norm.", "qkv.", "proj_out."))


def _inside(module: str, rest: str) -> str:
    """The name within a residual block or an attention."""
    if rest.startswith("norm."):
        return f"{module}.group_norm.{rest[5:]}"
    if _attention(rest):
        return f"{module}|{rest}"
    for official, ours in _RESIDUAL.items():
        if rest.startswith(f"{official}."):
            return f"{module}.{ours}.{rest[len(official) + 1 :]}"
    return f"{module}.{rest}"  # unknown: put_weights will name it


_ENDS = (
    (r"^time_embed\.0\.", "time_embedding.linear_1."),
    (r"^time_embed\.2\.", "time_embedding.linear_2."),
    (r"^input_blocks\.0\.0\.", "conv_in."),
    (r"^out\.0\.", "conv_norm_out."),
    (r"^out\.2\.", "conv_out."),
)

_RESIDUAL = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}

_UPSAMPLER = r"^output_blocks\.(\d+)\.([12])\.in_layers\.0\.weight$"


def _is_up(match: "re.Match[str]", tensors: Mapping[str, Tensor]) -> bool:
    """Whether the second or third module of an output block is a residual one: only upsampling is."""
    return f"output_blocks.{match[1]}.{match[2]}.out_layers.3.weight" in tensors


def _check_kind(tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise ModelError for checkpoints that no ``UNet2DModel`` computes."""
    if not {"time_embed.0.weight", "input_blocks.0.0.weight", "out.2.weight"} <= tensors.keys():
        first = ", ".join(list(tensors)[:3]) or "an empty file"
        raise ModelError(f"{where}: expected guided-diffusion's names (time_embed.0.weight, ...), got {first}")
    if "label_emb.weight" in tensors:
        raise ModelError(f"{where}: expected an unconditional model, got one with class labels; take the _uncond one")
    if any(re.search(r"\.op\.weight$|\.conv\.weight$", name) for name in tensors):
        raise ModelError(
            f"{where}: expected resampling inside residual blocks (resblock_updown), got strided convolutions"
        )
    shift, block = tensors.get("middle_block.0.emb_layers.1.weight"), tensors.get("middle_block.0.out_layers.3.weight")
    if shift is not None and block is not None and shift.shape[0] != 2 * block.shape[0]:
        raise ModelError(f"{where}: expected a scale-shift norm (use_scale_shift_norm), got time added to the features")


def _card(source: Path, options: Mapping[str, Any]) -> str:
    return f"""---
license: mit
library_name: diffusers
---
# {source.stem}

Converted by restorekit from `{source.name}` (OpenAI guided-diffusion, arXiv:2105.05233) to a stock `UNet2DModel`.

- SHA-256 of the original: `{sha256_of(source)}`
- Image size: {options["sample_size"]} px; channels per level: {options["block_out_channels"]}
- Schedule: linear, 1000 steps, noise prediction, learned-range variance
"""
