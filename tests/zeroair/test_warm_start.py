"""Warm start: from the noised image at the right step; closed form for white Gaussian images."""

import math

import numpy as np
import pytest
import torch

from restorekit.errors import UsageError
from restorekit.priors.gaussian_diffusion_prior import GaussianDiffusionPrior
from restorekit.zeroair.config import Stage, ZeroAIRConfig
from restorekit.zeroair.guidance import ZeroAIRGuidance
from restorekit.zeroair.sampler import StepReport, restore_image

ALPHA_BAR = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
C = 0.25

SILENT = ZeroAIRConfig(steps=41, start_snr=1.0, stages=(Stage(),), auxiliary="none")


def unguided(config: ZeroAIRConfig, **options: object) -> tuple[torch.Tensor, list[int]]:
    reports: list[StepReport] = []
    degraded = torch.full((1, 3, 16, 16), 0.9, dtype=torch.float64)
    restored = restore_image(
        GaussianDiffusionPrior(0.0, C),
        degraded,
        config,
        ZeroAIRGuidance(config),
        generator=torch.Generator().manual_seed(0),
        on_step=reports.append,
        **options,  # type: ignore[arg-type]
    )
    return restored * 2 - 1, [report.moment.timestep for report in reports]


def gain(timesteps: list[int]) -> float:
    """What is left at the end of 1 at the start: every step multiplies by c₁ k + c₂."""
    left = math.sqrt(ALPHA_BAR[timesteps[0]])
    for index, t in enumerate(timesteps):
        a, before = ALPHA_BAR[t], ALPHA_BAR[timesteps[index + 1]] if index + 1 < len(timesteps) else 1.0
        c1 = (1 - a / before) * math.sqrt(before) / (1 - a)
        c2 = (1 - before) * math.sqrt(a / before) / (1 - a)
        left *= c1 * math.sqrt(a) * C / (a * C + 1 - a) + c2
    return left


def test_warm_start_keeps_of_the_image_what_the_chain_keeps() -> None:
    values, timesteps = unguided(SILENT)
    spaced = [round(t) for t in np.linspace(0, 999, 41)[::-1]]
    assert timesteps == [t for t in spaced if ALPHA_BAR[t] >= 0.5]
    standard_error = float(values.std()) / math.sqrt(values.numel())
    assert float(values.mean()) == pytest.approx(0.8 * gain(timesteps), abs=4 * standard_error)
    assert 0.8 * gain(timesteps) > 10 * standard_error  # so a start from noise would fail


def test_warm_start_of_ddim_takes_its_steps() -> None:
    config = SILENT.model_copy(update={"sampler": "ddim", "steps": 20})
    assert unguided(config)[1] == [249, 199, 149, 99, 49]


def test_warm_start_begins_from_the_image_it_is_given() -> None:
    """All noise is the same, so two starts differ by the gain times their difference everywhere."""
    plain, timesteps = unguided(SILENT)
    darker, _ = unguided(SILENT, start=torch.full((1, 3, 16, 16), 0.4, dtype=torch.float64))
    torch.testing.assert_close(plain - darker, torch.full_like(plain, gain(timesteps)), atol=1e-6, rtol=1e-5)


def test_run_that_stops_early_visits_the_steps_below_the_ratio_and_the_first() -> None:
    config = SILENT.model_copy(update={"start_snr": None})
    spaced = [round(t) for t in np.linspace(0, 999, 41)[::-1]]
    _, timesteps = unguided(config, until_snr=1.0)
    assert timesteps == [t for t in spaced if ALPHA_BAR[t] < 0.5]
    assert unguided(config, until_snr=1e-9)[1] == [999]


def test_warm_start_after_the_last_step_is_refused() -> None:
    with pytest.raises(UsageError, match="start_snr: expected at most 9999, which the last step has, got 100000"):
        unguided(SILENT.model_copy(update={"start_snr": 1e5}))
