"""What one step of guidance is made of: its size, its stages, what learns when, and when it stops a run."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from restorekit.errors import ImageError, UsageError
from restorekit.priors.gaussian_diffusion_prior import GaussianDiffusionPrior
from restorekit.zeroair.config import FitSettings, Stage, ZeroAIRConfig
from restorekit.zeroair.guidance import Guidance, NoiseProcess, ZeroAIRGuidance
from restorekit.zeroair.losses import FeatureDistance
from restorekit.zeroair.presets import PRESETS, snr_border
from restorekit.zeroair.stages import Moment

ALPHA_BAR = GaussianDiffusionPrior().alpha_bar
UNIFORM = (Stage(reconstruction=1.0),)


def moment(timestep: int, step: int = 1) -> Moment:
    return Moment(step, 1000, timestep, float(ALPHA_BAR[timestep]))


def begun(degraded: Tensor, config: ZeroAIRConfig, **parts: Any) -> ZeroAIRGuidance:
    guidance = ZeroAIRGuidance(config, **parts)
    guidance.begin(degraded, NoiseProcess(ALPHA_BAR, 1.0), generator=torch.Generator().manual_seed(0))
    return guidance


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).clamp(-1, 1)


def staged(**changes: Any) -> ZeroAIRConfig:
    """The dehazing reference without features, whose stages end at 700 and 50."""
    config = PRESETS["reference-dehaze"]
    stages = tuple(stage.model_copy(update={"features": 0.0}) for stage in config.stages)
    fit = config.fit.model_copy(update={"features": 0.0})
    return ZeroAIRConfig.model_validate({**dict(config), "stages": stages, "fit": fit, **changes})


def test_guidance_is_a_guidance() -> None:
    assert isinstance(ZeroAIRGuidance(staged()), Guidance)


@pytest.mark.parametrize("size", [(8, 8), (8, 24), (32, 16)])
def test_step_with_an_identity_is_alpha_times_the_residual_at_any_size(size: tuple[int, int]) -> None:
    """alpha = 25000 / (2 * 3 * 256 * 256) = 0.0635783: s ∇ MSE = alpha (x − y), both in [-1, 1]."""
    estimate, degraded = noise(1, 3, *size), noise(1, 3, *size, seed=1).abs()
    config = staged(stages=UNIFORM, auxiliary="none")
    step = begun(degraded, config, degradation=nn.Identity()).push(estimate, moment(300)).step
    torch.testing.assert_close(step, -0.06357828776 * (estimate - (2 * degraded - 1)), atol=1e-10, rtol=0)


def test_step_of_an_image_does_not_depend_on_the_others() -> None:
    estimate, degraded = noise(3, 3, 8, 8), noise(1, 3, 8, 8, seed=1).abs()
    config = staged(stages=(Stage(reconstruction=1.0, guide_auxiliary=True),))
    together = begun(degraded, config, degradation=nn.Identity()).push(estimate, moment(300)).step
    for index in range(3):
        alone = begun(degraded, config, degradation=nn.Identity()).push(estimate[index : index + 1], moment(300)).step
        torch.testing.assert_close(together[index : index + 1], alone, atol=1e-12, rtol=0)


def test_stages_guide_what_they_say_and_when() -> None:
    """Warm-up from 0 at 999 to full at 700 for all; from 699 the first sample alone; total variation below 50 alone."""
    degraded, estimate = noise(1, 3, 8, 8, seed=1).abs(), noise(2, 3, 8, 8)
    guidance = begun(degraded, staged(), degradation=nn.Identity())
    full = -PRESETS["reference-dehaze"].alpha * (estimate - (2 * degraded - 1))
    assert not guidance.push(estimate, moment(999)).step.any()
    for timestep, share in ((700, 1.0), (850, 149 / 299)):
        step = guidance.push(estimate, moment(timestep)).step
        torch.testing.assert_close(step, share * full, atol=1e-10, rtol=0)
    for timestep in (699, 50):
        push = guidance.push(estimate, moment(timestep))
        torch.testing.assert_close(push.step[:1], full[:1], atol=1e-10, rtol=0)
        assert not push.step[1:].any()
        assert "total_variation" not in push.logs
    last = guidance.push(estimate, moment(49))
    assert "total_variation" in last.logs
    assert not last.step[1:].any()


def test_total_variation_matches_finite_differences(degraded: Tensor) -> None:
    """The last stage of the reference, with a φ that is the identity and an estimate that equals the input."""
    config = staged(stages=(Stage(total_variation=1.0),), auxiliary="none")
    degraded = degraded.double()
    estimate = 2 * degraded - 1
    step = begun(degraded, config, degradation=nn.Identity()).push(estimate, moment(10)).step

    def variation(x: Tensor) -> float:
        x = (x + 1) / 2
        return 2 * float((x[:, :, 1:] - x[:, :, :-1]).pow(2).mean() + (x[..., 1:] - x[..., :-1]).pow(2).mean())

    for place in ((0, 0, 0, 0), (0, 1, 7, 3), (0, 2, 15, 15)):
        up, down = estimate.clone(), estimate.clone()
        up[place] += 1e-2
        down[place] -= 1e-2
        slope = (variation(up) - variation(down)) / 2e-2
        assert float(step[place]) == pytest.approx(-2 * config.alpha * 768 * slope, rel=1e-9)


@pytest.fixture
def learned() -> Any:
    """Every optimiser step while a test runs, by the number of output channels of what learned: 3 is φ, 1 a critic."""
    steps: list[tuple[int, int]] = []

    def note(optimiser: torch.optim.Optimizer, *_: object) -> None:
        parameters = optimiser.param_groups[0]["params"]
        steps.append((len(parameters[-1]), id(optimiser)))

    handle = register_optimizer_step_pre_hook(note)
    yield steps
    handle.remove()


def test_discriminator_learns_before_phi_once_per_step(learned: list[tuple[int, int]]) -> None:
    guidance = begun(noise(1, 3, 16, 16).abs(), staged())
    for timestep in (999, 700, 300, 10, 0):
        guidance.push(noise(2, 3, 16, 16, seed=timestep), moment(timestep))
    assert [channels for channels, _ in learned] == [1, 3] * 5
    assert len({optimiser for _, optimiser in learned}) == 2


def test_critic_of_residuals_learns_from_stage_two_on(learned: list[tuple[int, int]]) -> None:
    guided = Stage(reconstruction=1.0, adversarial=5e-5)
    config = staged(stages=(Stage(below_snr=snr_border(700), reconstruction=1.0), guided))
    guidance = begun(noise(1, 3, 16, 16).abs(), config)
    for timestep in (700, 699):
        guidance.push(noise(2, 3, 16, 16, seed=timestep), moment(timestep))
    assert [channels for channels, _ in learned] == [1, 3, 1, 3, 1]
    assert len({optimiser for _, optimiser in learned}) == 3


def test_inner_steps_learn_more_often(learned: list[tuple[int, int]]) -> None:
    config = staged(fit=FitSettings(inner_steps=3))
    begun(noise(1, 3, 16, 16).abs(), config).push(noise(2, 3, 16, 16), moment(500))
    assert [channels for channels, _ in learned] == [1, 3] * 3


def test_guidance_uses_phi_after_its_update_and_leaves_it_alone() -> None:
    degraded, estimate = noise(1, 3, 16, 16).abs(), noise(2, 3, 16, 16, seed=2)
    guidance = begun(degraded, staged())
    before = [weight.detach().clone() for weight in guidance.degradation.parameters()]
    step = guidance.push(estimate, moment(400)).step
    leaf = estimate.clone().requires_grad_()
    error = (guidance.degradation((leaf[:1] + 1) / 2) - degraded).square().mean()
    (expected,) = torch.autograd.grad(-2 * guidance.config.alpha * 768 * error, leaf)
    torch.testing.assert_close(step, expected, atol=1e-12, rtol=0)
    assert any(not torch.equal(a, b) for a, b in zip(before, guidance.degradation.parameters(), strict=True))


def test_features_pull_the_first_sample(features: FeatureDistance) -> None:
    degraded, estimate = noise(1, 3, 16, 16).abs().float(), noise(2, 3, 16, 16, seed=2).float()
    config = staged(stages=(Stage(features=1.0),))
    step = begun(degraded, config, features=features, degradation=nn.Identity()).push(estimate, moment(400)).step
    leaf = estimate[:1].clone().requires_grad_()
    (expected,) = torch.autograd.grad(-2 * config.alpha * 768 * features((leaf + 1) / 2, degraded), leaf)
    torch.testing.assert_close(step[:1], expected)
    assert not step[1:].any()


def test_trust_region_shortens_the_step_to_its_bound() -> None:
    """φ = 3 x has ‖J‖² = 9; at t = 400 (√ᾱ = 0.4421) alpha 0.1 gives 0.1 * 9 / 0.4421 = 2.04."""
    degraded, estimate = noise(1, 3, 8, 8).abs(), noise(1, 3, 8, 8, seed=2)

    class Triple(nn.Module):
        def forward(self, clean: Tensor) -> Tensor:
            return 3 * clean

    free = ZeroAIRConfig(alpha=0.1, stages=UNIFORM, auxiliary="none")
    bound = free.model_copy(update={"trust_region": 0.5})
    long = begun(degraded, free, degradation=Triple()).push(estimate, moment(400))
    short = begun(degraded, bound, degradation=Triple()).push(estimate, moment(400))
    number = 0.1 * 9 / math.sqrt(float(ALPHA_BAR[400]))
    assert float(short.logs["stability"]) == pytest.approx(number, rel=1e-6)
    torch.testing.assert_close(short.step, long.step * 0.5 / number)


def test_exploding_guidance_stops_with_the_step_the_stage_and_what_to_lower() -> None:
    class Burst(nn.Module):
        def __init__(self, gain: float) -> None:
            super().__init__()
            self.gain = gain

        def forward(self, clean: Tensor) -> Tensor:
            return self.gain * clean

    degraded, estimate = noise(1, 3, 8, 8).abs(), noise(2, 3, 8, 8, seed=2)
    for gain, got in ((100.0, r"a step of \d+"), (math.inf, "NaN or infinity")):
        with pytest.raises(
            ImageError,
            match=rf"step 7 of 1000 \(timestep 300\), stage 2: expected guidance below 10, got {got}; lower alpha "
            r"\(now 0.06358\), set trust_region to 0.5, or lower fit.learning_rate \(now 0.001\)",
        ):
            begun(degraded, staged(), degradation=Burst(gain)).push(estimate, moment(300, step=7))


def test_guidance_asks_for_the_parts_that_its_weights_need() -> None:
    with pytest.raises(UsageError, match="expected a feature network for the weights named features, got none"):
        ZeroAIRGuidance(PRESETS["reference-dehaze"])
    with pytest.raises(UsageError, match="expected a pool of clean images, got none; make one, or set auxiliary"):
        ZeroAIRGuidance(staged(auxiliary="pool"))
