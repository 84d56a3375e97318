"""What the network sees and says, against the papers' formulas and diffusers."""

import numpy as np
import pytest
import torch

from restorekit.priors.preconditioning import Preconditioning

ALPHA_BAR = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
TIMESTEPS = [0, 1, 50, 300, 700, 999]
KINDS = ["v", "epsilon", "sample"]


def drawn(count: int, *, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Clean images, noise, and one of ``TIMESTEPS`` for each."""
    generator = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(count, 3, 4, 4, generator=generator, dtype=dtype) for _ in range(2))
    return 0.5 * clean, noise, torch.tensor(TIMESTEPS[:count])


def test_noisy_images_follow_the_linear_schedule() -> None:
    clean, noise, timestep = drawn(6)
    noisy = Preconditioning().add_noise(clean, noise, timestep)
    for index, t in enumerate(TIMESTEPS):
        expected = ALPHA_BAR[t] ** 0.5 * clean[index] + (1 - ALPHA_BAR[t]) ** 0.5 * noise[index]
        torch.testing.assert_close(noisy[index], expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("deviation", [0.5, 1.0])
def test_target_leads_back_to_clean_image_and_noise(kind, deviation: float) -> None:
    clean, noise, timestep = drawn(6)
    meaning = Preconditioning(kind, data_deviation=deviation)
    noisy, target = meaning.add_noise(clean, noise, timestep), meaning.target(clean, noise, timestep)
    torch.testing.assert_close(meaning.clean_of(noisy, target, timestep), clean, atol=1e-10, rtol=0)
    torch.testing.assert_close(meaning.noise_of(noisy, target, timestep), noise, atol=1e-10, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_clean_image_and_noise_make_up_the_noisy_image_whatever_the_network_says(kind) -> None:
    noisy, output, timestep = drawn(6)
    meaning = Preconditioning(kind)
    clean, noise = meaning.clean_of(noisy, output, timestep), meaning.noise_of(noisy, output, timestep)
    torch.testing.assert_close(meaning.add_noise(clean, noise, timestep), noisy, atol=1e-10, rtol=0)


def test_epsilon_and_sample_are_themselves() -> None:
    clean, noise, timestep = drawn(6)
    noisy, output = clean, noise
    assert torch.equal(Preconditioning("epsilon").target(clean, noise, timestep), noise)
    assert torch.equal(Preconditioning("sample").target(clean, noise, timestep), clean)
    assert torch.equal(Preconditioning("epsilon").noise_of(noisy, output, timestep), output)
    assert torch.equal(Preconditioning("sample").clean_of(noisy, output, timestep), output)


def test_v_of_unit_variance_is_that_of_diffusers() -> None:
    from diffusers import DDPMScheduler

    clean, noise, timestep = drawn(6)
    scheduler = DDPMScheduler(1000, 1e-4, 0.02, "linear")
    scheduler.alphas_cumprod = torch.from_numpy(ALPHA_BAR)
    target = Preconditioning("v", data_deviation=1.0).target(clean, noise, timestep)
    torch.testing.assert_close(target, scheduler.get_velocity(clean, noise, timestep), atol=1e-12, rtol=0)


@pytest.mark.parametrize("t", TIMESTEPS)
def test_v_is_the_preconditioning_of_karras(t: int) -> None:
    """Table 1 of arXiv:2206.00364: D = c_skip x + c_out F, F of c_in x, on x = x_t / sqrt(alpha_bar); v = -F."""
    noisy, output, _ = drawn(1)
    sigma, data = ((1 - ALPHA_BAR[t]) / ALPHA_BAR[t]) ** 0.5, 0.4
    x = noisy / ALPHA_BAR[t] ** 0.5
    total = sigma**2 + data**2
    meaning, timestep = Preconditioning(data_deviation=data), torch.tensor([t])
    torch.testing.assert_close(meaning.scaled(noisy, timestep), x / total**0.5, atol=1e-10, rtol=1e-10)
    denoised = data**2 / total * x + sigma * data / total**0.5 * -output
    torch.testing.assert_close(meaning.clean_of(noisy, output, timestep), denoised, atol=1e-10, rtol=1e-10)


def test_input_and_v_have_unit_variance_at_every_timestep() -> None:
    """Of photos with the stated deviation; x0 and noise are independent, so squared factors add up."""
    meaning = Preconditioning(data_deviation=0.3)
    deviations = torch.tensor([0.3, 1.0], dtype=torch.float64)
    torch.testing.assert_close((meaning.target_factors * deviations).square().sum(dim=1), torch.ones(1000).double())
    timestep, one, zero = torch.arange(1000), torch.ones(1000, 3, 1, 1).double(), torch.zeros(1000, 3, 1, 1).double()
    photo, noise = (meaning.scaled(meaning.add_noise(*pair, timestep), timestep) for pair in ((one, zero), (zero, one)))
    torch.testing.assert_close((0.3 * photo).square() + noise.square(), one)


def test_float32_loses_nothing_that_shows_at_either_end() -> None:
    clean, noise, timestep = drawn(6, dtype=torch.float32)
    meaning = Preconditioning()
    noisy, target = meaning.add_noise(clean, noise, timestep), meaning.target(clean, noise, timestep)
    torch.testing.assert_close(meaning.clean_of(noisy, target, timestep), clean, atol=2e-6, rtol=0)
    torch.testing.assert_close(meaning.noise_of(noisy, target, timestep), noise, atol=2e-6, rtol=0)


@pytest.mark.parametrize("t", TIMESTEPS)
def test_noise_of_a_strength_has_its_timestep(t: int) -> None:
    sigma = ((1 - ALPHA_BAR[t]) / ALPHA_BAR[t]) ** 0.5
    assert Preconditioning().timestep_of(1.0001 * sigma) == t
