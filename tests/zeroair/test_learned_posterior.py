"""Guided while φ is learned, then drawn: closed forms for a Gaussian prior, and the noise the critic is told of."""

import math

import pytest
import torch
from torch import Tensor, nn

from restorekit.priors.gaussian_diffusion_prior import GaussianDiffusionPrior
from restorekit.zeroair.config import FitSettings, Proximal, Stage, ZeroAIRConfig
from restorekit.zeroair.degradation_model import Levels
from restorekit.zeroair.discriminator import Critic
from restorekit.zeroair.fitting import DegradationFit
from restorekit.zeroair.learned_posterior import learned_posterior_sample
from restorekit.zeroair.presets import PRESETS
from restorekit.zeroair.restorer import RunProgress, ZeroAIRRestorer
from restorekit.zeroair.sampler import StepReport
from restorekit.zeroair.settings import ZeroAIRSettings

MEAN, VARIANCE = -0.2, 0.15
PRIOR = GaussianDiffusionPrior(MEAN, VARIANCE, learn_variance=True)
USUAL = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)


def config(*, steps: int = 24, rate: float = 1e-12, model: str = "affine") -> ZeroAIRConfig:
    """Of a φ that starts as the identity; at this rate it stays so."""
    fit = {"model": model, "learning_rate": rate, "crop_px": 16}
    return ZeroAIRConfig(
        steps=steps,
        estimate="sample",
        proximal=Proximal(sigma="measured", iterations=1),
        stages=(Stage(reconstruction=1.0),),
        auxiliary="none",
        fit=FitSettings.model_validate(fit),
    )


def restore(
    degraded: Tensor, settings: ZeroAIRConfig, *, sigma: float, seed: int = 0
) -> tuple[Tensor, list[tuple[StepReport, nn.Module]]]:
    seen: list[tuple[StepReport, nn.Module]] = []
    restored = learned_posterior_sample(
        PRIOR,
        degraded,
        settings,
        sigma=sigma,
        generator=torch.Generator().manual_seed(seed),
        on_step=lambda report, degradation: seen.append((report, degradation)),
    )
    return restored, seen


@pytest.mark.parametrize("photo", [USUAL, 0.05 * USUAL], ids=["usual", "dark"])
def test_with_nothing_to_learn_samples_have_mean_and_spread_of_the_closed_form(photo: Tensor) -> None:
    """c / (c + s²) of the photo about the mean, and c s² / (c + s²), s the noise once the levels are undone."""
    levels = Levels(photo)
    spread = 0.8  # in [-1, 1]: the draw begins about the middle of the schedule
    found, _ = restore(photo, config(), sigma=spread / 2 * float(levels.factor))
    observed = 2 * (photo - levels.black) / levels.factor - 1
    expected = (VARIANCE * observed + spread**2 * MEAN) / (VARIANCE + spread**2)
    off, variance = 2 * found - 1 - expected, VARIANCE * spread**2 / (VARIANCE + spread**2)
    assert float(off.mean()) == pytest.approx(0, abs=4 * math.sqrt(variance / off.numel()) + 0.01)
    assert float(off.std()) == pytest.approx(math.sqrt(variance), rel=0.1)
    assert (float(levels.factor) < 0.5) == (photo is not USUAL)


@pytest.mark.parametrize("sigma", [1e-4, 0.1, 0.4])
def test_guidance_lasts_while_the_sample_is_noisier_than_the_photo(sigma: float) -> None:
    _, seen = restore(USUAL, config(), sigma=sigma)
    moments = [report.moment for report, _ in seen]
    noise = [math.sqrt(1 / moment.alpha_bar - 1) for moment in moments]
    guided = [report.step is not None for report, _ in seen]
    assert guided == sorted(guided, reverse=True)
    assert all(level > 2 * sigma for level, is_guided in zip(noise, guided, strict=True) if is_guided)
    first = guided.index(False)
    assert noise[first] == pytest.approx(max(2 * sigma, noise[-1]), rel=0.05)
    assert [moment.step for moment in moments] == list(range(1, len(moments) + 1))
    assert moments[-1].steps == len(moments) <= 24


def test_what_phi_changes_at_the_guided_estimate_is_taken_off_the_photo() -> None:
    """Without noise the draw is one evaluation at the clean end, which changes next to nothing."""
    found, seen = restore(USUAL, config(rate=0.02), sigma=0.0)
    report, degradation = next(pair for pair in reversed(seen) if pair[0].step is not None)
    estimate = (report.estimate + 1) / 2
    with torch.no_grad():
        change = degradation(estimate) - estimate
    torch.testing.assert_close(found, USUAL - change, atol=0.03, rtol=0)
    assert float(change.abs().mean()) > 0.1  # it did learn


def test_critic_sees_what_phi_made_beneath_the_noise_of_the_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    learn = Critic.learn

    def watch(self: Critic, fake: Tensor, real: Tensor) -> Tensor:
        seen.append(fake.detach())
        return learn(self, fake, real)

    monkeypatch.setattr(Critic, "learn", watch)
    clean = torch.full((2, 3, 32, 32), 0.5)
    for noise in (0.0, 0.2):
        fit = DegradationFit(FitSettings(model="small"), None, like=clean[:1], noise=noise)
        fit.restart(torch.Generator().manual_seed(0))
        fit.learn(clean, clean[:1])
    assert torch.equal(seen[0], clean)
    assert float((seen[1] - clean).std()) == pytest.approx(0.2, rel=0.05)
    assert not torch.equal(seen[1][0], seen[1][1])


def test_blind_restorer_measures_learns_and_draws() -> None:
    """Noise is told by the photo alone; the result depends on the generator and nothing before."""
    noisy = USUAL + 0.1 * torch.randn(USUAL.shape, generator=torch.Generator().manual_seed(0))
    pool = {"count": 2, "steps": 2, "levels": 2}
    settings = ZeroAIRSettings().changed(sampling={"steps": 8, "fit": {"inner_steps": 1, "crop_px": 16}}, pool=pool)
    restorer = ZeroAIRRestorer("zeroair", settings, prior=PRIOR)
    seen: list[RunProgress] = []
    restorer.on_progress = seen.append
    first, other, again = (restorer.restore(noisy, generator=torch.Generator().manual_seed(n)) for n in (5, 6, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert {told.report.moment.step for told in seen} == set(range(1, 9))
    drawn = next(told.report.moment for told in seen if told.report.step is None)
    assert math.sqrt(1 / drawn.alpha_bar - 1) == pytest.approx(0.2, rel=0.15)
    assert PRESETS["blind"].estimate == "sample"


def test_a_draw_after_learned_guidance_wants_two_steps_and_fresh_optimisers() -> None:
    for changes in ({"steps": 1}, {"reset": "reference"}):
        with pytest.raises(ValueError, match='estimate: expected "sample" with a φ that is learned to have 2 steps'):
            ZeroAIRConfig.model_validate({**config().model_dump(), **changes})
    with pytest.raises(ValueError, match='estimate: expected "guided" unless φ and noise are known, got "mean"'):
        ZeroAIRConfig.model_validate({**config().model_dump(), "estimate": "mean", "steps": 1})
