"""What a pixel diffusion network sees and what its answer means, in closed form: one row for each timestep.

A noisy image is x_t = √ᾱ x₀ + √(1−ᾱ) ε on the linear schedule (``LINEAR_SCHEDULE``). Of x₀, ε, x_t and the network's
output any two give the others, linearly; the factors are computed once, in float64.

With photos of deviation σ_d, x_t has the variance V = ᾱ σ_d² + 1 − ᾱ. Divided by √V it is a rotation of unit-variance
photo and noise, x_t / √V = cos φ · x₀ / σ_d + sin φ · ε, by the angle with tan φ = √((1−ᾱ) / ᾱ) / σ_d.
"""

from typing import Literal

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from restorekit.priors.gaussian_diffusion_prior import LINEAR_SCHEDULE
from restorekit.priors.pixel_diffusion import SignedImages

__all__ = ["Preconditioning", "PredictionKind", "Timesteps"]

PredictionKind = Literal["v", "epsilon", "sample"]

Timesteps = Int64[Tensor, "batch"]
"""One for each image; 0 is the clean end."""

Column = Float64[Tensor, "timesteps"]
"""One number for each timestep."""

Factors = Float64[Tensor, "timesteps 2"]
"""What two quantities are multiplied by before they are added."""


class Preconditioning:
    """Scaling of the input, and the meaning of the output.

    - ``v`` = cos φ · ε − sin φ · x₀ / σ_d: the noise where it is weak, the photo where the noise is strong.
      Target and input have unit variance at every timestep, and no error of the output is multiplied by more than 1 on
      its way to ε, or by more than σ_d on its way to x₀.
    - ``epsilon``: an error is multiplied by √((1−ᾱ) / ᾱ), up to 157, on its way to x₀.
    - ``sample``: an error is multiplied by √(ᾱ / (1−ᾱ)), up to 100, on its way to ε.

    v: Salimans and Ho 2022 (arXiv:2202.00512) on x₀ / σ_d in place of x₀, which is the preconditioning of Karras et al.
    2022 (arXiv:2206.00364, table 1) with F = −v. Differs from the papers: in the notation alone; σ_d = 1 is the first's
    v, and diffusers' ``v_prediction``.

    Args:
        prediction: what the network is to say.
        data_deviation: σ_d, deviation of photos in [-1, 1]; 0.5 in Karras et al.
    """

    def __init__(self, prediction: PredictionKind = "v", *, data_deviation: float = 0.5) -> None:
        ends = LINEAR_SCHEDULE["beta_start"], LINEAR_SCHEDULE["beta_end"], LINEAR_SCHEDULE["num_train_timesteps"]
        betas = torch.linspace(*ends, dtype=torch.float64, device="cpu")  # also where a network is built on meta
        self.alpha_bar: Column = (1.0 - betas).cumprod(dim=0)
        signal, noise = self.alpha_bar.sqrt(), (1.0 - self.alpha_bar).sqrt()
        spread = (self.alpha_bar * data_deviation**2 + 1.0 - self.alpha_bar).sqrt()
        cos, sin = signal * data_deviation / spread, noise / spread
        zero, one = torch.zeros_like(signal), torch.ones_like(signal)
        meaning = {  # factors of x₀ and ε in the target, then of x_t and the output in x₀, then of the same two in ε
            "v": (
                (-sin / data_deviation, cos),
                (data_deviation * cos / spread, -data_deviation * sin),
                (sin / spread, cos),
            ),
            "epsilon": ((zero, one), (one / signal, -noise / signal), (zero, one)),
            "sample": ((one, zero), (zero, one), (one / noise, -signal / noise)),
        }[prediction]
        self.angle: Column = torch.atan2(sin, cos)
        self.target_factors, self.clean_factors, self.noise_factors = (torch.stack(pair, dim=1) for pair in meaning)
        self._noisy_factors: Factors = torch.stack([signal, noise], dim=1)
        self._input_factor = 1.0 / spread

    @property
    def signal_to_noise(self) -> Column:
        """ᾱ / (1 − ᾱ), falling from 10⁴ to 4·10⁻⁵."""
        return self.alpha_bar / (1.0 - self.alpha_bar)

    def add_noise(self, clean: SignedImages, noise: SignedImages, timestep: Timesteps) -> SignedImages:
        """x_t of x₀ and ε."""
        return _mixed(self._noisy_factors, timestep, clean, noise)

    def scaled(self, noisy: SignedImages, timestep: Timesteps) -> SignedImages:
        """x_t / √V: unit variance at every timestep."""
        factor = self._input_factor.to(noisy)[timestep]
        return noisy * factor[:, None, None, None]

    def target(self, clean: SignedImages, noise: SignedImages, timestep: Timesteps) -> SignedImages:
        """What the network should say."""
        return _mixed(self.target_factors, timestep, clean, noise)

    def clean_of(self, noisy: SignedImages, output: SignedImages, timestep: Timesteps) -> SignedImages:
        """x₀ of x_t and the output."""
        return _mixed(self.clean_factors, timestep, noisy, output)

    def noise_of(self, noisy: SignedImages, output: SignedImages, timestep: Timesteps) -> SignedImages:
        """ε of x_t and the output."""
        return _mixed(self.noise_factors, timestep, noisy, output)

    def timestep_of(self, deviation: float) -> int:
        """The timestep at which x_t / √ᾱ is the photo plus noise of nearly this deviation, in units of [-1, 1]."""
        deviations = ((1.0 - self.alpha_bar) / self.alpha_bar).sqrt()
        return int((deviations - deviation).abs().argmin())


def _mixed(factors: Factors, timestep: Timesteps, first: SignedImages, second: SignedImages) -> SignedImages:
    chosen: Float[Tensor, "batch 2"] = factors.to(first)[timestep]
    one, two = chosen[..., None, None, None].unbind(dim=1)
    return one * first + two * second
