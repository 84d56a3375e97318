"""Training of ZeroAIR's own diffusion prior on the core's loop: clean crops, noise of every strength.

- A noisy crop is cos φ of photo and sin φ of noise (``Preconditioning``). By default φ is drawn evenly from 0 to 90
  degrees, and the squared error of the output, whose target has unit variance, counts alike everywhere. Timesteps
  drawn evenly would show half of all crops under more than 430 grey levels of noise, where little can be learned.
- The timesteps of a batch are stratified: one from each of as many equal parts as there are crops.
- Validation is one step of denoising, at the timestep whose noise is that of the validation's degradation.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Float64
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from restorekit.core.classical.noise_level import estimate_noise
from restorekit.core.degradation.chain import parse_degradation
from restorekit.core.degradation.noise import GREY_LEVELS, GaussianNoise
from restorekit.core.degradation.settings import Span
from restorekit.core.image.convention import Images
from restorekit.core.image.tiling import TensorView
from restorekit.core.networks.loading import put_weights
from restorekit.core.restorer import StepResult, TrainingTask
from restorekit.core.weights import load_weights
from restorekit.errors import RecipeError
from restorekit.priors.compact_diffusion import CompactDiffusion, CompactDiffusionConfig
from restorekit.priors.pixel_diffusion import to_signed, to_unsigned
from restorekit.priors.preconditioning import Preconditioning, Timesteps

__all__ = ["PriorConfig", "PriorTask", "TimestepPlan", "Weighting", "plan_timesteps", "prior_task"]

Weighting = Literal["angle", "uniform", "min_snr"]

SNR_BORDERS = (math.inf, 100.0, 10.0, 1.0, 0.1, 0.0)
"""Of the bands in the log: ᾱ / (1 − ᾱ), without unit. On the 8-bit scale the noise of 100, 10, 1 and 0.1 is 13, 40, 128
and 403 grey levels."""


class PriorConfig(BaseModel):
    """Which network, and how much each noise level counts."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    network: CompactDiffusionConfig = CompactDiffusionConfig()
    """Its size, and what it predicts."""
    weighting: Weighting = "angle"
    """angle: the angle between photo and noise is drawn evenly; uniform: the timestep is; min_snr: the timestep is, and
    the error of the clean image counts min(SNR, gamma) times."""
    gamma: float = Field(default=5.0, gt=0)
    """Of min_snr; 5 in Hang et al. 2023."""
    weights: str | None = None
    """A weights.safetensors of an earlier run; None: fresh weights."""


@dataclass(frozen=True)
class TimestepPlan:
    """How often a timestep is drawn, and how much its loss counts."""

    share: Float64[Tensor, "timesteps"]
    """Probability of each timestep."""
    weight: Float64[Tensor, "timesteps"]
    """Of the mean squared error of the network's output."""

    def draw(self, count: int, *, generator: torch.Generator) -> Timesteps:
        """``count`` timesteps in random order, one from each of ``count`` equal parts of the distribution."""
        device = generator.device
        part = torch.randperm(count, generator=generator, device=device)
        places = (part + torch.rand(count, generator=generator, device=device)) / count
        ends = self.share.cumsum(dim=0)[:-1].to(places)
        return torch.searchsorted(ends, places, right=True)


class PriorTask:
    """A ``TrainingTask``, ``SizedTask`` and ``RestoringTask`` for a ``CompactDiffusion``.

    Args:
        network: what is trained.
        plan: draws and weights timesteps.
        levels: deviations of the noise in validation, in [0, 1] of the range; none: ``restore`` estimates it.
    """

    def __init__(self, network: CompactDiffusion, plan: TimestepPlan, *, levels: Sequence[float] = ()) -> None:
        self.network = network
        self.multiple_of = network.config.multiple_of
        self._plan = plan
        self._levels = tuple(levels)

    def modules(self) -> Mapping[str, nn.Module]:
        """The one network."""
        return {"network": self.network}

    def step(self, batch: Mapping[str, Tensor], *, generator: torch.Generator) -> StepResult:
        """Add noise to the clean crops; the loss is computed in float32 whatever the network's precision.

        Logged is the mean squared error of the output in each band of signal-to-noise ratio that was drawn, unweighted.
        With v, 1 is the error of a network that has learned nothing.
        """
        meaning, clean = self.network.preconditioning, to_signed(batch["clean"])
        timestep = self._plan.draw(len(clean), generator=generator).to(clean.device)
        noise = torch.randn(clean.shape, generator=generator, device=generator.device).to(clean.device)
        output = self.network(meaning.add_noise(clean, noise, timestep), timestep).float()
        errors = (output - meaning.target(clean, noise, timestep)).square().mean(dim=(1, 2, 3))
        weights = self._plan.weight.to(errors)[timestep]
        return StepResult((weights * errors).mean(), self._by_band(errors, timestep))

    def after_step(self) -> None:
        """Nothing."""

    def restore(self, degraded: Images) -> Images:
        """One step of denoising: the network's clean estimate at the timestep of each image's noise.

        Args:
            degraded: (batch, 3, height, width), clean plus white noise that was not clipped. Its strength is measured;
                where the task knows the levels, the measurement only says which of them it is.
        """
        return torch.cat([self._denoise(image[None]) for image in degraded])

    def _denoise(self, degraded: Images) -> Images:
        meaning = self.network.preconditioning
        measured = estimate_noise(TensorView(degraded))
        level = min(self._levels, key=lambda level: abs(level - measured), default=measured)
        step = meaning.timestep_of(2.0 * level)  # [-1, 1] is twice as wide as [0, 1]
        timestep = torch.tensor([step], device=degraded.device)
        noisy = to_signed(degraded) * math.sqrt(meaning.alpha_bar[step])
        return to_unsigned(meaning.clean_of(noisy, self.network(noisy, timestep).float(), timestep))

    def _by_band(self, errors: Float[Tensor, "batch"], timestep: Timesteps) -> dict[str, float]:
        ratios = self.network.preconditioning.signal_to_noise[timestep.cpu()]
        found = errors.detach().cpu()
        bands = {
            f"loss_snr_{low:g}_to_{high:g}": found[(ratios >= low) & (ratios < high)]
            for high, low in pairwise(SNR_BORDERS)
        }
        return {name: float(band.mean()) for name, band in bands.items() if len(band)}


def plan_timesteps(meaning: Preconditioning, weighting: Weighting = "angle", *, gamma: float = 5.0) -> TimestepPlan:
    """How a weighting draws and weighs the timesteps.

    - ``angle``: the share of a timestep is the part of 0 to 90 degrees that is closer to its angle than to any other.
      With σ_d = 1 that is the density of the cosine schedule (Nichol and Dhariwal 2021, arXiv:2102.09672). σ_d = 0.5
      puts half of all crops below a noise of σ_d; Karras et al. 2022 (arXiv:2206.00364) put two thirds there, and
      hardly any in the tails.
    - ``uniform``: Ho et al. 2020 (arXiv:2006.11239).
    - ``min_snr``: Hang et al. 2023 (arXiv:2303.09556), min(SNR, γ) on the squared error of x₀. What is missed in little
      noise then counts little, and a restorer wants just that. Differs from the paper: no.

    Args:
        meaning: of the network's output.
        weighting: one of the above.
        gamma: γ, of ``min_snr``.
    """
    even = torch.full_like(meaning.alpha_bar, 1.0 / len(meaning.alpha_bar))
    if weighting == "angle":
        middles = (meaning.angle[1:] + meaning.angle[:-1]) / 2.0
        borders = torch.cat([middles.new_zeros(1), middles, middles.new_full((1,), math.pi / 2.0)])
        return TimestepPlan(borders.diff() / (math.pi / 2.0), torch.ones_like(even))
    if weighting == "uniform":
        return TimestepPlan(even, torch.ones_like(even))
    return TimestepPlan(even, meaning.signal_to_noise.clamp(max=gamma) * meaning.clean_factors[:, 1].square())


def prior_task(config: PriorConfig, recipe: Any) -> TrainingTask:
    """The task of a checked configuration, with fresh weights from torch's global generator or those of its file.

    Args:
        config: of the prior.
        recipe: its ``degradation`` and ``training.validation`` are asked for.

    Raises:
        RecipeError: crops that are degraded, or a validation other than by white noise of one known strength.
        ModelError: a weight file that is absent, damaged, or of another network.
    """
    if parse_degradation(recipe.degradation).spec != "none":
        raise RecipeError(
            f'degradation: expected none, since a diffusion prior learns clean photos, got "{recipe.degradation}"'
        )
    levels = [_noise_level(name, spec) for name, spec in recipe.training.validation.items()]
    network = config.network.build()
    if config.weights:
        put_weights(network, load_weights(Path(config.weights), dtype=torch.float32), config.weights)
    plan = plan_timesteps(network.preconditioning, config.weighting, gamma=config.gamma)
    return PriorTask(network, plan, levels=levels)


def _noise_level(name: str, spec: str) -> float:
    """The deviation, in [0, 1], of a validation's noise."""
    noise = parse_degradation(spec)
    if isinstance(noise, GaussianNoise):
        sigma = noise.sigma.low
        if sigma > 0 and noise == GaussianNoise(sigma=Span(sigma, sigma), clip=False):
            return sigma / GREY_LEVELS
    raise RecipeError(
        f"training.validation.{name}: expected white noise of one strength that is not clipped, such as "
        f'noise:sigma=25,clip=0, got "{spec}"'
    )
