"""When guidance would diverge: how strongly φ amplifies, which steps are too long, and the error that ends a run.

A step of weight alpha acts on x̂₀ like gradient descent with rate alpha · ‖J‖² / √ᾱ, J the Jacobian of φ, so it
diverges above 2. The prior clamps x̂₀, so the explosion hides as saturated colours: it must be measured.
"""

import math

import torch
from torch import Tensor, nn

from restorekit.errors import ImageError
from restorekit.priors.pixel_diffusion import SignedImages
from restorekit.zeroair.degradation_model import OneImage
from restorekit.zeroair.stages import Moment

__all__ = ["Amplification", "check_estimate", "check_gradient", "shortening", "stability_number"]

EXPLODED = 10.0
"""A step of this root mean square, in units where a noisy image has variance 1, cannot be undone by later ones."""


class Amplification:
    """An estimate of ‖J‖², the squared norm of φ's Jacobian, by one step of power iteration at each call.

    Between calls φ and its input change little, so the direction found so far is a good start. The first direction is
    the caller's: no random number is drawn.
    """

    def __init__(self) -> None:
        self._direction: OneImage | None = None

    def update(self, model: nn.Module, clean: OneImage, *, start: OneImage) -> Tensor:
        """‖J u‖² / ‖u‖² with u the direction so far, a lower bound of ‖J‖²; then u becomes JᵀJ u.

        Args:
            model: φ.
            clean: where J is taken, (1, 3, height, width).
            start: u at the first call, same shape.
        """
        direction = start if self._direction is None else self._direction
        direction = direction.detach() / direction.detach().norm().clamp_min(1e-12)
        with torch.enable_grad():
            leaf = clean.detach().requires_grad_(True)
            degraded = model(leaf)
            weights = torch.zeros_like(degraded, requires_grad=True)
            (pulled,) = torch.autograd.grad(degraded, leaf, weights, create_graph=True)  # Jᵀ w, linear in w
            (pushed,) = torch.autograd.grad(pulled, weights, direction, retain_graph=True)  # so its gradient is J u
            (self._direction,) = torch.autograd.grad(degraded, leaf, pushed)
        return pushed.square().sum()


def stability_number(alpha: float, weight: float, alpha_bar: float, amplification: float) -> float:
    """alpha · weight · ‖J‖² / √ᾱ: above 2 the guidance of large structures diverges.

    >>> round(stability_number(0.1272, 1.0, 0.00691, 1.0), 2)
    1.53
    """
    return alpha * weight * amplification / math.sqrt(alpha_bar)


def shortening(number: float, bound: float | None) -> float:
    """The factor in (0, 1] that brings a step whose stability number is ``number`` down to ``bound``."""
    return 1.0 if bound is None or number <= bound else bound / number


def check_estimate(estimate: SignedImages, moment: Moment) -> None:
    """Raise ImageError if the diffusion model's estimate of the clean image is not finite."""
    if not bool(torch.isfinite(estimate).all()):
        raise ImageError(
            f"zeroair: {moment}: expected a finite estimate from the diffusion model, got NaN or infinity; run it in "
            "float32 or bfloat16 instead of float16, and check its weights"
        )


def check_gradient(gradient: SignedImages, moment: Moment, *, stage: int, remedy: str) -> None:
    """Raise ImageError if the guidance is not finite or too large to be undone; ``remedy`` says what to lower."""
    size = float(gradient.square().mean().sqrt())
    if size < EXPLODED:
        return
    got = f"a step of {size:.3g}" if math.isfinite(size) else "NaN or infinity"
    raise ImageError(f"zeroair: {moment}, stage {stage}: expected guidance below {EXPLODED:g}, got {got}; {remedy}")
