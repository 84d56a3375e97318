"""Every number of ZeroAIR that may change between runs: what is guided when, how strongly, and how φ is learned.

Gou et al. 2024, "Test-Time Degradation Adaptation for Open-Set Image Restoration" (arXiv:2312.02197). Named settings
are in ``presets``.

- The step weight is ``alpha``, not the paper's s: s multiplies a mean over all pixels, so it means something else at
  every image size. alpha = s / (2 · 3 · height · width) is how far one step moves a pixel's residual.
- Stages end at a signal-to-noise ratio, ᾱ / (1 − ᾱ), not at a timestep: it stays right for other noise schedules.
- Weights count per image. The authors' stage 1 averages over two images, so their peak of 2 is 1 here.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["DegradationKind", "FitSettings", "GanForm", "Proximal", "Stage", "ZeroAIRConfig"]

DegradationKind = Literal["residual", "small", "cnn", "affine", "map", "levels"]
GanForm = Literal["bce", "bce_logits", "lsgan", "wgan_softplus", "hinge", "wgan"]
Weight = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(gt=0, le=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Stage(_Settings):
    """What guides the sample while the signal-to-noise ratio is below a boundary; all weights zero: no guidance."""

    below_snr: float | None = Field(default=None, gt=0)
    """The stage lasts while ᾱ / (1 − ᾱ) is below this; None: to the end. The paper's t = 700 and t = 50 of the linear
    schedule are 6.97e-3 and 32.9."""
    reconstruction: Weight = 0.0
    """Weight γ of the squared distance between φ(x̂₀) and the degraded image, mean over pixels."""
    warm_up: bool = False
    """The reconstruction weight grows linearly with the timestep from 0 to its full value within this stage."""
    features: Weight = 0.0
    """Weight of the squared distance of deep features; needs a feature network."""
    adversarial: Weight = 0.0
    """Weight of the loss that makes what φ removed from the guided image look like what it removes from others."""
    total_variation: Weight = 0.0
    """Weight of the squared differences between neighbouring pixels of x̂₀."""
    guide_auxiliary: bool = False
    """The auxiliary images are pulled to the degraded image too, so that they share its global statistics."""

    @property
    def guides(self) -> bool:
        """Whether any term has a weight."""
        return max(self.reconstruction, self.features, self.adversarial, self.total_variation) > 0


class FitSettings(_Settings):
    """How the degradation network φ, from clean to degraded, is learned during sampling."""

    model: DegradationKind = "residual"
    """residual: x + CNN(x), starting as the identity; small: the same with a CNN of a 26th of the cost; cnn: the
    authors' network, starting at random; affine: a 3x4 colour matrix; map: a factor, and an offset per pixel (GDP);
    levels: a gain and an offset in closed form, which are not learned."""
    objective: Literal["adversarial", "paired"] = "adversarial"
    """adversarial: φ(clean) looks degraded and keeps its content (ZeroAIR); paired: φ(x̂₀) equals the degraded image
    (GDP)."""
    content: Weight = 0.2
    """λ₁, of the squared distance between φ(x) and x. 0.2 dehazing, 0.02 low light, 3 denoising in the paper."""
    features: Weight = 0.0
    """λ₂, of the squared distance of deep features; needs a feature network. 0.5, 0.3, 0.002 in the paper."""
    adversarial: Weight = 0.3
    """λ₃, of the adversarial loss. 0.3, 0.6, 0.001 in the paper."""
    gan: GanForm = "bce"
    """Form of both adversarial losses; bce is the authors'."""
    learning_rate: Rate = 1e-3
    """Of Adam, for φ. 1e-3 in the paper; an affine φ wants ten times that."""
    discriminator_learning_rate: Rate = 5e-4
    """Of Adam, for the discriminators. 5e-4 dehazing, 5e-5 low light, 1e-3 denoising in the authors' code."""
    inner_steps: int = Field(default=1, ge=1, le=1000)
    """Updates of φ per timestep; 1 in the paper. φ needs 200 to 300 in all before it is of use."""
    crop_px: int = Field(default=256, ge=16)
    """φ is learned on squares of at most this side, in px, at another place in each timestep; the paper's images have
    256 px. A map is learned on the whole image."""


class Proximal(_Settings):
    """Each clean estimate is moved to where the prior and the observation agree, in place of a step of weight alpha."""

    sigma: Annotated[float, Field(gt=0, le=1)] | Literal["measured"] = 0.05
    """Standard deviation of what φ cannot explain of the degraded image, in [0, 1]; smaller follows it more closely.
    measured: of its noise, as ``core.classical.estimate_noise`` finds it, at least ``least_sigma``."""
    least_sigma: float = Field(default=0.02, gt=0, le=1)
    """What a measured sigma is at least."""
    clean_variance: float | None = Field(default=0.25, gt=0)
    """Variance of clean images around what a very noisy one tells, in squares of [-1, 1] units; a photo's pixels have
    about 0.25. None: unbounded, as in DiffPIR, which trusts the observation more at the noisy end."""
    iterations: int = Field(default=4, ge=1, le=100)
    """Of conjugate gradients; one is exact where φ is the identity."""


class ZeroAIRConfig(_Settings):
    """One run of ZeroAIR."""

    steps: int = Field(default=250, ge=1)
    """Evaluations of the diffusion model, at most its own number of timesteps; 1000 in the paper."""
    timesteps: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(default=None, min_length=1)
    """The timesteps to visit, falling, in place of ``steps`` evenly spaced ones; ddpm only."""
    estimate: Literal["guided", "sample", "mean"] = "guided"
    """guided: a sample of the prior that guidance pulls towards the degraded image, to the last step. The
    others undo the levels and know or measure white noise (``proximal.sigma``): sample, one of the photos that fit,
    where a φ that is learned guides the steps that are noisier than the photo, and levels need no guidance; mean, the
    mean of all that fit, for ``fit.model = "levels"`` and ``steps = 1``."""
    sampler: Literal["ddpm", "ddim"] = "ddpm"
    """ddpm: the paper's; ddim: less noise, set by eta."""
    eta: float = Field(default=0.0, ge=0, le=1)
    """Share of ddpm's noise that ddim adds; 0: none."""
    start_snr: float | None = Field(default=None, gt=0)
    """Warm start: noise the degraded image to the first step whose signal-to-noise ratio is at least this, and leave
    out the steps before. 0.026 is the linear schedule's t = 600. For noise: haze and darkness survive it. None: start
    from noise."""

    alpha: float = Field(default=0.0636, gt=0, lt=1)
    """Step weight at 1000 steps. 0.0636 dehazing, 0.1272 low light, 0.0153 denoising in the paper."""
    compose_steps: bool = True
    """With fewer steps use 1 − (1 − alpha)^(1000 / steps), so that all steps together move as far; False: alpha as it
    is."""
    trust_region: float | None = Field(default=None, gt=0, le=2)
    """Upper bound of alpha · weight · ‖∂φ/∂x‖² / √ᾱ, which diverges above 2; larger steps are shortened. None: off."""
    proximal: Proximal | None = None
    """How far each step goes, in place of ``alpha``, ``compose_steps`` and ``trust_region``; None: by these."""
    stages: tuple[Stage, ...] = Field(min_length=1)
    """In order of rising signal-to-noise ratio; the last one has no boundary."""

    auxiliary: Literal["none", "image", "pool"] = "image"
    """Where φ sees other clean images: from samples that run beside the guided one, or from a pool made before. With
    none φ may learn the content of the one image instead of its degradation."""
    auxiliary_count: int = Field(default=1, ge=1, le=64)
    """Auxiliary images per step; 1 in the paper."""
    fit: FitSettings = FitSettings()
    """How φ is learned."""

    reset: Literal["episodic", "reference"] = "episodic"
    """episodic: every image starts with new networks and optimisers, so results do not depend on order; reference: the
    optimisers live on from image to image, as in the authors' code."""
    seed: int = Field(default=0, ge=0)
    """Of the generator of a run. 10 (dehazing, low light) or 20 (denoising), for every image alike, in the paper."""

    @model_validator(mode="after")
    def _consistent(self) -> "ZeroAIRConfig":
        borders = [stage.below_snr for stage in self.stages]
        rising = [border for border in borders[:-1] if border is not None]
        if borders[-1] is not None or len(rising) < len(borders) - 1 or sorted(set(rising)) != rising:
            raise ValueError(f"stages: expected below_snr to rise and only the last to be absent, got {borders}")
        if self.fit.model == "map" and (self.fit.objective != "paired" or self.auxiliary != "none"):
            raise ValueError(
                "fit.model: a map belongs to one image, got one that others share; "
                'set fit.objective = "paired" and auxiliary = "none"'
            )
        if self.fit.model == "levels" and self.auxiliary != "none":
            raise ValueError('fit.model: levels are not learned, so nothing needs other images; set auxiliary = "none"')
        learned = self.fit.model != "levels"
        if self.estimate != "guided" and (self.proximal is None or (self.estimate == "mean" and learned)):
            raise ValueError(
                f'estimate: expected "guided" unless φ and noise are known, got "{self.estimate}"; '
                'set proximal.sigma, and for a mean fit.model = "levels"'
            )
        if self.estimate == "sample" and learned and (self.steps < 2 or self.reset == "reference"):
            raise ValueError(
                'estimate: expected "sample" with a φ that is learned to have 2 steps or more and reset = "episodic", '
                f'got steps = {self.steps}, reset = "{self.reset}"'
            )
        if self.estimate == "mean" and self.steps != 1:
            raise ValueError(
                f'steps: expected 1 beside estimate = "mean", got {self.steps}; take preset "sample" for more'
            )
        if self.fit.model == "map" and self.reset == "reference":
            raise ValueError('reset: expected "episodic" with a map, whose size changes with the image')
        if self.eta > 0 and self.sampler == "ddpm":
            raise ValueError(f'eta: expected 0 with the ddpm sampler, got {self.eta:g}; set sampler = "ddim"')
        if self.timesteps is not None and (
            self.sampler != "ddpm" or sorted(set(self.timesteps), reverse=True) != list(self.timesteps)
        ):
            raise ValueError("timesteps: expected falling numbers and the ddpm sampler; leave them out to use steps")
        return self

    @property
    def needs_features(self) -> bool:
        """Whether any weight asks for a feature network."""
        return self.fit.features > 0 or any(stage.features > 0 for stage in self.stages)
