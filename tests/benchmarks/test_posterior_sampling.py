"""deepinv sees our prior as the denoiser that it is, and samples with it; without deepinv there is a clear error."""

import math
import sys
from collections.abc import Callable

import posterior_sampling
import pytest
import scipy.fft
import torch
from posterior_sampling import PosteriorRestorer, PriorDenoiser

from restorekit.core.networks.callables import load_callable
from restorekit.core.restorer import Restorer
from restorekit.errors import ModelError
from restorekit.priors.gaussian_diffusion_prior import GaussianDiffusionPrior

MEAN = 0.3
SPECTRUM = 0.25 / (1.0 + torch.arange(16)[:, None] ** 2 + torch.arange(16)[None, :] ** 2)
"""Variance of each frequency for images in [-1, 1]: smooth ones, as photos are."""


def gaussian_prior() -> GaussianDiffusionPrior:
    return GaussianDiffusionPrior(MEAN, SPECTRUM)


def draw(sigma: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """An image of the prior and the same with noise, in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    clean = (gaussian_prior().sample((1, 3, 16, 16), generator=generator) + 1.0) / 2.0
    return clean, clean + sigma * torch.randn(clean.shape, generator=generator)


def posterior_mean(noisy: torch.Tensor, sigma: float) -> torch.Tensor:
    """Of the same prior for images in [0, 1], N((MEAN + 1) / 2, SPECTRUM / 4), given noise of ``sigma``."""
    mean, variance = (MEAN + 1.0) / 2.0, SPECTRUM.double().numpy() / 4.0
    frequencies = scipy.fft.dctn(noisy.double().numpy() - mean, axes=(2, 3), norm="ortho")
    shrunk = frequencies * variance / (variance + sigma**2)
    return torch.from_numpy(mean + scipy.fft.idctn(shrunk, axes=(2, 3), norm="ortho")).float()


@pytest.mark.parametrize("timestep", [0, 20, 150, 400, 700, 900])
def test_denoiser_equals_the_closed_form_posterior_mean(timestep: int) -> None:
    alpha_bar = float(torch.cumprod(1.0 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), dim=0)[timestep])
    sigma = math.sqrt((1.0 - alpha_bar) / alpha_bar) / 2.0
    _, noisy = draw(sigma, timestep)
    denoised = PriorDenoiser(gaussian_prior())(noisy, torch.tensor(sigma))
    torch.testing.assert_close(denoised, posterior_mean(noisy, sigma), rtol=0, atol=1e-4)


@pytest.mark.parametrize("sigma", [10 / 255, 30 / 255, 0.5])
def test_denoiser_is_close_between_timesteps_too(sigma: float) -> None:
    """Neighbouring sigmas are 1 to 3 % apart: the nearest is at most half of that away."""
    _, noisy = draw(sigma, 1)
    denoised, expected = PriorDenoiser(gaussian_prior())(noisy, sigma), posterior_mean(noisy, sigma)
    assert (denoised - expected).square().mean().sqrt() < 0.02 * (expected - noisy).square().mean().sqrt()


def test_denoiser_has_the_gradient_of_the_posterior_mean() -> None:
    prior, sigma = GaussianDiffusionPrior(MEAN, 0.25), 0.1
    noisy = torch.rand(1, 3, 8, 8, requires_grad=True)
    PriorDenoiser(prior)(noisy, sigma).sum().backward()
    expected = 0.0625 / (0.0625 + sigma**2)
    torch.testing.assert_close(noisy.grad, torch.full_like(noisy, expected), rtol=0.01, atol=0)


@pytest.mark.parametrize("sampler", list(posterior_sampling.STEPS))
def test_samples_agree_with_the_posterior_of_a_gaussian(sampler: str) -> None:
    """The mean of many samples is near the posterior mean, much nearer than the observation is."""
    pytest.importorskip("deepinv")
    sigma = 0.2
    _, noisy = draw(sigma, 3)
    restorer = PosteriorRestorer(sampler, sigma=255 * sigma, steps=40, prior=gaussian_prior())
    generator = torch.Generator().manual_seed(0)
    samples = torch.cat([restorer.restore(noisy, generator=generator) for _ in range(16)])
    expected = posterior_mean(noisy, sigma)
    error, before = (image.sub(expected).square().mean().sqrt() for image in (samples.mean(dim=0), noisy))
    assert error < 0.1 * before


def test_restorer_keeps_the_convention_and_repeats() -> None:
    pytest.importorskip("deepinv")
    restorer = load_callable("python:posterior_sampling:diffpir_sigma30_steps3")
    assert isinstance(restorer, Restorer)
    assert restorer.name == "python:posterior_sampling:diffpir_sigma30_steps3"
    noisy = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    before = torch.get_rng_state()
    with torch.inference_mode():
        first, second = (restorer.restore(noisy, generator=torch.Generator().manual_seed(4)) for _ in range(2))
    assert first.shape == noisy.shape
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)
    alone = restorer.restore(noisy[1:], generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(first[1:], alone, rtol=0, atol=1e-6)


def test_names_say_sampler_sigma_and_steps() -> None:
    pytest.importorskip("deepinv")
    made = posterior_sampling.dps_sigma15()
    assert (made.sampler, made.sigma, made.steps) == ("dps", 15 / 255, 1000)
    with pytest.raises(ModelError, match="expected dps_sigma in module posterior_sampling"):
        load_callable("python:posterior_sampling:dps_sigma")


def test_without_deepinv_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deepinv", None)
    with pytest.raises(ModelError, match=r'pip install "restorekit\[baselines\]"'):
        load_callable("python:posterior_sampling:dps_sigma30")


def test_measure_gives_every_restorer_the_same_noisy_photos() -> None:
    photos = [torch.full((1, 3, 16, 16), level) for level in (0.25, 0.5)]
    seen: dict[str, list[torch.Tensor]] = {"a": [], "b": []}

    def keep(name: str) -> Callable[[torch.Tensor], torch.Tensor]:
        def restore(noisy: torch.Tensor) -> torch.Tensor:
            seen[name].append(noisy)
            return noisy

        return restore

    candidates = {"a": (0, keep("a")), "b": (7, keep("b"))}
    rows = posterior_sampling.measure(candidates, photos, sigma=30, seed=0)
    assert all(torch.equal(*pair) for pair in zip(seen["a"], seen["b"], strict=True))
    assert rows[0].psnr == rows[1].psnr
    assert rows[0].psnr[1] == pytest.approx(20 * math.log10(255 / 30), abs=0.5)  # nothing is clipped at 0.5
    assert "| b | 7 |" in posterior_sampling.to_markdown(rows)
