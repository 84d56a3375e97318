"""Settings: the paper's constants, stability in closed form, ablations, and refusals of what cannot be."""

from typing import Any

import numpy as np
import pytest

from restorekit.errors import UsageError
from restorekit.priors.gaussian_diffusion_prior import GaussianDiffusionPrior
from restorekit.zeroair.config import FitSettings, Stage, ZeroAIRConfig
from restorekit.zeroair.presets import ABLATIONS, PRESETS, preset, snr_border
from restorekit.zeroair.settings import PoolSettings
from restorekit.zeroair.stability import stability_number
from restorekit.zeroair.stages import StageSchedule, composed_alpha

ALPHA_BAR = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def schedule(config: ZeroAIRConfig) -> StageSchedule:
    return StageSchedule(config.stages, GaussianDiffusionPrior().alpha_bar)


@pytest.mark.parametrize(
    ("name", "alpha", "seed"),
    [("reference-dehaze", 0.0636, 10), ("reference-low-light", 0.1272, 10), ("reference-denoise", 0.01526, 20)],
)
def test_reference_presets_have_the_published_step_weight_seed_and_borders(name: str, alpha: float, seed: int) -> None:
    config = PRESETS[name]
    assert config.alpha == pytest.approx(alpha, rel=1e-3)
    assert (config.steps, config.seed, config.reset, config.fit.model) == (1000, seed, "reference", "cnn")
    numbers = [schedule(config).at(timestep).number for timestep in (999, 700, 699, 50, 49, 0)]
    assert numbers == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("name", "worst"), [("reference-dehaze", 1.29), ("reference-low-light", 1.52), ("reference-denoise", 0.18)]
)
def test_reference_presets_are_as_stable_as_computed_by_hand(name: str, worst: float) -> None:
    """The largest alpha_t / √ᾱ_t of each; the values are from a computation apart from this code."""
    config, stages = PRESETS[name], schedule(PRESETS[name])
    numbers = [
        stability_number(config.alpha, stages.at(t).reconstruction, float(ALPHA_BAR[t]), 1.0) for t in range(1000)
    ]
    assert max(numbers) == pytest.approx(worst, abs=0.01)


def test_borders_follow_the_noise_schedule_at_hand() -> None:
    """With twice the noise per step the same signal-to-noise ratio is reached earlier."""
    coarse = GaussianDiffusionPrior().alpha_bar[::2]
    stages = StageSchedule(PRESETS["blind"].stages, coarse)
    assert [stages.at(t).number for t in (350, 349, 25, 24)] == [1, 2, 2, 3]
    assert stages.at(499).reconstruction == 0
    assert stages.at(350).reconstruction == 1


def test_composed_alpha_leaves_what_the_short_steps_leave() -> None:
    left = 1.0
    for _ in range(10):
        left *= 1 - 0.0636
    assert composed_alpha(0.0636, 10.0) == pytest.approx(1 - left)
    assert composed_alpha(0.0636, 1.0) == 0.0636


@pytest.mark.parametrize(("name", "most"), [("fast", 1), ("sample", 25), ("proximal", 100)])
def test_evaluations_of_quick_presets_are_few(name: str, most: int) -> None:
    config = preset(name)
    assert config.auxiliary == "none"  # no pool, no second sample
    assert config.steps <= most


def test_blind_preset_learns_enough_and_its_pool_is_cheap() -> None:
    """Evaluations count by their pixels, 256 x 256 for one."""
    config, pool = preset("blind"), PoolSettings()
    assert config.auxiliary == "pool"
    assert pool.count * pool.steps * (config.fit.crop_px / 256) ** 2 <= 25
    assert config.steps * config.fit.inner_steps >= 300


@pytest.mark.parametrize("name", ["blind", "fast", "sample", "proximal", "gdp"])
def test_presets_without_the_authors_features_need_none(name: str) -> None:
    assert not PRESETS[name].needs_features


def test_unknown_preset_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        UsageError, match=r"preset: expected one of reference-dehaze, .* got 'blnd'; did you mean blind\?"
    ):
        preset("blnd")


@pytest.mark.parametrize("name", ABLATIONS)
def test_ablations_change_the_reference_and_stay_valid(name: str) -> None:
    changed = ABLATIONS[name](PRESETS["reference-dehaze"])
    assert changed != PRESETS["reference-dehaze"]
    assert ZeroAIRConfig.model_validate(changed.model_dump()) == changed


def test_ablated_stages_are_silent_and_borders_move() -> None:
    reference = PRESETS["reference-dehaze"]
    for number, timestep in ((1, 800), (2, 300), (3, 10)):
        silent = schedule(ABLATIONS[f"no-stage-{number}"](reference))
        guided = [silent.at(t).stage.guides for t in (800, 300, 10)]
        assert guided == [t != timestep for t in (800, 300, 10)]
    moved = schedule(ABLATIONS["border-800-50"](reference))
    assert [moved.at(t).number for t in (800, 799, 50, 49)] == [1, 2, 2, 3]
    assert moved.at(800).reconstruction == 1
    uniform = ABLATIONS["uniform"](reference).stages
    assert uniform == (Stage(reconstruction=1.0),)


def test_border_lies_between_two_timesteps() -> None:
    ratios = ALPHA_BAR / (1 - ALPHA_BAR)
    assert ratios[700] < snr_border(700) < ratios[699]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stages": (Stage(below_snr=1.0), Stage(below_snr=0.1), Stage())}, "stages: expected below_snr to rise"),
        ({"stages": (Stage(below_snr=1.0),)}, "stages: expected below_snr to rise and only the last to be absent"),
        ({"stages": (Stage(), Stage())}, "stages: expected below_snr to rise and only the last to be absent"),
        ({"fit": FitSettings(model="map")}, "fit.model: a map belongs to one image, got one that others share"),
        ({"timesteps": (5, 10)}, "timesteps: expected falling numbers and the ddpm sampler"),
        ({"sampler": "ddim", "timesteps": (10, 5)}, "timesteps: expected falling numbers and the ddpm sampler"),
        ({"eta": 0.5}, "eta: expected 0 with the ddpm sampler, got 0.5; set sampler"),
        ({"alpha": 1.0}, "alpha"),
        ({"guidance_scale": 1.0}, "guidance_scale"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ZeroAIRConfig.model_validate({"stages": (Stage(),), **changes})


def test_every_setting_is_explained() -> None:
    for model in (ZeroAIRConfig, Stage, FitSettings):
        assert [name for name, field in model.model_fields.items() if not field.description] == []
