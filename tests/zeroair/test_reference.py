"""The reference presets are the authors' code, step by step."""

import importlib.util
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from restorekit.priors.pixel_diffusion import DiffusersPrior
from restorekit.zeroair.config import ZeroAIRConfig
from restorekit.zeroair.guidance import ZeroAIRGuidance
from restorekit.zeroair.losses import FeatureDistance
from restorekit.zeroair.presets import PRESETS
from restorekit.zeroair.sampler import StepReport, restore_image

spec = importlib.util.spec_from_file_location("straight_line", Path(__file__).with_name("straight_line.py"))
assert spec is not None
assert spec.loader is not None
straight_line = importlib.util.module_from_spec(spec)
spec.loader.exec_module(straight_line)

TIMESTEPS = (999, 850, 700, 699, 50, 49, 0)
"""All stages, both sides of every border, and the last step; the rest is left out."""


def in_float64(prior: DiffusersPrior) -> DiffusersPrior:
    precise = deepcopy(prior)
    precise.network.double()
    return precise


def ours(
    prior: DiffusersPrior, image: Tensor, config: ZeroAIRConfig, guidance: ZeroAIRGuidance
) -> list[tuple[StepReport, Tensor]]:
    trace: list[tuple[StepReport, Tensor]] = []

    def note(report: StepReport) -> None:
        last = [module for module in guidance.degradation.modules() if isinstance(module, nn.Conv2d)][-1]
        trace.append((report, last.weight.detach().clone()))

    generator = torch.Generator().manual_seed(config.seed)
    restored = restore_image(prior, image, config, guidance, generator=generator, on_step=note)
    torch.testing.assert_close(restored * 2 - 1, trace[-1][0].noisy[:1])
    return trace


@pytest.mark.parametrize(
    ("name", "constants"),
    [("reference-dehaze", "DEHAZE"), ("reference-low-light", "LOW_LIGHT"), ("reference-denoise", "DENOISE")],
)
def test_reference_preset_equals_the_straight_line(
    prior: DiffusersPrior, features: FeatureDistance, degraded: Tensor, name: str, constants: str
) -> None:
    """In float64: the two networks amplify a difference of 1e-7 to 1e-1 within these steps."""
    config = ZeroAIRConfig.model_validate({**dict(PRESETS[name]), "timesteps": TIMESTEPS})
    prior, features, degraded = in_float64(prior), deepcopy(features).double(), degraded.double()
    guidance = ZeroAIRGuidance(config, features=features)
    process: Any = straight_line.Process(getattr(straight_line, constants), features.network)
    images = [degraded, degraded.flip(3)]  # the second image meets the optimisers as the first left them
    for image in images if name == "reference-dehaze" else images[:1]:
        steps = list(process.run(prior.network, image, TIMESTEPS))
        for (t, estimate, push, noisy, weight), (report, our_weight) in zip(
            steps, ours(prior, image, config, guidance), strict=True
        ):
            assert report.moment.timestep == t
            assert report.step is not None
            for mine, theirs in (
                (report.estimate, estimate),
                (report.step, push),
                (our_weight, weight),
                (report.noisy, noisy),
            ):
                torch.testing.assert_close(mine, theirs, atol=1e-10, rtol=0)
