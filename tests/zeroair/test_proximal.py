"""The proximal variant against the exact posterior of Gaussian images, for any number of steps."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from restorekit.errors import ImageError
from restorekit.priors.gaussian_diffusion_prior import GaussianDiffusionPrior
from restorekit.priors.pixel_diffusion import make_scheduler
from restorekit.zeroair.config import FitSettings, Proximal, Stage, ZeroAIRConfig
from restorekit.zeroair.guidance import NoiseProcess
from restorekit.zeroair.proximal import ProximalGuidance, conjugate_gradients, estimate_share, estimate_variance
from restorekit.zeroair.sampler import restore_image
from restorekit.zeroair.stages import Moment

ALPHA_BAR = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
C, SIGMA = 0.04, 0.1  # in [-1, 1] and in [0, 1]: clean variance and noise are equal, so half of y is believed


def config(**changes: object) -> ZeroAIRConfig:
    base = {
        "stages": (Stage(reconstruction=1.0),),
        "auxiliary": "none",
        "proximal": Proximal(sigma=SIGMA, clean_variance=C),
    }
    return ZeroAIRConfig.model_validate({**base, **changes})


class Haze(nn.Module):
    """0.5 x + 0.45."""

    def forward(self, clean: Tensor) -> Tensor:
        return 0.5 * clean + 0.45


def mean_of(settings: ZeroAIRConfig, degraded: float, degradation: nn.Module) -> tuple[float, float]:
    """Mean of the restored values, in [0, 1], and its standard error."""
    restored = restore_image(
        GaussianDiffusionPrior(0.0, C),
        torch.full((1, 3, 16, 16), degraded, dtype=torch.float64),
        settings,
        ProximalGuidance(settings, degradation=degradation),
        generator=torch.Generator().manual_seed(0),
    )
    return float(restored.mean()), float(restored.std()) / 768**0.5


@pytest.mark.parametrize("steps", [5, 20, 100])
@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_mean_is_the_posterior_mean_for_every_number_of_steps(steps: int, sampler: str) -> None:
    mean, error = mean_of(config(steps=steps, sampler=sampler), 0.8, nn.Identity())
    posterior = 0.5 + 0.3 * (C / 4) / (C / 4 + SIGMA**2)
    assert mean == pytest.approx(posterior, abs=max(4 * error, 1e-3))
    assert error < 0.003  # so that the check can fail


@pytest.mark.parametrize("steps", [5, 50])
def test_mean_is_the_posterior_mean_under_a_known_haze(steps: int) -> None:
    mean, error = mean_of(config(steps=steps), 0.8, Haze())
    spread, change = C / 4, 0.5
    posterior = 0.5 + spread * change / (change**2 * spread + SIGMA**2) * (0.8 - (0.45 + change * 0.5))
    assert mean == pytest.approx(posterior, abs=4 * error)


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_share_is_what_the_schedulers_make_of_a_change(eta: float) -> None:
    """Two estimates that differ by 1 go through diffusers' own step; the noise is the same."""
    prior = GaussianDiffusionPrior()
    kind = "ddpm" if eta == 1.0 else "ddim"
    scheduler = make_scheduler(prior, kind, steps=10)  # type: ignore[arg-type]
    now, following = (int(t) for t in scheduler.timesteps[4:6])
    moment = Moment(5, 10, now, float(ALPHA_BAR[now]), float(ALPHA_BAR[following]))
    noisy = torch.zeros(1, 3, 4, 4, dtype=torch.float64)
    after = []
    for estimate in (0.0, 1.0):
        predicted = torch.full_like(noisy, -estimate * (ALPHA_BAR[now] / (1 - ALPHA_BAR[now])) ** 0.5)
        options = {} if kind == "ddpm" else {"eta": eta}
        after.append(
            scheduler.step(predicted, now, noisy, generator=torch.Generator().manual_seed(0), **options).prev_sample
        )
    torch.testing.assert_close(after[1] - after[0], torch.full_like(noisy, estimate_share(moment, eta)))


def test_estimate_variance_is_the_posteriors() -> None:
    """Precisions add: of the prior, 1 / c, and of the noisy image, ᾱ / (1 − ᾱ)."""
    assert 1 / estimate_variance(0.3, 0.2) == pytest.approx(1 / 0.2 + 0.3 / 0.7)
    assert estimate_variance(0.3, None) == pytest.approx(estimate_variance(0.3, 1e9))


def test_conjugate_gradients_solve_each_image_by_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    roots = torch.randn(2, 12, 12, generator=generator, dtype=torch.float64)
    systems = roots @ roots.mT + torch.eye(12)
    target = torch.randn(2, 3, 2, 2, generator=generator, dtype=torch.float64)
    expected = torch.linalg.solve(systems, target.reshape(2, 12)).reshape_as(target)

    def system(direction: Tensor) -> Tensor:
        return (systems @ direction.reshape(2, 12, 1)).reshape_as(direction)

    torch.testing.assert_close(conjugate_gradients(system, target, 12), expected, atol=1e-6, rtol=1e-6)
    target[1] = 0  # an image that is not guided
    assert not conjugate_gradients(system, target, 12)[1].any()


def test_step_of_a_network_solves_the_gauss_newton_system() -> None:
    """The Jacobian written out entry by entry, at a φ with several layers."""
    settings = config(proximal=Proximal(sigma=0.1, clean_variance=0.25, iterations=100))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.LeakyReLU(), nn.Conv2d(4, 3, 1)).double()
    generator = torch.Generator().manual_seed(1)
    degraded = torch.rand(1, 3, 4, 4, generator=generator, dtype=torch.float64)
    estimate = torch.randn(1, 3, 4, 4, generator=generator, dtype=torch.float64)
    guidance = ProximalGuidance(settings, degradation=network)
    guidance.begin(degraded, NoiseProcess(torch.tensor(ALPHA_BAR), 1.0), generator=generator)
    moment = Moment(5, 10, 400, float(ALPHA_BAR[400]), float(ALPHA_BAR[300]))
    step = guidance.push(estimate, moment).step

    def flat(signed: Tensor) -> Tensor:
        return network((signed.reshape(1, 3, 4, 4) + 1) / 2).reshape(-1)

    jacobian = torch.autograd.functional.jacobian(flat, estimate.reshape(-1))
    missing = degraded.reshape(-1) - flat(estimate).detach()
    precision = jacobian.T @ jacobian / 0.1**2 + torch.eye(48) / estimate_variance(float(ALPHA_BAR[400]), 0.25)
    change = torch.linalg.solve(precision, jacobian.T @ missing / 0.1**2).reshape_as(estimate)
    torch.testing.assert_close(step, estimate_share(moment, 1.0) * change)


def test_learned_degradation_takes_proximal_steps_on_guided_images_alone() -> None:
    settings = config(stages=(Stage(reconstruction=1.0),), auxiliary="image", fit=FitSettings(model="affine"), steps=10)
    guidance = ProximalGuidance(settings)
    generator = torch.Generator().manual_seed(0)
    degraded = torch.rand(1, 3, 8, 8, generator=generator)
    guidance.begin(degraded, NoiseProcess(torch.tensor(ALPHA_BAR), 100.0), generator=generator)
    push = guidance.push(torch.rand(2, 3, 8, 8, generator=generator), Moment(5, 10, 400, 0.2, 0.4))
    assert push.step[0].any()
    assert not push.step[1].any()
    assert float(push.logs["distance"]) > 0


def test_explosion_says_to_raise_sigma() -> None:
    class Broken(nn.Module):
        def forward(self, clean: Tensor) -> Tensor:
            return clean * float("nan")

    with pytest.raises(ImageError, match=r"step 1 of 5 .*stage 1.*raise proximal.sigma \(now 0.1\), or lower fit"):
        mean_of(config(steps=5), 0.8, Broken())


def test_sigma_can_be_measured_on_the_degraded_image() -> None:
    """White noise of a known deviation: the same steps as with that number given, within what the estimate misses."""
    noisy = 0.5 + 0.12 * torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))

    def restored(image: Tensor, **proximal: object) -> Tensor:
        settings = config(steps=5, proximal=Proximal.model_validate({"clean_variance": C, **proximal}))
        guidance = ProximalGuidance(settings, degradation=nn.Identity())
        generator = torch.Generator().manual_seed(0)
        return restore_image(GaussianDiffusionPrior(0.0, C), image, settings, guidance, generator=generator)

    measured = restored(noisy, sigma="measured")
    torch.testing.assert_close(measured, restored(noisy, sigma=0.12), atol=0.01, rtol=0)
    assert float((measured - restored(noisy, sigma=0.05)).abs().max()) > 0.05
    flat = torch.full((1, 3, 96, 96), 0.6)
    torch.testing.assert_close(
        restored(flat, sigma="measured", least_sigma=0.03), restored(flat, sigma=0.03), atol=1e-6, rtol=0
    )
