"""A diffusion prior in closed form, for images drawn from a Gaussian: the yardstick for samplers and guidance.

With x₀ ~ N(m, C) and x_t = √ᾱ x₀ + √(1−ᾱ) ε everything the network would have to learn is known:

    E[x₀ | x_t] = m + √ᾱ C (ᾱ C + (1−ᾱ) I)⁻¹ (x_t − √ᾱ m)

C is diagonal in the orthonormal two-dimensional cosine basis (DCT-II), the same for each colour plane. With one
variance for all frequencies the exact variance of a reverse step is predicted too.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from restorekit.errors import UsageError
from restorekit.priors.pixel_diffusion import Prediction, SignedImages

__all__ = ["LINEAR_SCHEDULE", "GaussianDiffusionPrior", "dct_matrix"]

LINEAR_SCHEDULE: Mapping[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "prediction_type": "epsilon",
}
"""Ho et al. 2020 (arXiv:2006.11239), as diffusers spells it; also the schedule of the ImageNet model of ZeroAIR."""


class GaussianDiffusionPrior:
    """A ``DiffusionPrior`` for N(mean, C), with C given by its eigenvalues in the cosine basis.

    Args:
        mean: a number, or what broadcasts to (3, height, width); in [-1, 1].
        variance: a number, or (height, width), one value per frequency, (0, 0) the mean; squares of [-1, 1] units.
        learn_variance: predict the exact variance of the reverse step as well; needs one number as ``variance``.
        timesteps: those it will be asked for, falling, if not all 1000: the exact variance depends on the next one.

    Raises:
        UsageError: ``learn_variance`` with a variance per frequency, which no variance per pixel can express.
    """

    size_px: int | None = None
    multiple_of = 1

    def __init__(
        self,
        mean: float | Tensor = 0.0,
        variance: float | Tensor = 1.0,
        *,
        learn_variance: bool = False,
        timesteps: Sequence[int] | None = None,
    ) -> None:
        if learn_variance and isinstance(variance, Tensor) and variance.numel() > 1:
            raise UsageError(
                f"learn_variance: expected one variance for all frequencies, got shape {tuple(variance.shape)}; "
                "leave it off to use a fixed variance"
            )
        self.mean = torch.as_tensor(mean, dtype=torch.float32)
        self.variance = torch.as_tensor(variance, dtype=torch.float64)
        self.variance_channels = learn_variance
        self.scheduler_config: Mapping[str, Any] = {
            **LINEAR_SCHEDULE,
            "variance_type": "learned_range" if learn_variance else "fixed_small",
            "clip_sample": False,
        }
        betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
        self.alpha_bar = torch.cumprod(1.0 - betas, dim=0)
        visited = list(range(999, -1, -1)) if timesteps is None else list(timesteps)
        self._next = dict(zip(visited, [*visited[1:], -1], strict=True))

    @torch.no_grad()
    def predict(self, noisy: SignedImages, timestep: int) -> Prediction:
        """The exact noise, and the exact place of the variance between its bounds if asked for."""
        alpha_bar = float(self.alpha_bar[timestep])
        clean = self.denoise(noisy, timestep)
        noise = (noisy - math.sqrt(alpha_bar) * clean) / math.sqrt(1.0 - alpha_bar)
        if not self.variance_channels:
            return noise
        return torch.cat([noise, torch.full_like(noise, self._variance_code(timestep))], dim=1)

    def denoise(self, noisy: SignedImages, timestep: int) -> SignedImages:
        """The mean of the clean image given the noisy one."""
        alpha_bar = float(self.alpha_bar[timestep])
        mean = self.mean.to(noisy)
        gain = math.sqrt(alpha_bar) * self.variance / (alpha_bar * self.variance + 1.0 - alpha_bar)
        centred = noisy - math.sqrt(alpha_bar) * mean
        return mean + _filter(centred, gain)

    def sample(self, shape: tuple[int, int, int, int], *, generator: torch.Generator) -> SignedImages:
        """Images drawn from the prior itself."""
        noise = torch.randn(shape, generator=generator)
        return self.mean + _filter(noise, self.variance.sqrt())

    def posterior(self, observed: SignedImages, sigma: float) -> "GaussianDiffusionPrior":
        """The prior given ``observed`` = x₀ + sigma · noise; one observation, (1, 3, height, width)."""
        precision = 1.0 / self.variance + 1.0 / sigma**2
        mean = self.mean + _filter(observed - self.mean, 1.0 / (sigma**2 * precision))
        posterior = GaussianDiffusionPrior(mean[0], 1.0 / precision, learn_variance=self.variance_channels)
        posterior._next = self._next
        return posterior

    def _variance_code(self, timestep: int) -> float:
        """v in [-1, 1] with log σ² = (v+1)/2 log β + (1−v)/2 log β̃, for the exact reverse variance σ²."""
        following = self._next[timestep]
        if following < 0:
            return -1.0  # the last step adds no noise
        now, after = float(self.alpha_bar[timestep]), float(self.alpha_bar[following])
        beta = 1.0 - now / after
        lowest = beta * (1.0 - after) / (1.0 - now)
        spread = float(self.variance) * (1.0 - now) / (now * float(self.variance) + 1.0 - now)  # of x₀ given x_t
        exact = lowest + (math.sqrt(after) * beta / (1.0 - now)) ** 2 * spread
        return 2.0 * math.log(exact / lowest) / math.log(beta / lowest) - 1.0


def dct_matrix(size: int) -> Float64[Tensor, "size size"]:
    """The orthonormal cosine transform (DCT-II) as a matrix: row k is frequency k."""
    frequency = torch.arange(size, dtype=torch.float64)[:, None]
    position = torch.arange(size, dtype=torch.float64)[None, :]
    matrix = torch.cos(math.pi * (position + 0.5) * frequency / size) * math.sqrt(2.0 / size)
    matrix[0] /= math.sqrt(2.0)
    return matrix


def _filter(images: SignedImages, gain: Tensor) -> SignedImages:
    """Multiply each frequency by its gain."""
    if gain.numel() == 1:
        return images * float(gain)
    rows, columns = (dct_matrix(size).to(images) for size in images.shape[-2:])
    return rows.T @ ((rows @ images @ columns.T) * gain.to(images)) @ columns
