"""ZeroAIR as a restorer: the diffusion model is loaded on first use, every image starts from nothing.

- The result of an image depends on the image, the settings and the generator it is given: not on the images before it,
  not on the others of its batch. The one exception is ``reset = "reference"``, which is there to repeat the authors'.
- An image is never tiled from outside: one φ is learned for all of it. Inside, the diffusion model sees windows, and φ
  is learned on crops and applied in pieces, so that memory grows by ``spec.bytes_per_pixel`` alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.classical import build_classical
from restorekit.core.image.canvas import Canvas, round_up
from restorekit.core.image.convention import Images, check_images
from restorekit.core.placement import resolve_precision
from restorekit.core.restorer import InputSpec
from restorekit.priors.pixel_diffusion import DiffusionPrior
from restorekit.zeroair.canvas_prior import CanvasPrior
from restorekit.zeroair.config import ZeroAIRConfig
from restorekit.zeroair.degradation_model import Levels, OneImage
from restorekit.zeroair.ensemble import Ensemble, draw_ensemble
from restorekit.zeroair.guidance import ZeroAIRGuidance
from restorekit.zeroair.learned_posterior import learned_posterior_sample
from restorekit.zeroair.losses import FeatureDistance
from restorekit.zeroair.pool import CleanPool
from restorekit.zeroair.posterior import posterior_mean, posterior_sample
from restorekit.zeroair.proximal import ProximalGuidance, measured
from restorekit.zeroair.sampler import StepReport, make_pool, restore_image
from restorekit.zeroair.settings import ZeroAIRSettings
from restorekit.zeroair.sources import load_features, load_prior

__all__ = ["OnProgress", "RunProgress", "ZeroAIRRestorer"]

TRAJECTORY_BYTES = 600
"""Working memory for each pixel and trajectory: about 40 values of the sampler, and the critic's maps."""

FEATURE_BYTES = 7000
"""The same for VGG-16, which sees the whole image twice and keeps its maps for the gradient."""


@dataclass(frozen=True)
class RunProgress:
    """One step of one run, as it happens."""

    report: StepReport
    """What the step did; what is written into ``report.noisy`` in place changes the run."""
    sample: int
    """Which run of the image, from 0."""
    samples: int
    """Runs of the image."""
    degraded: OneImage
    """The image, on the canvas that the diffusion model takes."""
    degradation: nn.Module
    """φ as it is now."""


OnProgress = Callable[[RunProgress], None]


@dataclass
class _Loaded:
    """What lies on a device, made on first use."""

    prior: CanvasPrior | None = None
    features: FeatureDistance | None = None
    guidance: ZeroAIRGuidance | None = None
    pools: dict[tuple[int, int], CleanPool] = field(default_factory=dict)


class ZeroAIRRestorer:
    """A ``Restorer`` that samples a diffusion model under guidance.

    Args:
        name: as given to ``--model``.
        settings: a checked ``[config]`` table.
        prior: a diffusion model in place of the one that the settings name.

    Raises:
        ModelError: ``settings.start_from`` is no classical restorer.
    """

    def __init__(self, name: str, settings: ZeroAIRSettings, *, prior: DiffusionPrior | None = None) -> None:
        self.name = name
        self.settings = settings
        self.device = torch.device("cpu")
        self.precision = "float32"
        self.on_progress: OnProgress | None = None
        """Called after every step of every run."""
        self.on_ensemble: Callable[[Ensemble], None] | None = None
        """Called with mean and deviation of every image."""
        self._given = prior
        self._start = build_classical(settings.start_from) if settings.start_from else None
        self._loaded = _Loaded()
        self.spec = InputSpec(tiling="whole", halo=0, bytes_per_pixel=_bytes_per_pixel(settings.sampling))

    @property
    def prior(self) -> CanvasPrior:
        """The diffusion model, on this restorer's device, for any canvas.

        Raises:
            ModelError, DependencyError: it cannot be had.
            UsageError: a window that it cannot take.
        """
        if self._loaded.prior is None:
            settings, loaded = self.settings, self._given or load_prior(self.settings)
            placed = loaded.to(self.device, self.precision) if hasattr(loaded, "to") else loaded
            if settings.compile and hasattr(placed, "network"):
                placed.network = torch.compile(placed.network)
            self._loaded.prior = CanvasPrior(
                placed, window_px=settings.window_px, overlap=settings.overlap, at_once=settings.windows_at_once
            )
        return self._loaded.prior

    def to(self, device: torch.device, precision: str = "float32") -> "ZeroAIRRestorer":
        """This restorer, moved; the precision is that of the diffusion model, the guidance stays float32.

        Raises:
            UsageError: an unknown precision, or float16 on a CPU.
        """
        self.precision = resolve_precision(precision, device)
        self.device = torch.device(device)
        self._loaded = _Loaded()
        return self

    def changed(self, **changes: Any) -> "ZeroAIRRestorer":
        """A restorer like this one with other settings, such as ``preset="fast"`` or ``samples=8``.

        Raises:
            UsageError: they do not fit together.
        """
        other = ZeroAIRRestorer(self.name, self.settings.changed(**changes), prior=self._given)
        return other.to(self.device, self.precision)

    def restore(self, degraded: Images, *, generator: torch.Generator | None = None) -> Images:
        """The mean of ``settings.samples`` samples of each image.

        Args:
            degraded: (batch, 3, height, width), any size, sRGB in [0, 1].
            generator: one seed is drawn from it for all images, so that none depends on its place in the batch; None,
                or ``reset = "reference"``: the seed of the settings.

        Raises:
            ImageError: not images, or a run that diverges; the message names the step, the stage, and what to lower.
            UsageError: settings that do not suit the diffusion model.
            ModelError, DependencyError: the diffusion model or the feature network cannot be had.
        """
        check_images(degraded, self.name)
        seed = self._seed(generator)
        return torch.cat([self.sample(image, seed=seed).mean for image in torch.split(degraded, 1)])

    def sample(self, degraded: OneImage, *, seed: int) -> Ensemble:
        """Mean and deviation of the samples of one image, on its device; errors as in ``restore``.

        Args:
            degraded: (1, 3, height, width), any size.
            seed: of all its samples.
        """
        check_images(degraded, self.name)
        height, width = degraded.shape[-2:]
        canvas = self._on_canvas(degraded)

        def run(index: int, generator: torch.Generator) -> OneImage:
            return self._run(canvas, index, generator)[..., :height, :width].to(degraded.device)

        ensemble = draw_ensemble(run, self.settings.samples, seed=seed)
        if self.on_ensemble is not None:
            self.on_ensemble(ensemble)
        return ensemble

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_loaded": _Loaded(), "on_progress": None, "on_ensemble": None}

    def _run(self, canvas: OneImage, index: int, generator: torch.Generator) -> OneImage:
        """One sample, or the mean of all."""
        sampling = self.settings.sampling
        if sampling.estimate != "guided":
            return (self._unguided if sampling.fit.model == "levels" else self._learned)(canvas, index, generator)
        guidance = self._guidance_for(canvas)

        def on_step(report: StepReport) -> None:
            self._tell(report, index, canvas, guidance.degradation)

        start = self._start_for(canvas)
        return restore_image(self.prior, canvas, sampling, guidance, generator=generator, start=start, on_step=on_step)

    def _learned(self, canvas: OneImage, index: int, generator: torch.Generator) -> OneImage:
        return learned_posterior_sample(
            self.prior,
            canvas,
            self.settings.sampling,
            sigma=self._noise_of(canvas),
            generator=generator,
            features=self._features(),
            pool=self._pool_for(canvas),
            start=self._start_for(canvas),
            on_step=lambda report, degradation: self._tell(report, index, canvas, degradation),
        )

    def _unguided(self, canvas: OneImage, index: int, generator: torch.Generator) -> OneImage:
        sampling = self.settings.sampling
        levels = Levels(canvas)
        sigma = self._noise_of(canvas)

        def on_step(report: StepReport) -> None:
            self._tell(report, index, canvas, levels)

        if sampling.estimate == "mean":
            return posterior_mean(self.prior, canvas, levels, sigma=sigma, on_step=on_step)
        return posterior_sample(
            self.prior, canvas, levels, sigma=sigma, steps=sampling.steps, generator=generator, on_step=on_step
        )

    def _tell(self, report: StepReport, index: int, canvas: OneImage, degradation: nn.Module) -> None:
        if self.on_progress is not None:
            self.on_progress(RunProgress(report, index, self.settings.samples, canvas, degradation))

    def _noise_of(self, canvas: OneImage) -> float:
        proximal = self.settings.sampling.proximal
        assert proximal is not None, "the settings were checked"
        return measured(canvas) if proximal.sigma == "measured" else proximal.sigma

    def _start_for(self, canvas: OneImage) -> OneImage | None:
        return self._start.restore(canvas) if self._start else None

    def _guidance_for(self, canvas: OneImage) -> ZeroAIRGuidance:
        """A new one, or in reference mode the one that lived through the images before."""
        sampling, loaded = self.settings.sampling, self._loaded
        if loaded.guidance is not None and sampling.reset == "reference":
            return loaded.guidance
        kind = ZeroAIRGuidance if sampling.proximal is None else ProximalGuidance
        loaded.guidance = kind(sampling, features=self._features(), pool=self._pool_for(canvas))
        return loaded.guidance

    def _features(self) -> FeatureDistance | None:
        """VGG-16, if a weight asks for it."""
        if self._loaded.features is None and self.settings.sampling.needs_features:
            self._loaded.features = load_features(self.settings.vgg16).to(self.device)
        return self._loaded.features

    def _pool_for(self, canvas: OneImage) -> CleanPool | None:
        """Clean images of the size that φ is learned on, if they are asked for; they depend on that size and the
        settings alone.
        """
        sampling, asked, prior = self.settings.sampling, self.settings.pool, self.prior
        if sampling.auxiliary != "pool":
            return None
        height, width = (min(side, sampling.fit.crop_px) for side in canvas.shape[-2:])
        if (height, width) not in self._loaded.pools:
            rows, columns = (round_up(max(side, prior.minimum_px), prior.multiple_of) for side in (height, width))
            generator = torch.Generator(self.device).manual_seed(sampling.seed)
            with torch.inference_mode(mode=False):
                made = make_pool(
                    prior,
                    count=asked.count,
                    height=rows,
                    width=columns,
                    steps=asked.steps,
                    levels=asked.levels,
                    generator=generator,
                )
            cut = {timestep: images[..., :height, :width] for timestep, images in made.estimates.items()}
            self._loaded.pools[height, width] = CleanPool(cut)
        return self._loaded.pools[height, width]

    def _on_canvas(self, images: OneImage) -> Float[Tensor, "1 3 rows columns"]:
        """In float32 on this restorer's device, reflected at the right and bottom up to what the prior takes."""
        spec = InputSpec(multiple_of=self.prior.multiple_of, minimum=self.prior.minimum_px)
        canvas = Canvas(images[0].detach().to("cpu", torch.float32).permute(1, 2, 0).numpy(), spec)
        return canvas.read(canvas.whole()).to(self.device)

    def _seed(self, generator: torch.Generator | None) -> int:
        sampling = self.settings.sampling
        if generator is None or sampling.reset == "reference":
            return sampling.seed
        return int(torch.randint(2**62, (), generator=generator, device=generator.device))


def _bytes_per_pixel(config: ZeroAIRConfig) -> int:
    trajectories = 1 + (config.auxiliary_count if config.auxiliary == "image" else 0)
    return trajectories * TRAJECTORY_BYTES + (FEATURE_BYTES if config.needs_features else 0)
