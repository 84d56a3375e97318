"""A warm start: the reverse process begins from a noised image at a later step instead of from noise.

Chung et al. 2022, "Come-Closer-Diffuse-Faster" (arXiv:2112.05146). It leaves out the evaluations in which only layout
and colour form, and with them stage 1: φ must be of use from the first step, so it suits a φ that starts as the
identity.
"""

import math
from typing import Any

from restorekit.errors import UsageError
from restorekit.priors.pixel_diffusion import SignedImages, to_signed
from restorekit.zeroair.degradation_model import OneImage

__all__ = ["begin_late", "noised", "stop_early"]


def begin_late(scheduler: Any, snr: float) -> None:
    """Leave out the steps of ``scheduler`` whose signal-to-noise ratio ᾱ / (1 − ᾱ) is below ``snr``.

    Raises:
        UsageError: none is left.
    """
    alpha_bar = scheduler.alphas_cumprod[scheduler.timesteps]
    late = alpha_bar / (1.0 - alpha_bar) >= snr
    if not bool(late.any()):
        highest = float((alpha_bar / (1.0 - alpha_bar)).max())
        raise UsageError(f"start_snr: expected at most {highest:.4g}, which the last step has, got {snr:g}")
    scheduler.timesteps = scheduler.timesteps[late]


def stop_early(scheduler: Any, snr: float) -> None:
    """Leave out the steps of ``scheduler`` whose signal-to-noise ratio is ``snr`` or above, and the last one; never the
    first.
    """
    alpha_bar = scheduler.alphas_cumprod[scheduler.timesteps]
    early = alpha_bar / (1.0 - alpha_bar) < snr
    early[-1], early[0] = False, True
    scheduler.timesteps = scheduler.timesteps[early]


def noised(start: OneImage, noise: SignedImages, alpha_bar: float) -> SignedImages:
    """√ᾱ x + √(1 − ᾱ) ε for every noise ε.

    Args:
        start: x, (1, 3, height, width), in [0, 1].
        noise: ε, (trajectories, 3, height, width), of unit variance.
        alpha_bar: ᾱ of the first timestep.
    """
    return math.sqrt(alpha_bar) * to_signed(start) + math.sqrt(1.0 - alpha_bar) * noise
