"""Sampler and guidance together against closed forms: with white Gaussian images every pixel is a scalar chain.

With prior N(0, c), φ = identity and x_T ~ N(0, 1) the chain is linear in the observation y:
gain' = M gain + α_t and variance' = M² variance + σ², with M = (c₁ − α_t) k + c₂ and k = √ᾱ c / (ᾱ c + 1 − ᾱ).
"""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from restorekit.priors.gaussian_diffusion_prior import GaussianDiffusionPrior
from restorekit.zeroair.config import Stage, ZeroAIRConfig
from restorekit.zeroair.guidance import ZeroAIRGuidance
from restorekit.zeroair.presets import snr_border
from restorekit.zeroair.sampler import restore_image

ALPHA_BAR = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))

STAGES = (
    Stage(below_snr=snr_border(700), reconstruction=1.0, warm_up=True, guide_auxiliary=True),
    Stage(reconstruction=1.0),
)


def spaced(steps: int) -> list[int]:
    return [int(t) for t in np.round(np.linspace(0, 999, steps))[::-1]]


def recursion(steps: int, c: float, alpha: float) -> tuple[float, float]:
    """Final gain and spread."""
    gain, variance, timesteps = 0.0, 1.0, spaced(steps)
    for index, t in enumerate(timesteps):
        a, before = ALPHA_BAR[t], ALPHA_BAR[timesteps[index + 1]] if index + 1 < steps else 1.0
        beta = 1 - a / before
        c1, c2 = beta * math.sqrt(before) / (1 - a), (1 - before) * math.sqrt(a / before) / (1 - a)
        noise = beta * (1 - before) / (1 - a) + c1**2 * c * (1 - a) / (a * c + 1 - a) if t > 0 else 0.0
        push = alpha * (1 - (t - 700) / 299 if t >= 700 else 1.0)
        m = (c1 - push) * math.sqrt(a) * c / (a * c + 1 - a) + c2
        gain, variance = m * gain + push, m**2 * variance + noise
    return gain, math.sqrt(variance)


def run(prior: GaussianDiffusionPrior, degraded: Tensor, config: ZeroAIRConfig, degradation: nn.Module) -> Tensor:
    guidance = ZeroAIRGuidance(config, degradation=degradation)
    return restore_image(prior, degraded, config, guidance, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("steps", "c", "published"),
    [(1000, 0.01, (0.9438, 0.0379)), (100, 0.01, (0.3128, 0.0826)), (100, 0.1, None), (25, 1.0, None)],
)
def test_guided_chain_has_the_gain_and_spread_of_the_recursion(
    steps: int, c: float, published: tuple[float, float] | None
) -> None:
    """To 4 standard errors of 3072 chains; published: numbers computed apart from this project's code."""
    config = ZeroAIRConfig(steps=steps, alpha=0.0636, compose_steps=False, stages=STAGES, auxiliary="none")
    gain, spread = recursion(steps, c, config.alpha)
    if published is not None:
        assert (gain, spread) == pytest.approx(published, abs=2e-4)
    prior = GaussianDiffusionPrior(0.0, c, learn_variance=True, timesteps=spaced(steps))
    observed = 0.5
    degraded = torch.full((1, 3, 32, 32), (observed + 1) / 2)
    values = (run(prior, degraded, config, nn.Identity()) * 2 - 1).numpy()
    assert values.mean() == pytest.approx(gain * observed, abs=4 * spread / values.size**0.5)
    assert values.std() == pytest.approx(spread, rel=4 / (2 * values.size) ** 0.5)


def test_fewer_steps_with_the_composition_rule_keep_the_gain() -> None:
    """At K = 100 and c = 0.01 the recursion gives .944 at 1000 steps, .313 with the same alpha, .965 composed."""
    prior = GaussianDiffusionPrior(0.0, 0.01, learn_variance=True, timesteps=spaced(100))
    config = ZeroAIRConfig(steps=100, alpha=0.0636, stages=STAGES, auxiliary="none")
    values = run(prior, torch.full((1, 3, 32, 32), 0.75), config, nn.Identity()) * 2 - 1
    assert float(values.mean()) / 0.5 == pytest.approx(0.965, abs=0.01)
    assert recursion(1000, 0.01, 0.0636)[0] == pytest.approx(0.944, abs=1e-3)


class Haze(nn.Module):
    """0.5 x + 0.45."""

    def forward(self, clean: Tensor) -> Tensor:
        return 0.5 * clean + 0.45


def psnr(a: Tensor, b: Tensor) -> float:
    return -10 * math.log10(float((a - b).square().mean()))


def test_known_haze_is_inverted_and_an_identity_gives_the_input_back() -> None:
    """One scene from a prior with a natural spectrum: only the right φ restores it; no guidance is another scene."""
    frequency = torch.arange(16, dtype=torch.float64)
    variance = 6.0 / (1.0 + frequency[:, None] ** 2 + frequency[None, :] ** 2) ** 1.5
    prior = GaussianDiffusionPrior(0.0, variance)
    clean = (prior.sample((1, 3, 16, 16), generator=torch.Generator().manual_seed(3)) + 1) / 2
    degraded = Haze()(clean)
    guided = ZeroAIRConfig(steps=200, alpha=0.0636, stages=(Stage(reconstruction=1.0),), auxiliary="none")
    unguided = guided.model_copy(update={"stages": (Stage(),)})
    baseline, restored = psnr(degraded, clean), psnr(run(prior, degraded, guided, Haze()), clean)
    assert restored > baseline + 10
    assert psnr(run(prior, degraded, guided, nn.Identity()), clean) == pytest.approx(baseline, abs=0.3)
    assert psnr(run(prior, degraded, unguided, Haze()), clean) < restored - 10
