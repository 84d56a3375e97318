"""Features of a Stable Diffusion U-Net (1.x, 2.x) through diffusers: one look at a slightly noised image.

- The image is encoded, noised to ``timestep``, and shown to the U-Net with the empty prompt; the answer of one block is
  the map, and its mean over the image is the vector. Blocks after that one are not computed.
- The noise is the same for every image and call, so that features are repeatable.
"""

import re
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from restorekit.core.image.convention import Images
from restorekit.core.randomness import generator_for
from restorekit.errors import ModelError
from restorekit.priors.frame import FeatureNetwork, InputPreparation, InputSize, PriorOptions, run_until
from restorekit.priors.sources import check_complete, fetch
from restorekit.priors.transformers_clip import read_transformers

__all__ = ["LatentDiffusion", "StableDiffusionFeatures", "StableDiffusionOptions", "load_stable_diffusion"]


class StableDiffusionOptions(PriorOptions):
    """Which features of the U-Net."""

    timestep: int = Field(default=100, ge=0, le=999)
    """How noisy the image is made before it is looked at, of 1000 timesteps; small ones keep fine detail."""
    layer: str = Field(default="mid", pattern=r"^(mid|(down|up)_[0-9])$")
    """The U-Net's block: mid, down_0 (finest) to down_3, up_0 (coarsest) to up_3 (finest)."""
    input: InputSize = "native"
    """native: every pixel. resize: the whole image at the network's training size (512 px for 1.x)."""


@dataclass(frozen=True)
class LatentDiffusion:
    """The parts of a latent diffusion model that features need."""

    vae: Any
    """``AutoencoderKL``."""
    unet: Any
    """``UNet2DConditionModel`` over its latents."""
    alpha_bar: Float[Tensor, " timesteps"]
    """Share of the latent's variance that is left at each timestep."""
    prompt: Float[Tensor, "1 tokens width"]
    """Embedding of the empty prompt."""


def load_stable_diffusion(source: str, options: StableDiffusionOptions | None = None) -> FeatureNetwork:
    """The features of a pipeline's U-Net; the text encoder is asked once, for the empty prompt, and dropped.

    Args:
        source: a folder in diffusers' layout (vae, unet, scheduler, tokenizer, text_encoder), or a hub name such as
            "stable-diffusion-v1-5/stable-diffusion-v1-5".
        options: timestep, block and input size.

    Raises:
        DependencyError: no such folder; the hub cannot be reached, or has no such model.
        ModelError: the folder holds no such pipeline; another kind of U-Net; no such block.
    """
    where = f"sd:{source}"
    parts = fetch(where, source, lambda found: _read(where, found), form="sd:FOLDER")
    return StableDiffusionFeatures(parts, options or StableDiffusionOptions(), where=where)


class StableDiffusionFeatures(FeatureNetwork):
    """One block of a U-Net, for images of any size.

    Args:
        parts: of a pipeline.
        options: timestep, block and input size.
        where: the prior, for messages.

    Raises:
        ModelError: the U-Net has no such block.

    Differs from the paper (PTG-RM, arXiv:2403.06793, "-s"): it names neither block nor timestep nor prompt.
    """

    alpha_bar: Tensor
    prompt: Tensor

    def __init__(self, parts: LatentDiffusion, options: StableDiffusionOptions, *, where: str) -> None:
        super().__init__()
        self.vae = parts.vae
        self.unet = parts.unet
        self.timestep = options.timestep
        self.register_buffer("alpha_bar", parts.alpha_bar[options.timestep].float())
        self.register_buffer("prompt", parts.prompt.float())
        widths = list(self.unet.config.block_out_channels)
        blocks = {f"down_{index}": width for index, width in enumerate(widths)}
        blocks |= {"mid": widths[-1]} | {f"up_{index}": width for index, width in enumerate(reversed(widths))}
        if options.layer not in blocks:
            raise ModelError(f"{where}: layer: expected one of {', '.join(blocks)}, got {options.layer!r}")
        self.layer = re.sub(r"^(down|up)_(\d)$", r"\1_blocks.\2", options.layer).replace("mid", "mid_block")
        self.dim = int(blocks[options.layer])
        latent_px = 2 ** (len(self.vae.config.block_out_channels) - 1)
        side_px = int(self.unet.config.sample_size) * latent_px
        self.prepare = InputPreparation(
            (side_px, side_px), cell_px=latent_px * 2 ** (len(widths) - 1), input=options.input
        )

    def vectors(self, images: Images) -> Float[Tensor, "batch dim"]:
        """See ``FeatureNetwork``."""
        return self.maps(images).float().mean(dim=(2, 3))

    def maps(self, images: Images) -> Float[Tensor, "batch dim rows columns"]:
        """See ``FeatureNetwork``."""
        encoded = self.vae.encode(self.prepare(images) * 2.0 - 1.0).latent_dist.mode()
        latents = encoded.float() * self.vae.config.scaling_factor
        noise = torch.randn(latents.shape[1:], generator=generator_for(0, "stable diffusion prior")).to(latents)
        noisy = self.alpha_bar.sqrt() * latents + (1.0 - self.alpha_bar).sqrt() * noise
        answer = run_until(
            self.unet,
            self.unet.get_submodule(self.layer),
            noisy,
            self.timestep,
            encoder_hidden_states=self.prompt.expand(len(noisy), -1, -1),
        )
        features: Tensor = answer[0] if isinstance(answer, tuple) else answer  # down blocks answer with their skips too
        return features


def _read(where: str, source: str) -> LatentDiffusion:
    """The parts from an existing folder or the hub."""
    import diffusers
    import transformers

    scheduler: Any = diffusers.DDPMScheduler
    unet = _part(source, diffusers.UNet2DConditionModel, "unet")
    _check_unet(where, unet)
    vae = _part(source, diffusers.AutoencoderKL, "vae")
    schedule = scheduler.from_pretrained(source, subfolder="scheduler")
    tokenizer = transformers.CLIPTokenizer.from_pretrained(source, subfolder="tokenizer")
    encoder = read_transformers("CLIPTextModel", source, subfolder="text_encoder")
    prompt = _empty_prompt(tokenizer, encoder.eval())
    if unet.config.cross_attention_dim != prompt.shape[2]:
        raise ModelError(
            f"{where}: expected a text encoder of width {unet.config.cross_attention_dim}, got {prompt.shape[2]}"
        )
    return LatentDiffusion(vae, unet, schedule.alphas_cumprod, prompt)


def _part(source: str, kind: Any, subfolder: str) -> Any:
    """One of diffusers' networks in float32, with all its weights."""
    network, report = kind.from_pretrained(source, subfolder=subfolder, output_loading_info=True)
    check_complete(f"{source}/{subfolder}", report["missing_keys"])
    return network.float()


def _check_unet(where: str, unet: Any) -> None:
    config = unet.config
    if config.addition_embed_type is not None or config.class_embed_type is not None:
        raise ModelError(
            f"{where}: expected a U-Net that is told time and text alone, got one that wants more, as SDXL does; "
            "take Stable Diffusion 1.x or 2.x"
        )
    if config.in_channels != config.out_channels:
        raise ModelError(
            f"{where}: expected a U-Net that takes latents alone, got {config.in_channels} channels in and "
            f"{config.out_channels} out, as for inpainting; take the base model"
        )


@torch.no_grad()
def _empty_prompt(tokenizer: Any, encoder: nn.Module) -> Float[Tensor, "1 tokens width"]:
    tokens = tokenizer("", padding="max_length", max_length=tokenizer.model_max_length, return_tensors="pt")
    return encoder(tokens.input_ids)[0]  # type: ignore[no-any-return]
