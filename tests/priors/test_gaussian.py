"""The analytic prior is exact: its formulas against explicit conditioning, its samples against closed forms."""

import numpy as np
import pytest
import scipy.fft
import torch

from restorekit.errors import UsageError
from restorekit.priors.gaussian_diffusion_prior import GaussianDiffusionPrior, dct_matrix
from restorekit.priors.pixel_diffusion import DiffusionPrior, make_scheduler
from restorekit.zeroair.sampler import reverse_process

ALPHA_BAR = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def sampled(prior: GaussianDiffusionPrior, *, steps: int, size: int = 32, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    noisy = torch.randn(1, 3, size, size, generator=generator)
    return reverse_process(prior, noisy, make_scheduler(prior, steps=steps), generator=generator)


def spaced(steps: int) -> list[int]:
    return [int(t) for t in np.round(np.linspace(0, 999, steps))[::-1]]


def test_gaussian_prior_is_a_diffusion_prior() -> None:
    assert isinstance(GaussianDiffusionPrior(), DiffusionPrior)


def test_dct_matrix_matches_scipy() -> None:
    signal = np.random.default_rng(0).normal(size=7)
    ours = dct_matrix(7).numpy() @ signal
    np.testing.assert_allclose(ours, scipy.fft.dct(signal, norm="ortho"), atol=1e-12)


@pytest.mark.parametrize("timestep", [0, 50, 700, 999])
def test_denoise_matches_conditioning_with_the_full_covariance(timestep: int) -> None:
    rng = np.random.default_rng(1)
    variance, mean, noisy = rng.uniform(0.01, 1, (4, 4)), rng.normal(size=(4, 4)), rng.normal(size=(4, 4))
    basis = scipy.fft.idctn(np.eye(16).reshape(16, 4, 4), axes=(1, 2), norm="ortho").reshape(16, 16).T
    covariance = basis @ np.diag(variance.ravel()) @ basis.T
    a = ALPHA_BAR[timestep]
    gain = np.sqrt(a) * covariance @ np.linalg.inv(a * covariance + (1 - a) * np.eye(16))
    expected = mean.ravel() + gain @ (noisy.ravel() - np.sqrt(a) * mean.ravel())
    prior = GaussianDiffusionPrior(torch.from_numpy(mean), torch.from_numpy(variance))
    ours = prior.denoise(torch.from_numpy(noisy).expand(1, 3, 4, 4), timestep)
    np.testing.assert_allclose(ours[0, 0].numpy().ravel(), expected, atol=1e-6)
    np.testing.assert_array_equal(ours[0, 0].numpy(), ours[0, 2].numpy())


@pytest.mark.parametrize(("variance", "expected"), [(1e-3, 0.9535), (1.0, 0.9999)])
def test_samples_with_the_exact_variance_have_the_prior_spread(variance: float, expected: float) -> None:
    """Spread over the prior's: below 1 only because the last step adds no noise. Tolerance: 4 standard errors."""
    prior = GaussianDiffusionPrior(0.2, variance, learn_variance=True)
    values = sampled(prior, steps=1000).numpy()
    assert values.std() / variance**0.5 == pytest.approx(expected, rel=4 / (2 * values.size) ** 0.5)
    assert values.mean() == pytest.approx(0.2, abs=4 * (variance / values.size) ** 0.5 + 1e-3)


def test_samples_with_the_fixed_variance_lack_the_known_share() -> None:
    """One spread per quarter of the frequencies, in the cosine domain."""
    expected = {1e-3: 0.883, 1e-2: 0.963, 0.1: 0.988, 1.0: 0.996}
    variance = torch.tensor(list(expected), dtype=torch.float64).repeat_interleave(12)[:, None].expand(48, 48)
    values = sampled(GaussianDiffusionPrior(0.0, variance), steps=1000, size=48).double().numpy()
    frequencies = scipy.fft.dctn(values, axes=(2, 3), norm="ortho")
    for index, (variance_here, ratio) in enumerate(expected.items()):
        part = frequencies[:, :, 12 * index : 12 * (index + 1)]
        assert part.std() / variance_here**0.5 == pytest.approx(ratio, rel=4 / (2 * part.size) ** 0.5)


@pytest.mark.parametrize("steps", [5, 20, 100])
def test_posterior_samples_have_the_posterior_mean_and_spread_at_any_number_of_steps(steps: int) -> None:
    """c / (c + sigma^2) of the observation, and c sigma^2 / (c + sigma^2) less what the noiseless last step leaves."""
    c, sigma, observed = 0.05, 0.3, 0.8
    prior = GaussianDiffusionPrior(0.0, c, learn_variance=True, timesteps=spaced(steps))
    values = sampled(prior.posterior(torch.full((1, 3, 32, 32), observed), sigma), steps=steps).numpy()
    spread = c * sigma**2 / (c + sigma**2)
    left = spread * (1 - ALPHA_BAR[0]) / (ALPHA_BAR[0] * spread + 1 - ALPHA_BAR[0])
    error = (spread / values.size) ** 0.5
    assert values.mean() == pytest.approx(c / (c + sigma**2) * observed, abs=4 * error + 1e-4)
    assert values.std() == pytest.approx((spread - left) ** 0.5, rel=4 / (2 * values.size) ** 0.5)


def test_prior_draws_have_the_variance_of_each_frequency() -> None:
    variance = torch.linspace(0.1, 1.0, 64, dtype=torch.float64).view(8, 8)
    images = GaussianDiffusionPrior(0.0, variance).sample((2000, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    found = scipy.fft.dctn(images.double().numpy(), axes=(2, 3), norm="ortho").var(axis=(0, 1))
    np.testing.assert_allclose(found, variance.numpy(), rtol=5 * (2 / 6000) ** 0.5)


def test_gaussian_prior_refuses_a_learned_variance_per_frequency() -> None:
    with pytest.raises(UsageError, match=r"learn_variance: expected one variance .* got shape \(4, 4\); leave it off"):
        GaussianDiffusionPrior(0.0, torch.ones(4, 4), learn_variance=True)
