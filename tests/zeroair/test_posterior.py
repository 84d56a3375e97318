"""The photos that fit, their mean and draws of them: for a Gaussian prior both are known in closed form."""

import math

import pytest
import torch
from pydantic import ValidationError

from restorekit.errors import UsageError
from restorekit.priors.gaussian_diffusion_prior import GaussianDiffusionPrior
from restorekit.priors.pixel_diffusion import make_scheduler, to_signed, to_unsigned
from restorekit.zeroair.degradation_model import Levels
from restorekit.zeroair.posterior import nearest_timestep, posterior_mean, posterior_sample
from restorekit.zeroair.presets import PRESETS
from restorekit.zeroair.restorer import RunProgress, ZeroAIRRestorer
from restorekit.zeroair.settings import ZeroAIRSettings

MEAN, VARIANCE = -0.2, 0.15
PRIOR = GaussianDiffusionPrior(MEAN, VARIANCE)
ALPHA_BAR = make_scheduler(PRIOR, "ddim", steps=1).alphas_cumprod.double()
USUAL = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)


def deviation(timestep: int) -> float:
    return math.sqrt(1 / float(ALPHA_BAR[timestep]) - 1)


@pytest.mark.parametrize("timestep", [0, 5, 120, 400])
@pytest.mark.parametrize("photo", [USUAL, 0.05 * USUAL, 0.3 * USUAL + 0.6], ids=["usual", "dark", "veiled"])
def test_mean_is_that_of_the_closed_form(timestep: int, photo: torch.Tensor) -> None:
    levels = Levels(photo)
    degraded = photo + 0.01 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    spread = deviation(timestep)
    found = posterior_mean(PRIOR, degraded, levels, sigma=spread / 2 * float(levels.factor))
    observed = 2 * (degraded - levels.black) / levels.factor - 1
    expected = (VARIANCE * observed + spread**2 * MEAN) / (VARIANCE + spread**2)
    torch.testing.assert_close(to_signed(found), expected, atol=2e-4, rtol=0)
    assert levels.factor < 0.9 or photo is USUAL


@pytest.mark.parametrize("timestep", [60, 400])
@pytest.mark.parametrize("photo", [USUAL, 0.3 * USUAL + 0.6], ids=["usual", "veiled"])
def test_samples_have_mean_and_spread_of_the_closed_form(timestep: int, photo: torch.Tensor) -> None:
    """c / (c + s²) of the observation about the mean, and c s² / (c + s²), s the noise once φ is undone."""
    levels, spread = Levels(photo), deviation(timestep)
    degraded = torch.full((1, 3, 64, 64), 0.75) * levels.factor + levels.black
    found = posterior_sample(
        GaussianDiffusionPrior(MEAN, VARIANCE, learn_variance=True),  # the fixed one lacks 4 % of it at 61 steps
        degraded,
        levels,
        sigma=spread / 2 * float(levels.factor),
        steps=timestep + 1,
        generator=torch.Generator().manual_seed(0),
    )
    values, count = to_signed(found), found.numel()
    variance = VARIANCE * spread**2 / (VARIANCE + spread**2)
    mean = (VARIANCE * 0.5 + spread**2 * MEAN) / (VARIANCE + spread**2)
    assert float(values.mean()) == pytest.approx(mean, abs=4 * math.sqrt(variance / count) + 1e-3)
    assert float(values.std()) == pytest.approx(math.sqrt(variance), rel=0.03)  # the last step adds no noise


def test_sample_evaluates_as_often_as_asked_and_depends_on_its_generator_alone() -> None:
    noisy = USUAL + 0.1 * torch.randn(USUAL.shape, generator=torch.Generator().manual_seed(0))
    restorer = ZeroAIRRestorer("zeroair", ZeroAIRSettings(preset="sample"), prior=PRIOR)
    seen: list[RunProgress] = []
    restorer.on_progress = seen.append
    first, again = (restorer.restore(noisy, generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert len(seen) == 2 * PRESETS["sample"].steps
    assert torch.equal(first, again)
    assert not torch.equal(restorer.restore(noisy, generator=torch.Generator().manual_seed(6)), first)


def test_levels_are_undone_exactly() -> None:
    levels = Levels(0.3 * USUAL + 0.6)
    torch.testing.assert_close(levels(levels.inverse(USUAL)), USUAL)


def test_timestep_is_the_nearest_and_stays_in_the_schedule() -> None:
    scheduler = make_scheduler(PRIOR, "ddim", steps=1)
    assert [nearest_timestep(scheduler, deviation(t)) for t in (0, 7, 500, 999)] == [0, 7, 500, 999]
    between = 0.45 * deviation(301) + 0.55 * deviation(300)
    assert nearest_timestep(scheduler, between) == 300
    assert [nearest_timestep(scheduler, sigma) for sigma in (0.0, 1e9)] == [0, 999]


def test_fast_restorer_measures_noise_and_evaluates_once() -> None:
    noisy = USUAL + 0.1 * torch.randn(USUAL.shape, generator=torch.Generator().manual_seed(0))
    restorer = ZeroAIRRestorer("zeroair", ZeroAIRSettings(preset="fast"), prior=PRIOR)
    seen: list[RunProgress] = []
    restorer.on_progress = seen.append
    found = restorer.restore(noisy)
    assert len(seen) == 1
    assert deviation(seen[0].report.moment.timestep) == pytest.approx(0.2, rel=0.15)
    expected = posterior_mean(PRIOR, noisy, Levels(noisy), sigma=deviation(seen[0].report.moment.timestep) / 2)
    torch.testing.assert_close(found, to_unsigned(to_signed(expected)))
    assert torch.equal(restorer.restore(noisy, generator=torch.Generator().manual_seed(5)), found)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"samples": 4}, r"samples: expected 1 beside sampling.estimate"),
        ({"sampling": {"steps": 20}}, r"steps: expected 1 beside estimate"),
        ({"sampling": {"proximal": None, "fit": {"model": "affine"}}}, r"unless φ and noise are known"),
    ],
)
def test_what_a_mean_has_not_is_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises((UsageError, ValidationError), match=told):
        ZeroAIRSettings(preset="fast").changed(**changes)
