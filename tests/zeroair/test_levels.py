"""φ in closed form: what it makes of dark, veiled and usual photos, and that every photo has its own."""

import pytest
import torch
from pydantic import ValidationError

from restorekit.core.networks.tone import USUAL_BLACK, USUAL_MEAN
from restorekit.zeroair.config import ZeroAIRConfig
from restorekit.zeroair.degradation_model import Levels
from restorekit.zeroair.guidance import NoiseProcess
from restorekit.zeroair.presets import preset
from restorekit.zeroair.proximal import ProximalGuidance

USUAL = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)


def test_usual_photos_are_left_alone() -> None:
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Levels(USUAL)(image), image)


def test_dark_photos_are_taken_for_bright_ones_times_a_factor() -> None:
    dark = 0.05 * USUAL
    levels = Levels(dark)
    bright = dark / levels.factor
    assert float(bright.mean()) == pytest.approx(USUAL_MEAN, rel=0.02)
    torch.testing.assert_close(levels(bright), dark)


def test_veiled_photos_are_taken_for_clear_ones_and_a_veil() -> None:
    levels = Levels(0.3 * USUAL + 0.6)
    darkest = 0.6
    assert float(levels.black) == pytest.approx(darkest - USUAL_BLACK, abs=0.01)
    assert float(levels.factor) < 1


def test_guidance_takes_new_levels_for_every_photo() -> None:
    config = preset("proximal")
    guidance = ProximalGuidance(config)
    process = NoiseProcess(torch.linspace(0.99, 0.01, 1000), 10.0)
    factors = []
    for degraded in (0.05 * USUAL, USUAL):
        guidance.begin(degraded, process, generator=torch.Generator().manual_seed(0))
        assert isinstance(guidance.degradation, Levels)
        factors.append(float(guidance.degradation.factor))
    assert factors[0] < 0.5
    assert factors[1] == 1


def test_levels_ask_for_no_other_images() -> None:
    with pytest.raises(ValidationError, match="levels are not learned"):
        ZeroAIRConfig.model_validate({**dict(preset("fast")), "auxiliary": "image"})
