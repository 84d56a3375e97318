"""The clean images that fit, where φ is known: what is left is noise, which a diffusion model is trained to remove.

If the image is φ of a photo plus white noise, and φ a known straight line, then φ⁻¹ of the image is that photo plus
stronger noise: what the model sees at one timestep. So no guidance is needed, and none of its approximations. One
evaluation gives the mean of all photos that fit, which has the least squared error and no invented texture; the reverse
process from there on draws one of them.
"""

from collections.abc import Callable
from typing import Any

import torch

from restorekit.priors.pixel_diffusion import DiffusionPrior, SignedImages, make_scheduler, to_signed, to_unsigned
from restorekit.zeroair.degradation_model import Levels, OneImage
from restorekit.zeroair.sampler import OnStep, StepReport, reverse_process
from restorekit.zeroair.stability import check_estimate
from restorekit.zeroair.stages import Moment

__all__ = ["draw_beside_noise", "nearest_timestep", "posterior_mean", "posterior_sample"]


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
        scheduler = make_scheduler(prior, "ddim", steps=1)
        timestep, noisy = _place(scheduler, levels.inverse(degraded.clone()), sigma / float(levels.factor))
        prediction = prior.predict(noisy, timestep)[:, :3]
        estimate = scheduler.step(prediction, timestep, noisy).pred_original_sample
        moment = Moment(1, 1, timestep, float(scheduler.alphas_cumprod[timestep]))
        check_estimate(estimate, moment)
        if on_step is not None:
            on_step(StepReport(moment, estimate, estimate, None, {}))
        return to_unsigned(estimate)


@torch.no_grad()
def posterior_sample(
    prior: DiffusionPrior,
    degraded: OneImage,
    levels: Levels,
    *,
    sigma: float,
    steps: int,
    generator: torch.Generator,
    on_step: OnStep | None = None,
) -> OneImage:
    """One x of p(x | φ(x) + noise of ``sigma``), as the prior sees it; arguments as in ``posterior_mean``, and those of
    ``draw_beside_noise``, whose result this is once φ is undone.
    """
    sigma = sigma / float(levels.factor)
    undone = levels.inverse(degraded.clone())
    return draw_beside_noise(prior, undone, sigma=sigma, steps=steps, generator=generator, on_step=on_step)


@torch.no_grad()
def draw_beside_noise(
    prior: DiffusionPrior,
    noisy_photo: OneImage,
    *,
    sigma: float,
    steps: int,
    generator: torch.Generator,
    on_step: OnStep | None = None,
) -> OneImage:
    """One x of p(x | x + noise of ``sigma``), as the prior sees it.

    Ho et al. 2020 (DDPM, arXiv:2006.11239), algorithm 2, from the timestep whose noise is ``sigma``: the
    observation is the noisy image of that timestep, so the rest of the process is a draw given the observation.

    Args:
        prior: of the photo's size.
        noisy_photo: (1, 3, height, width), sRGB in [0, 1] and beyond.
        sigma: of its noise, in [0, 1]; what is below the model's least noise counts as that.
        steps: evaluations, evenly spaced over the timesteps that are left; at most as many as these.
        generator: one noise per step.
        on_step: called after every step.

    Returns:
        (1, 3, height, width), unclamped.

    Raises:
        ImageError: the prior gives values that are not finite.
    """
    with torch.inference_mode(mode=False):
        timestep, noisy = _place(make_scheduler(prior, "ddim", steps=1), noisy_photo, sigma)
        visited = {round(place) for place in torch.linspace(timestep, 0, steps).tolist()}
        scheduler = make_scheduler(prior, "ddpm", steps=steps, timesteps=tuple(sorted(visited, reverse=True)))
        return to_unsigned(reverse_process(prior, noisy, scheduler, generator=generator, on_step=on_step))


def nearest_timestep(scheduler: Any, sigma: float) -> int:
    """Where the noise beside an unscaled image, √((1 − ᾱ) / ᾱ), is nearest to ``sigma``, in [-1, 1] units."""
    alpha_bar = scheduler.alphas_cumprod.double()
    return int(((1.0 / alpha_bar - 1.0).sqrt() - sigma).abs().argmin())


def _place(scheduler: Any, noisy_photo: OneImage, sigma: float) -> tuple[int, SignedImages]:
    """The timestep that a photo beside noise of ``sigma`` belongs to, and what the prior sees there."""
    timestep = nearest_timestep(scheduler, 2.0 * sigma)
    return timestep, float(scheduler.alphas_cumprod[timestep]) ** 0.5 * to_signed(noisy_photo)
