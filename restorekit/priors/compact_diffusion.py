"""CompactDiffusion: a small pixel diffusion model for CPUs and for images of any size, and its weight files as priors.

Ours; its parts are old: the DenseUNet of this package, a timestep's scale and shift in every block (Perez et al. 2017,
arXiv:1709.07871; Dhariwal and Nichol 2021, arXiv:2105.05233), self-attention at the lowest resolution alone.

- Nothing is computed at full resolution, there are no norms but in front of attention: see ``DenseUNet``.
- Most weights lie at 1/16 of the resolution, where they cost least: 7.1 GMAC at 256x256 for 5.7 M parameters.
- Attention sees content, not position, and at most ``window`` x ``window`` places at once. So any size works, images up
  to that window (256 px) are seen whole, and the cost of larger ones grows with their area.
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import nn

from restorekit.core.networks.base import BlockCounts, NetworkConfig, Width
from restorekit.core.networks.loading import put_weights
from restorekit.core.weights import load_metadata, load_weights
from restorekit.errors import ModelError
from restorekit.priors.gaussian_diffusion_prior import LINEAR_SCHEDULE
from restorekit.priors.pixel_diffusion import SignedImages
from restorekit.priors.preconditioning import Preconditioning, PredictionKind, Timesteps
from restorekit.priors.timed_blocks import TimedLevel, TimestepCode, WindowAttention, zeroed

__all__ = ["CompactDiffusion", "CompactDiffusionConfig", "CompactPrior", "load_compact_prior", "prior_metadata"]

NETWORK = "compact_diffusion"
"""What a weight file calls this network."""


class CompactDiffusionConfig(NetworkConfig):
    """CompactDiffusion of any size."""

    summary: ClassVar[str] = "CompactDiffusion (ours): a pixel diffusion model of dense convolutions, fast on CPUs."

    widths: Annotated[tuple[Width, ...], Field(min_length=1, max_length=6)] = (48, 96, 160, 224)
    """Channels of each level; the first is at half resolution, each further one halves again."""
    blocks: BlockCounts = (1, 2, 2, 2)
    """Residual blocks of each level. Each level but the last has them twice, on the way down and on the way up; each
    block of the last is followed by attention."""
    head_channels: Width = 32
    """Channels of one attention head; a divisor of the last width."""
    window: Annotated[int, Field(ge=1, le=64)] = 16
    """Side of the largest window of attention, in places of the last level (16 px each)."""
    code_dim: Width = 128
    """Length of the code that tells every block the timestep."""
    prediction: PredictionKind = "v"
    """What the network says of a noisy image: v, the noise (epsilon) or the clean image (sample)."""
    data_deviation: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Deviation of photos in [-1, 1]; scales the input, and v."""

    @model_validator(mode="after")
    def _levels_and_heads_agree(self) -> "CompactDiffusionConfig":
        if len(self.widths) != len(self.blocks):
            raise ValueError(
                f"widths and blocks: expected as many levels in both, got {len(self.widths)} and {len(self.blocks)}"
            )
        if self.widths[-1] % self.head_channels:
            raise ValueError(
                f"head_channels: expected a divisor of the last width, {self.widths[-1]}, got {self.head_channels}"
            )
        return self

    def build(self) -> "CompactDiffusion":
        """The network with fresh weights."""
        return CompactDiffusion(self)

    @property
    def planes(self) -> tuple[int, int]:
        """RGB."""
        return 3, 3

    @property
    def multiple_of(self) -> int:
        """The first level is at half resolution, each further one halves again."""
        return int(2 ** len(self.widths))


class CompactDiffusion(nn.Module):
    """Pixels to channels, U-Net that knows the timestep, channels to pixels.

    The last layer starts at zero: with v a fresh network is the best linear denoiser of white images.

    Args:
        config: widths, depths, and what the output means.
    """

    def __init__(self, config: CompactDiffusionConfig) -> None:
        super().__init__()
        widths, blocks = config.widths, config.blocks
        steps = list(pairwise(widths))
        self.config = config
        self.preconditioning = Preconditioning(config.prediction, data_deviation=config.data_deviation)
        self.timestep_code = TimestepCode(config.code_dim)
        self.stem = nn.Conv2d(12, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(TimedLevel(*of, config.code_dim) for of in zip(widths[:-1], blocks, strict=False))
        self.downs = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in steps)
        self.middle = TimedLevel(widths[-1], blocks[-1], config.code_dim)
        self.attention = nn.ModuleList(
            WindowAttention(
                widths[-1], head_channels=config.head_channels, window=config.window, shifted=index % 2 == 1
            )
            for index in range(blocks[-1])
        )
        self.ups = nn.ModuleList(nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in steps)
        self.decoder = nn.ModuleList(TimedLevel(*of, config.code_dim) for of in zip(widths[:-1], blocks, strict=False))
        self.head = zeroed(nn.Conv2d(widths[0], 12, 3, padding=1))

    def forward(self, noisy: SignedImages, timestep: Timesteps) -> SignedImages:
        """What the configuration's ``prediction`` names, of the same shape.

        Args:
            noisy: (batch, 3, height, width), sizes multiples of ``config.multiple_of``.
            timestep: (batch,), 0 to 999.
        """
        code = self.timestep_code(timestep)
        features = self.stem(F.pixel_unshuffle(self.preconditioning.scaled(noisy, timestep), 2))
        skips = []
        for level, down in zip(self.encoder, self.downs, strict=True):
            skips.append(level(features, code))
            features = down(skips[-1])
        for block, attention in zip(self.middle, self.attention, strict=True):
            features = attention(block(features, code))
        for level, up in zip(reversed(self.decoder), reversed(self.ups), strict=True):
            features = level(F.pixel_shuffle(up(features), 2).add_(skips.pop()), code)
        return F.pixel_shuffle(self.head(features), 2)


class CompactPrior:
    """A ``DiffusionPrior`` of a ``CompactDiffusion``: whatever the network predicts, ``predict`` gives the noise.

    Args:
        network: is frozen here, and laid out channels last, which convolutions on a CPU prefer.
        precision: "float32", or "bfloat16" / "float16" for autocast.
    """

    size_px: int | None = None
    variance_channels = False

    def __init__(self, network: CompactDiffusion, *, precision: str = "float32") -> None:
        self.network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.precision = precision
        self.multiple_of = network.config.multiple_of
        self.scheduler_config: Mapping[str, Any] = {
            **LINEAR_SCHEDULE,
            "variance_type": "fixed_small",
            "clip_sample": True,
        }

    def to(self, device: torch.device, precision: str = "float32") -> "CompactPrior":
        """The same prior on ``device``; the network is moved, not copied."""
        return CompactPrior(self.network.to(device), precision=precision)

    @torch.no_grad()
    def predict(self, noisy: SignedImages, timestep: int) -> SignedImages:
        """See ``DiffusionPrior``; the network computes in float32 or ``precision``, its answer is converted exactly."""
        dtype = getattr(torch, self.precision)
        timesteps = torch.full((len(noisy),), timestep, device=noisy.device)
        seen = noisy.to(torch.float32, memory_format=torch.channels_last)
        with torch.autocast(noisy.device.type, dtype=dtype, enabled=dtype != torch.float32):
            output = self.network(seen, timesteps)
        return self.network.preconditioning.noise_of(noisy, output.to(noisy.dtype), timesteps)


def load_compact_prior(path: str | Path) -> CompactPrior:
    """The prior of a weight file that ``restorekit zeroair train`` made, on the CPU.

    Raises:
        ModelError: the file is absent, damaged, or holds another network.
    """
    path = Path(path)
    note = load_metadata(path)
    if note.get("network") != NETWORK or "config" not in note:
        raise ModelError(
            f"{path}: expected weights of the network {NETWORK}, got {note.get('network') or 'no note of a network'}; "
            "give the weights.safetensors of a run of: restorekit zeroair train"
        )
    try:
        config = CompactDiffusionConfig.model_validate_json(note["config"])
    except ValueError as error:
        raise ModelError(f"{path}: expected options of {NETWORK} in its note, got others: {error}") from None
    with torch.device("meta"):
        network = config.build()
    put_weights(network, load_weights(path, dtype=torch.float32), str(path))
    return CompactPrior(network)


def prior_metadata(config: CompactDiffusionConfig) -> dict[str, str]:
    """What a weight file must say of itself for ``load_compact_prior``."""
    return {"network": NETWORK, "config": config.model_dump_json()}
