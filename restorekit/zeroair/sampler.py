"""The reverse process: from noise to an image in diffusers' steps, with guidance added to each.

- Noise is additive in every scheduler used here, so adding the guidance to the sample after a step is the same as
  shifting its mean.
- One image per run. Images of a batch share nothing, so a caller loops over them.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from restorekit.core.image.convention import Images, check_images
from restorekit.errors import ImageError
from restorekit.priors.pixel_diffusion import DiffusionPrior, SignedImages, make_scheduler, to_unsigned
from restorekit.zeroair.config import ZeroAIRConfig
from restorekit.zeroair.guidance import Guidance, NoiseProcess
from restorekit.zeroair.pool import CleanPool
from restorekit.zeroair.stability import check_estimate
from restorekit.zeroair.stages import Moment
from restorekit.zeroair.warm_start import begin_late, noised, stop_early

__all__ = ["OnStep", "StepReport", "make_pool", "restore_image", "reverse_process"]


@dataclass(frozen=True)
class StepReport:
    """What one step of the reverse process did."""

    moment: Moment
    """Where in the run it is."""
    noisy: SignedImages
    """The trajectories after the step."""
    estimate: SignedImages
    """The clean estimates that the step was made from."""
    step: SignedImages | None
    """What the guidance added."""
    logs: Mapping[str, Tensor]
    """The guidance's scalars."""


OnStep = Callable[[StepReport], None]


def restore_image(
    prior: DiffusionPrior,
    degraded: Images,
    config: ZeroAIRConfig,
    guidance: Guidance,
    *,
    generator: torch.Generator,
    start: Images | None = None,
    until_snr: float | None = None,
    on_step: OnStep | None = None,
) -> Images:
    """Restore one image: sample the prior under guidance.

    Gou et al. 2024 (arXiv:2312.02197), algorithm 1. Random numbers are drawn from ``generator`` in the order of the
    authors' code: the guidance's networks, in reference mode a label that nothing reads, then x_T, then one noise per
    step.

    Args:
        prior: of the degraded image's size.
        degraded: (1, 3, height, width), sRGB in [0, 1]; everything is computed in its dtype.
        config: steps, sampler and auxiliaries are read here; the guidance has its own part.
        guidance: is begun here, and keeps what it learned until it is begun again.
        generator: on the CPU, for the same noise on every device, or on the device of ``degraded``.
        start: what a warm start begins from in place of ``degraded``, such as a cheap restoration; same shape.
        until_snr: leave out the steps from this signal-to-noise ratio on (``stop_early``); the result is still noisy.
        on_step: called after every step.

    Returns:
        (1, 3, height, width), on the device of ``degraded``; may leave [0, 1] a little, as the guidance is added last.

    Raises:
        ImageError: more than one image, a size the prior cannot take, or a run that diverges.
        UsageError: a number of steps that the prior or the sampler cannot take, or a warm start after the last one.

    Differs from the authors' code: the 8-bit image they save is cut off, not rounded; here rounding is the caller's.
    """
    _check(prior, degraded)
    with torch.inference_mode(mode=False), torch.no_grad():  # a caller may be in inference mode, where nothing learns
        begin = degraded if start is None else start
        return _restore(
            prior,
            degraded.clone(),
            config,
            guidance,
            start=begin.clone(),
            until_snr=until_snr,
            generator=generator,
            on_step=on_step,
        )


def reverse_process(
    prior: DiffusionPrior,
    noisy: SignedImages,
    scheduler: Any,
    *,
    guidance: Guidance | None = None,
    generator: torch.Generator,
    eta: float = 0.0,
    on_step: OnStep | None = None,
) -> SignedImages:
    """Run ``scheduler`` from its first timestep to the clean end.

    Args:
        prior: predicts at every timestep.
        noisy: (trajectories, 3, height, width), unit noise.
        scheduler: from ``make_scheduler``.
        guidance: already begun; None: an unconditional sample.
        generator: one noise per step for all trajectories is drawn from it, before the guidance is asked.
        eta: share of ddpm's noise that ddim adds.
        on_step: called after every step.

    Raises:
        ImageError: the prior or the guidance gives values that are not finite, or the guidance explodes.
    """
    ddim = "eta" in inspect.signature(scheduler.step).parameters
    # the noise that goes with the clipped estimate, as in guided-diffusion; diffusers would keep the one predicted
    options = {"eta": eta, "use_clipped_model_output": True} if ddim else {}
    timesteps = [int(timestep) for timestep in scheduler.timesteps]
    alpha_bars = [float(scheduler.alphas_cumprod[timestep]) for timestep in timesteps] + [1.0]
    for index, timestep in enumerate(timesteps):
        moment = Moment(index + 1, len(timesteps), timestep, alpha_bars[index], alpha_bars[index + 1])
        prediction = prior.predict(noisy, timestep)
        if ddim:
            prediction = prediction[:, :3]  # it has no use for a predicted variance
        stepped = scheduler.step(prediction, timestep, noisy, generator=generator, **options)
        noisy, estimate = stepped.prev_sample, stepped.pred_original_sample
        check_estimate(estimate, moment)
        push = guidance.push(estimate, moment) if guidance is not None else None
        if push is not None:
            noisy = noisy + push.step
        if on_step is not None:
            logs = push.logs if push is not None else {}
            on_step(StepReport(moment, noisy, estimate, push.step if push is not None else None, logs))
    return noisy


def make_pool(
    prior: DiffusionPrior, *, count: int, height: int, width: int, steps: int, levels: int, generator: torch.Generator
) -> CleanPool:
    """Clean images of a prior without guidance, at several noise levels; costs ``count * steps`` evaluations.

    Args:
        prior: any.
        count: images per level.
        height, width: of the images, in px.
        steps: of ddpm.
        levels: noise levels to keep, evenly spaced over the steps.
        generator: also says on which device to compute.
    """
    scheduler = make_scheduler(prior, "ddpm", steps=steps)
    kept = {int(scheduler.timesteps[round(index)]) for index in torch.linspace(0, steps - 1, levels).tolist()}
    estimates: dict[int, Images] = {}

    def keep(report: StepReport) -> None:
        if report.moment.timestep in kept:
            estimates[report.moment.timestep] = to_unsigned(report.estimate)

    noisy = torch.randn((count, 3, height, width), generator=generator, device=generator.device)
    reverse_process(prior, noisy, scheduler, generator=generator, on_step=keep)
    return CleanPool(estimates)


def _restore(
    prior: DiffusionPrior,
    degraded: Images,
    config: ZeroAIRConfig,
    guidance: Guidance,
    *,
    start: Images,
    until_snr: float | None,
    generator: torch.Generator,
    on_step: OnStep | None,
) -> Images:
    scheduler = make_scheduler(prior, config.sampler, steps=config.steps, timesteps=config.timesteps)
    if config.start_snr is not None:
        begin_late(scheduler, config.start_snr)
    if until_snr is not None:
        stop_early(scheduler, until_snr)
    timesteps = scheduler.timesteps
    spacing = (int(timesteps[0]) + 1) / len(timesteps)
    guidance.begin(degraded, NoiseProcess(scheduler.alphas_cumprod, spacing), generator=generator)
    count = 1 + (config.auxiliary_count if config.auxiliary == "image" else 0)
    if config.reset == "reference":
        torch.randint(0, 1000, (count,), generator=generator, device=generator.device)
    shape = (count, *degraded.shape[1:])
    noisy = torch.randn(shape, generator=generator, device=generator.device, dtype=degraded.dtype).to(degraded.device)
    if config.start_snr is not None:
        noisy = noised(start, noisy, float(scheduler.alphas_cumprod[int(timesteps[0])]))
    sampled = reverse_process(
        prior,
        noisy,
        scheduler,
        guidance=guidance,
        generator=generator,
        eta=config.eta,
        on_step=on_step,
    )
    return to_unsigned(sampled[:1])


def _check(prior: DiffusionPrior, degraded: Images) -> None:
    check_images(degraded, "zeroair")
    height, width = degraded.shape[-2:]
    if len(degraded) != 1:
        raise ImageError(f"zeroair: expected one image, got {len(degraded)}; restore them one by one")
    if height % prior.multiple_of or width % prior.multiple_of:
        raise ImageError(
            f"zeroair: expected sides that are multiples of {prior.multiple_of} px, got {width}x{height}; pad the image"
        )
