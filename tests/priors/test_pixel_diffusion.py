"""diffusers' models and schedulers as priors: exact schedules, all kinds of prediction, round trips, refusals."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from restorekit.errors import DependencyError, ModelError, UsageError
from restorekit.priors.gaussian_diffusion_prior import LINEAR_SCHEDULE, GaussianDiffusionPrior
from restorekit.priors.pixel_diffusion import DiffusersPrior, DiffusionPrior, load_pixel_diffusion, make_scheduler
from restorekit.zeroair.sampler import reverse_process

ALPHA_BAR = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


class Says(nn.Module):
    """A network that says the same whatever it sees."""

    def __init__(self, channels: int, value: float) -> None:
        super().__init__()
        self.config = {"in_channels": 3, "out_channels": channels}
        self.channels, self.value = channels, value

    def forward(self, noisy: Tensor, timestep: int) -> SimpleNamespace:
        return SimpleNamespace(sample=noisy.new_full((len(noisy), self.channels, *noisy.shape[2:]), self.value))


def says(channels: int, value: float, **config: Any) -> DiffusersPrior:
    return DiffusersPrior(Says(channels, value), {**LINEAR_SCHEDULE, **config})


def tiny(out_channels: int = 6) -> nn.Module:
    from diffusers import UNet2DModel

    blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    widths = {"block_out_channels": (8, 8), "norm_num_groups": 4, "layers_per_block": 1}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UNet2DModel(sample_size=16, out_channels=out_channels, **blocks, **widths)


@pytest.mark.parametrize("steps", [1000, 250, 100, 50, 25, 10])
def test_ddpm_step_matches_the_float64_formula(steps: int) -> None:
    """Mean and learned variance, at timesteps across the schedule; spacing as guided-diffusion's."""
    timesteps = [int(t) for t in np.round(np.linspace(0, 999, steps))[::-1]]
    noise, code, size = 0.3, 0.4, (1, 3, 8, 8)
    prior = says(6, 0.0)
    scheduler = make_scheduler(prior, steps=steps)
    assert [int(t) for t in scheduler.timesteps] == timesteps
    for index in {0, 1, steps // 3, steps - 2, steps - 1}:
        t = timesteps[index]
        a, before = ALPHA_BAR[t], ALPHA_BAR[timesteps[index + 1]] if index + 1 < steps else 1.0
        beta = 1 - a / before
        x = 0.5 * a**0.5 + noise * (1 - a) ** 0.5  # so that the estimate is 0.5
        output = torch.tensor([noise] * 3 + [code] * 3, dtype=torch.float64)[None, :, None, None].expand(1, 6, 8, 8)
        noisy = torch.full(size, x, dtype=torch.float64)
        stepped = scheduler.step(output, t, noisy, generator=torch.Generator().manual_seed(t))
        mean = beta * before**0.5 / (1 - a) * 0.5 + (1 - before) * (a / before) ** 0.5 / (1 - a) * x
        spread = 0.0
        if t > 0:
            low, high = np.log(beta * (1 - before) / (1 - a)), np.log(beta)
            spread = np.exp(0.5 * ((code + 1) / 2 * high + (1 - code) / 2 * low))
        draws = torch.randn(size, generator=torch.Generator().manual_seed(t), dtype=torch.float64)
        torch.testing.assert_close(stepped.prev_sample, mean + spread * draws, atol=1e-10, rtol=0)
        torch.testing.assert_close(stepped.pred_original_sample, torch.full_like(noisy, 0.5), atol=1e-10, rtol=0)


def test_scheduler_tables_match_float64() -> None:
    table = make_scheduler(says(3, 0.0), steps=10).alphas_cumprod.numpy()
    np.testing.assert_allclose(table, ALPHA_BAR, rtol=1e-12)


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_every_kind_of_prediction_gives_the_same_estimate(kind: str, sampler: Any) -> None:
    """Exact noise, image or v of one pair (image 0.25, noise -0.5) must all lead back to the image."""
    t, clean, noise = 700, 0.25, -0.5
    a = ALPHA_BAR[t]
    value = {"epsilon": noise, "sample": clean, "v_prediction": a**0.5 * noise - (1 - a) ** 0.5 * clean}[kind]
    prior = says(3, value, prediction_type=kind, timestep_spacing="leading")
    scheduler = make_scheduler(prior, sampler, steps=1000)
    noisy = torch.full((1, 3, 8, 8), a**0.5 * clean + (1 - a) ** 0.5 * noise)
    stepped = scheduler.step(prior.predict(noisy, t), t, noisy)
    torch.testing.assert_close(stepped.pred_original_sample, torch.full_like(noisy, clean), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("channels", "stated", "used"),
    [
        (6, "fixed_small", "learned_range"),
        (6, "learned", "learned"),
        (3, "learned_range", "fixed_small"),
        (3, "fixed_large_log", "fixed_large"),
        (3, "fixed_large", "fixed_large"),
    ],
)
def test_variance_fits_the_number_of_channels(channels: int, stated: str, used: str) -> None:
    scheduler = make_scheduler(says(channels, 0.0, variance_type=stated), steps=10)
    assert scheduler.variance_type == used


@pytest.mark.parametrize("channels", [3, 6])
@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_reverse_process_runs_with_and_without_variance_channels(channels: int, sampler: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    prior = says(channels, 0.0)
    noisy = reverse_process(
        prior, torch.zeros(1, 3, 8, 8), make_scheduler(prior, sampler, steps=10), generator=generator, eta=0.5
    )
    assert noisy.shape == (1, 3, 8, 8)


def test_ddim_visits_the_timesteps_that_it_steps_to() -> None:
    """The exact denoiser of one fixed image ends at that image, from any noise and with any number of steps."""
    prior = GaussianDiffusionPrior(0.3, 1e-12)
    for steps in (10, 50):
        scheduler = make_scheduler(prior, "ddim", steps=steps)
        gaps = -np.diff([int(t) for t in scheduler.timesteps] + [-1])
        assert set(gaps) == {1000 // steps}
        noisy = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        ended = reverse_process(prior, noisy, scheduler, generator=torch.Generator())
        torch.testing.assert_close(ended, torch.full_like(ended, 0.3), atol=1e-4, rtol=0)


def test_ddim_names_a_number_of_steps_that_it_can_take() -> None:
    with pytest.raises(UsageError, match="steps: expected a divisor of 1000 for ddim, got 30; take 25"):
        make_scheduler(says(3, 0.0), "ddim", steps=30)


def test_scheduler_refuses_more_steps_than_it_has() -> None:
    with pytest.raises(UsageError, match="steps: expected at most the 1000 timesteps of the diffusion model, got 1001"):
        make_scheduler(says(3, 0.0), steps=1001)
    with pytest.raises(UsageError, match="timesteps: expected 0 to 999 for this diffusion model, got 1000"):
        make_scheduler(says(3, 0.0), steps=1, timesteps=[1000, 5])


@pytest.mark.parametrize("flat", [False, True])
def test_saved_model_loads_bitwise(tmp_path: Path, flat: bool) -> None:
    from diffusers import DDPMScheduler

    network, scheduler = tiny(), DDPMScheduler(variance_type="learned_range")
    network.save_pretrained(tmp_path if flat else tmp_path / "unet")
    scheduler.save_pretrained(tmp_path if flat else tmp_path / "scheduler")
    loaded = load_pixel_diffusion(tmp_path)
    noisy = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    ours, theirs = loaded.network.state_dict(), network.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    expected = DiffusersPrior(network, scheduler.config).predict(noisy, 500)
    torch.testing.assert_close(loaded.predict(noisy, 500), expected, atol=1e-6, rtol=0)
    assert isinstance(loaded, DiffusionPrior)
    assert (loaded.size_px, loaded.multiple_of, loaded.variance_channels) == (16, 2, True)
    assert loaded.scheduler_config["variance_type"] == "learned_range"


def test_prior_is_frozen_and_builds_no_graph() -> None:
    prior = DiffusersPrior(tiny(), LINEAR_SCHEDULE)
    noisy = torch.zeros(1, 3, 16, 16, requires_grad=True)
    assert not prior.predict(noisy, 10).requires_grad
    assert not any(weight.requires_grad for weight in prior.network.parameters())
    assert not prior.network.training


def test_half_precision_keeps_the_sample_in_full_precision() -> None:
    network, noisy = tiny(), torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    full = DiffusersPrior(network, LINEAR_SCHEDULE).predict(noisy, 500)
    half = DiffusersPrior(network, LINEAR_SCHEDULE).to(torch.device("cpu"), "bfloat16").predict(noisy, 500)
    assert half.dtype == torch.float32
    assert 0 < float((half - full).abs().max()) < 0.05 * float(full.abs().max())


def test_prior_refuses_gray_and_class_conditional_models() -> None:
    gray, conditional = Says(3, 0.0), Says(3, 0.0)
    gray.config["in_channels"] = 1
    conditional.config["num_class_embeds"] = 1000
    with pytest.raises(ModelError, match="expected 3 channels in and 3 or 6 out, got 1 and 3; latent and gray models"):
        DiffusersPrior(gray, LINEAR_SCHEDULE)
    with pytest.raises(ModelError, match="expected an unconditional model, got one that wants class labels"):
        DiffusersPrior(conditional, LINEAR_SCHEDULE)


def test_absent_model_says_what_a_folder_holds(tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match="expected a diffusers UNet2DModel with its scheduler, got none"):
        load_pixel_diffusion(tmp_path)
    with pytest.raises(
        DependencyError, match=r"absent: expected a folder that holds unet/ .* got nothing; check the path"
    ):
        load_pixel_diffusion(tmp_path / "absent")
