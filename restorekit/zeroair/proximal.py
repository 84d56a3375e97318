"""The proximal variant: each clean estimate is moved to where the prior and the observation agree.

Zhu et al. 2023, "Denoising Diffusion Models for Plug-and-Play Image Restoration" (DiffPIR, arXiv:2305.08995), with
ZeroAIR's losses and its learned φ. A step of weight alpha follows the observation by a share that depends on the number
of steps; here the share depends on the noise level alone, so few steps go as far as many.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from restorekit.core.classical import estimate_noise
from restorekit.core.image.canvas import Canvas
from restorekit.core.image.convention import Images
from restorekit.core.restorer import InputSpec
from restorekit.zeroair.config import Proximal
from restorekit.zeroair.degradation_model import OneImage
from restorekit.zeroair.guidance import NoiseProcess, ZeroAIRGuidance
from restorekit.zeroair.large_canvas import degrade_in_pieces, push_in_pieces
from restorekit.zeroair.stages import Moment, StageWeights

__all__ = ["ProximalGuidance", "conjugate_gradients", "estimate_share", "estimate_variance", "measured"]


class ProximalGuidance(ZeroAIRGuidance):
    """ZeroAIR's guidance with proximal steps; arguments as in ``ZeroAIRGuidance``.

    The new estimate is the minimum of N L(x) / 2σ² + ‖x − x̂₀‖² / 2r², N the number of values of the image, L the
    stage's losses and r² the variance that is left in x̂₀ (``estimate_variance``). With J the Jacobian of φ and γ the
    weight of the reconstruction, one Gauss-Newton step from x̂₀ solves (γ JᵀJ / 4σ² + 1 / r²) δ = −N ∇L / 2σ², where
    the 4 is the change of range. It is the minimum itself for a linear φ and a reconstruction loss alone.

    Differs from the paper: φ is learned and not linear; the prior's spread is finite by default; other losses count by
    their gradient.
    """

    @property
    def remedy(self) -> str:
        """What to change where steps explode."""
        return f"raise proximal.sigma (now {self._sigma:.4g})"

    @property
    def _settings(self) -> Proximal:
        assert self.config.proximal is not None, "whoever makes this guidance has read it"
        return self.config.proximal

    def begin(self, degraded: OneImage, process: NoiseProcess, *, generator: torch.Generator) -> None:
        """As ``ZeroAIRGuidance.begin``; sigma is measured here, if it is not given."""
        super().begin(degraded, process, generator=generator)
        settings = self._settings
        self._sigma = max(settings.least_sigma, measured(degraded)) if settings.sigma == "measured" else settings.sigma

    def move(
        self, gradient: Images, clean: Images, weights: StageWeights, moment: Moment, logs: dict[str, Tensor]
    ) -> Images:
        """The share of δ that reaches the next sample; see ``ZeroAIRGuidance.move``."""
        settings = self._settings
        guided = clean if weights.stage.guide_auxiliary else clean[:1]
        spread = estimate_variance(moment.alpha_bar, settings.clean_variance)
        curvature = weights.reconstruction * spread / (4.0 * self._sigma**2)

        def system(direction: Images) -> Images:
            return direction + curvature * self._normal(guided, direction)

        target = -gradient[: len(guided)] * (spread * gradient[0].numel() / (2.0 * self._sigma**2))
        change = torch.zeros_like(gradient)
        change[: len(guided)] = conjugate_gradients(system, target, settings.iterations)
        logs["distance"] = change[:1].square().mean().sqrt()
        eta = 1.0 if self.config.sampler == "ddpm" else self.config.eta
        return estimate_share(moment, eta) * change

    def _normal(self, clean: Images, direction: Images) -> Images:
        """JᵀJ v for every image."""
        pushed = push_in_pieces(self.degradation, clean, direction)
        with torch.enable_grad():
            leaf = clean.detach().requires_grad_(True)
            (pulled,) = torch.autograd.grad(degrade_in_pieces(self.degradation, leaf), leaf, pushed)
        return pulled


def measured(degraded: OneImage) -> float:
    """Standard deviation of the noise, in [0, 1], as ``core.classical.estimate_noise`` finds it."""
    return estimate_noise(Canvas(degraded[0].detach().to("cpu", torch.float32).permute(1, 2, 0).numpy(), InputSpec()))


def estimate_variance(alpha_bar: float, clean_variance: float | None) -> float:
    """r², the variance of clean images given a noisy one, had they the variance c: c (1 − ᾱ) / (ᾱ c + 1 − ᾱ).

    Args:
        alpha_bar: ᾱ.
        clean_variance: c, in squares of [-1, 1] units; None: infinite, which gives (1 − ᾱ) / ᾱ.

    >>> estimate_variance(0.5, 1.0), estimate_variance(0.5, None)
    (0.5, 1.0)
    """
    if clean_variance is None:
        return (1.0 - alpha_bar) / alpha_bar
    return clean_variance * (1.0 - alpha_bar) / (alpha_bar * clean_variance + 1.0 - alpha_bar)


def estimate_share(moment: Moment, eta: float) -> float:
    """How much of a change of x̂₀ reaches the next sample: √ᾱ' − √(1 − ᾱ' − σ²) √(ᾱ / (1 − ᾱ)), ᾱ' of the next step.

    Song et al. 2021 (DDIM, arXiv:2010.02502), eq. 12, with σ² = η² (1 − ᾱ') (1 − ᾱ / ᾱ') / (1 − ᾱ) and the noise
    derived anew from the changed x̂₀; η = 1 is ddpm.

    >>> estimate_share(Moment(step=5, steps=5, timestep=0, alpha_bar=0.9999, alpha_bar_next=1.0), eta=0.0)
    1.0
    """
    now, following = moment.alpha_bar, moment.alpha_bar_next
    variance = eta**2 * (1.0 - following) * (1.0 - now / following) / (1.0 - now)
    remaining = max(1.0 - following - variance, 0.0)
    return math.sqrt(following) - math.sqrt(remaining * now / (1.0 - now))


def conjugate_gradients(system: Callable[[Images], Images], target: Images, iterations: int) -> Images:
    """x with ``system(x)`` = ``target``, for every image of the batch on its own, from x = 0.

    Args:
        system: linear, symmetric and positive for each image.
        target: (batch, 3, height, width).
        iterations: at most; an image that is solved stays as it is.
    """
    solution = torch.zeros_like(target)
    residual = direction = target
    size = _dot(residual, residual)
    tiny = torch.finfo(target.dtype).tiny
    for _ in range(iterations):
        image = system(direction)
        length = size / _dot(direction, image).clamp_min(tiny)
        solution = solution + length * direction
        residual = residual - length * image
        before, size = size, _dot(residual, residual)
        direction = residual + size / before.clamp_min(tiny) * direction
    return solution


def _dot(first: Tensor, second: Tensor) -> Tensor:
    return (first * second).sum(dim=(1, 2, 3), keepdim=True)
