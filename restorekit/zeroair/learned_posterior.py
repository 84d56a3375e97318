"""A clean image that fits where φ has to be learned: guided while the sample is noisier than the photo, then drawn.

The photo is taken for levels(ψ(x)) plus white noise of known strength. The levels are found in closed form and undone;
ψ, the rest of φ, is learned under guidance, as in the paper. Once the sample would be less noisy than the photo,
guidance has nothing more to say: what ψ changes is taken off the photo, whose noise is that of a timestep, and the
reverse process goes on from there.

Differs from the paper, whose guidance lasts to the end: every step then pulls the photo's noise into the sample.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from restorekit.priors.pixel_diffusion import DiffusionPrior, to_unsigned
from restorekit.zeroair.config import ZeroAIRConfig
from restorekit.zeroair.degradation_model import Levels, OneImage
from restorekit.zeroair.large_canvas import degrade_in_pieces
from restorekit.zeroair.losses import FeatureDistance
from restorekit.zeroair.pool import CleanPool
from restorekit.zeroair.posterior import draw_beside_noise
from restorekit.zeroair.proximal import ProximalGuidance
from restorekit.zeroair.sampler import StepReport, restore_image

__all__ = ["learned_posterior_sample"]


def learned_posterior_sample(
    prior: DiffusionPrior,
    degraded: OneImage,
    config: ZeroAIRConfig,
    *,
    sigma: float,
    generator: torch.Generator,
    features: FeatureDistance | None = None,
    pool: CleanPool | None = None,
    start: OneImage | None = None,
    on_step: Callable[[StepReport, nn.Module], None] | None = None,
) -> OneImage:
    """One x of p(x | levels(ψ(x)) + noise of ``sigma``), ψ as it was learned on the way.

    Args:
        prior: of the degraded image's size.
        degraded: (1, 3, height, width), sRGB in [0, 1].
        config: ``steps`` evaluations in all, with ``proximal`` guidance first.
        sigma: of the noise in ``degraded``, in [0, 1].
        generator: as in ``restore_image``; then one noise per step.
        features, pool: as in ``ZeroAIRGuidance``.
        start: of a warm start, in place of ``degraded``.
        on_step: called after every step with its report and φ.

    Returns:
        (1, 3, height, width), unclamped.

    Raises:
        ImageError, UsageError: as ``restore_image``.
    """
    with torch.inference_mode(mode=False), torch.no_grad():  # a caller may be in inference mode, where nothing learns
        levels = Levels(degraded.clone())
        undone = levels.inverse(degraded.clone())
        sigma = sigma / float(levels.factor)
        guided = _with_sigma(config, sigma)
        guidance = ProximalGuidance(guided, features=features, pool=pool, noise=sigma)
        last: list[StepReport] = []

        def tell(report: StepReport, done: int = 0) -> None:
            steps = done + report.moment.steps if done else config.steps
            moment = replace(report.moment, step=done + report.moment.step, steps=steps)
            last[:] = [replace(report, moment=moment)]
            if on_step is not None:
                on_step(last[0], nn.Sequential(guidance.degradation, levels))

        begin = None if start is None else levels.inverse(start)
        until = 1.0 / (2.0 * max(sigma, 1e-6)) ** 2
        restore_image(prior, undone, guided, guidance, generator=generator, start=begin, until_snr=until, on_step=tell)
        done, clean = last[0].moment.step, to_unsigned(last[0].estimate[:1])
        observed = undone - (degrade_in_pieces(guidance.degradation, clean) - clean)
        left, on = config.steps - done, partial(tell, done=done)
        return draw_beside_noise(prior, observed, sigma=sigma, steps=left, generator=generator, on_step=on)


def _with_sigma(config: ZeroAIRConfig, sigma: float) -> ZeroAIRConfig:
    """Guidance that trusts an image with noise of ``sigma``; the levels are undone by then, so it is not measured."""
    assert config.proximal is not None, "the settings were checked"
    proximal = config.proximal.model_copy(update={"sigma": max(config.proximal.least_sigma, sigma)})
    return config.model_copy(update={"proximal": proximal})
