"""Guidance: what to add to a diffusion sample so that, once degraded by φ, it becomes the image at hand.

Apart from the sampler (the seam of deepinv's noisy data fidelity): a sampler asks any ``Guidance`` for a step.

- The gradient is taken at the clean estimate x̂₀ and never runs through the diffusion model.
- Trajectories are a batch whose first sample is the one wanted; the others are auxiliary.
- Everything learned is learned from one image and dropped with it.
- φ is one for the whole image, whatever its size: it is learned on crops and applied to all of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.image.convention import Images
from restorekit.errors import UsageError
from restorekit.priors.pixel_diffusion import SignedImages, to_unsigned
from restorekit.zeroair.config import ZeroAIRConfig
from restorekit.zeroair.degradation_model import Companions, Levels, OneImage
from restorekit.zeroair.discriminator import Critic
from restorekit.zeroair.fitting import DegradationFit
from restorekit.zeroair.large_canvas import Crop, centre_crop, degrade_in_pieces, moving_crop
from restorekit.zeroair.losses import FeatureDistance, total_variation
from restorekit.zeroair.pool import CleanPool
from restorekit.zeroair.stability import Amplification, check_gradient, shortening, stability_number
from restorekit.zeroair.stages import Moment, StageSchedule, StageWeights, composed_alpha

__all__ = ["Guidance", "NoiseProcess", "Push", "ZeroAIRGuidance"]


@dataclass(frozen=True)
class NoiseProcess:
    """What guidance needs to know of a run before its first step."""

    alpha_bar: Float[Tensor, "timesteps"]
    """ᾱ of every timestep of training."""
    spacing: float
    """Timesteps of training per step, on average."""


@dataclass(frozen=True)
class Push:
    """One step of guidance."""

    step: SignedImages
    """To be added to the next noisy sample; one for each trajectory."""
    logs: Mapping[str, Tensor]
    """Scalars for a trace: ``stage``, its number; weighted losses by name; ``saturated``, the share of x̂₀ at its
    bounds, which hides explosions; ``change``, the root mean square of φ(x̂₀) − x̂₀, near 0 where φ collapsed to the
    identity; and ``stability`` under a trust region."""


@runtime_checkable
class Guidance(Protocol):
    """Anything that pulls a sample towards an observation."""

    def begin(self, degraded: OneImage, process: NoiseProcess, *, generator: torch.Generator) -> None:
        """Start with a new image, (1, 3, height, width); random numbers are drawn from here only."""
        ...

    def push(self, estimate: SignedImages, moment: Moment) -> Push:
        """The step at the clean estimates of all trajectories, the guided one first."""
        ...


class ZeroAIRGuidance:
    """The three-stage guidance of ZeroAIR with a φ that is learned on the way.

    Args:
        config: what is guided when, how strongly, and how φ is learned.
        features: deep features, on the device of the images; needed if a weight asks for them.
        pool: clean images to learn φ with; needed if ``config.auxiliary`` is "pool".
        degradation: a known, frozen φ in place of a learned one, (batch, 3, height, width) to the same shape.
        noise: of the degraded image, known not to be φ's, in [0, 1]; see ``DegradationFit``.

    Raises:
        UsageError: a feature network or a pool is asked for and absent.
    """

    def __init__(
        self,
        config: ZeroAIRConfig,
        *,
        features: FeatureDistance | None = None,
        pool: CleanPool | None = None,
        degradation: nn.Module | None = None,
        noise: float = 0.0,
    ) -> None:
        if config.needs_features and features is None:
            raise UsageError(
                "zeroair: expected a feature network for the weights named features, got none; give one, or set these "
                "weights to 0 in fit and in every stage"
            )
        if config.auxiliary == "pool" and pool is None:
            raise UsageError('zeroair: expected a pool of clean images, got none; make one, or set auxiliary = "image"')
        self.config = config
        self._features = features
        self._pool = pool
        self._known: nn.Module | None = degradation
        self._given = degradation
        self._noise = noise
        self._fit: DegradationFit | None = None
        self._critic: Critic | None = None

    @property
    def remedy(self) -> str:
        """What to change where steps explode."""
        return f"lower alpha (now {self.config.alpha:.4g}), set trust_region to 0.5"

    @property
    def degradation(self) -> nn.Module:
        """φ as it is now."""
        if self._known is not None:
            return self._known
        assert self._fit is not None, "begin comes first"
        return self._fit.model

    def begin(self, degraded: OneImage, process: NoiseProcess, *, generator: torch.Generator) -> None:
        """Fresh weights for the critic of residuals, φ, and the critic of φ, in this order (that of the authors)."""
        config = self.config
        self._known = Levels(degraded) if config.fit.model == "levels" else self._given
        if self._critic is None or config.reset == "episodic":
            rate = config.fit.discriminator_learning_rate
            self._critic = Critic(form=config.fit.gan, learning_rate=rate, like=degraded)
            if self._known is None:
                self._fit = DegradationFit(config.fit, self._features, like=degraded, noise=self._noise)
        self._critic.restart(generator)
        if self._fit is not None:
            self._fit.restart(generator)
        self._degraded = degraded
        self._schedule = StageSchedule(config.stages, process.alpha_bar)
        self._alpha = composed_alpha(config.alpha, process.spacing) if config.compose_steps else config.alpha
        self._amplification = Amplification()

    def push(self, estimate: SignedImages, moment: Moment) -> Push:
        """Learn φ, then −2 alpha · 3 · height · width · ∇L at the estimate; nothing of φ changes by the latter.

        Raises:
            ImageError: the step is not finite, or so large that the run is lost.
        """
        weights = self._schedule.at(moment.timestep)
        leaf = estimate.detach().requires_grad_(True)
        logs: dict[str, Tensor] = {
            "stage": torch.tensor(float(weights.number)),
            "saturated": (estimate[:1].abs() >= 1.0).float().mean(),
        }
        with torch.enable_grad():
            clean = to_unsigned(leaf)
            crop = self._crop(clean, moment)
            companions = self._companions(crop(clean.detach()), moment)
            if self._fit is not None:
                logs |= self._fit.learn(companions, crop(self._degraded))
            step = torch.zeros_like(leaf)
            if weights.stage.guides:
                made = degrade_in_pieces(self.degradation, clean if weights.stage.guide_auxiliary else clean[:1])
                losses = self._losses(clean, made, companions, weights, crop)
                (gradient,) = torch.autograd.grad(torch.stack(list(losses.values())).sum(), leaf)
                logs |= {name: loss.detach() for name, loss in losses.items()}
                logs["change"] = (made[:1] - clean[:1]).detach().square().mean().sqrt()
                step = self.move(gradient, clean.detach(), weights, moment, logs)
        remedy = f"{self.remedy}, or lower fit.learning_rate (now {self.config.fit.learning_rate:.4g})"
        check_gradient(step, moment, stage=weights.number, remedy=remedy)
        return Push(step, logs)

    def move(
        self, gradient: Images, clean: Images, weights: StageWeights, moment: Moment, logs: dict[str, Tensor]
    ) -> Images:
        """The step that a gradient at the clean estimates makes: −2 alpha · 3 · height · width · ∇L.

        Args:
            gradient: ∇L of the signed estimates, zero for trajectories that are not guided.
            clean: the estimates, in [0, 1].
            weights: of the stage.
            moment: where in the run.
            logs: more can be added.
        """
        alpha = self._alpha * self._trust(clean, weights, moment, logs)
        return -2.0 * alpha * gradient[0].numel() * gradient

    def _crop(self, clean: Images, moment: Moment) -> Crop:
        """Where φ is learned at this step."""
        height, width = clean.shape[-2:]
        whole = self.config.fit.model == "map"
        return moving_crop(height, width, max(height, width) if whole else self.config.fit.crop_px, step=moment.step)

    def _companions(self, clean: Images, moment: Moment) -> Companions:
        """What φ learns from: the trajectories, or the guided one and images of the pool at a like noise level."""
        if self.config.auxiliary != "pool" or self._pool is None:
            return clean
        return torch.cat([clean[:1], self._pool.at(moment, self.config.auxiliary_count).to(clean)])

    def _losses(
        self,
        clean: Images,
        made: Float[Tensor, "guided 3 height width"],
        companions: Float[Tensor, "companions 3 crop_height crop_width"],
        weights: StageWeights,
        crop: Crop,
    ) -> dict[str, Tensor]:
        """The terms with a weight, each times its weight; sums over images of means over pixels."""
        stage = weights.stage
        errors = (made - self._degraded).square().mean(dim=(1, 2, 3))
        losses = {"reconstruction": weights.reconstruction * errors.sum()}
        if stage.features > 0 and self._features is not None:
            losses["features"] = stage.features * self._features(made[:1], self._degraded)
        if stage.adversarial > 0 and self._critic is not None:
            removed = clean[:1] - self._degraded
            with torch.no_grad():
                expected = companions - self.degradation(companions)
            self._critic.learn(crop(removed), expected)
            losses["adversarial"] = stage.adversarial * self._critic.penalty(removed)
        if stage.total_variation > 0:
            losses["total_variation"] = stage.total_variation * total_variation(clean[:1])
        return losses

    def _trust(self, clean: Images, weights: StageWeights, moment: Moment, logs: dict[str, Tensor]) -> float:
        """The share of alpha that the trust region leaves, by the middle of a large image; without one, 1."""
        if self.config.trust_region is None:
            return 1.0
        height, width = clean.shape[-2:]
        crop = centre_crop(height, width, self.config.fit.crop_px)
        guided = crop(clean[:1])
        start = self.degradation(guided).detach() - crop(self._degraded)
        amplification = self._amplification.update(self.degradation, guided, start=start)
        number = stability_number(self._alpha, weights.reconstruction, moment.alpha_bar, float(amplification))
        logs["stability"] = torch.tensor(number)
        return shortening(number, self.config.trust_region)
