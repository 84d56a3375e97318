"""The mean of all clean images that fit, in one evaluation: where φ is known, what is left is noise.

A diffusion model is trained to find the mean of all photos behind white noise. If the image is φ of a photo plus white
noise, and φ a known straight line, then φ⁻¹ of the image is that photo plus stronger noise: what the model sees at one
timestep. Sampling draws one of these photos; their mean has the least squared error, and no invented texture.
"""

from collections.abc import Callable
from typing import Any

import torch

from restorekit.priors.pixel_diffusion import DiffusionPrior, make_scheduler, to_signed, to_unsigned
from restorekit.zeroair.degradation_model import Levels, OneImage
from restorekit.zeroair.sampler import StepReport
from restorekit.zeroair.stability import check_estimate
from restorekit.zeroair.stages import Moment

__all__ = ["nearest_timestep", "posterior_mean"]


@torch.no_grad()
def posterior_mean(
    prior: DiffusionPrior,
    degraded: OneImage,
    levels: Levels,
    *,
    sigma: float,
    on_step: Callable[[StepReport], None] | None = None,
) -> OneImage:
    """E[x | φ(x) + noise of ``sigma``], as the prior sees it.

    Ho et al. 2020 (DDPM, arXiv:2006.11239), eq. 15, at the timestep whose noise is that of φ⁻¹(degraded).

    Args:
        prior: of the degraded image's size.
        degraded: (1, 3, height, width), sRGB in [0, 1].
        levels: φ.
        sigma: of the noise in ``degraded``, in [0, 1]; what is below the model's least noise counts as that.
        on_step: called once.

    Returns:
        (1, 3, height, width), in [0, 1] where the prior clips its estimates.

    Raises:
        ImageError: the prior gives values that are not finite.
    """
    with torch.inference_mode(mode=False):
        observed = to_signed(levels.inverse(degraded.clone()))
        scheduler = make_scheduler(prior, "ddim", steps=1)
        timestep = nearest_timestep(scheduler, 2.0 * sigma / float(levels.factor))
        alpha_bar = float(scheduler.alphas_cumprod[timestep])
        noisy = alpha_bar**0.5 * observed
        prediction = prior.predict(noisy, timestep)[:, :3]
        estimate = scheduler.step(prediction, timestep, noisy).pred_original_sample
        moment = Moment(1, 1, timestep, alpha_bar)
        check_estimate(estimate, moment)
        if on_step is not None:
            on_step(StepReport(moment, estimate, estimate, None, {}))
        return to_unsigned(estimate)


def nearest_timestep(scheduler: Any, sigma: float) -> int:
    """Where the noise beside an unscaled image, √((1 − ᾱ) / ᾱ), is nearest to ``sigma``, in [-1, 1] units."""
    alpha_bar = scheduler.alphas_cumprod.double()
    return int(((1.0 / alpha_bar - 1.0).sqrt() - sigma).abs().argmin())
