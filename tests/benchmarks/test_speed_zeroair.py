"""Suite ``zeroair`` counts what the prior is asked, and sets guidance against the same number of evaluations."""

from typing import Any

import pytest
import speed_zeroair
import torch

from restorekit.priors.gaussian_diffusion_prior import GaussianDiffusionPrior
from restorekit.zeroair.presets import preset
from restorekit.zeroair.restorer import ZeroAIRRestorer
from restorekit.zeroair.settings import ZeroAIRSettings


class CountingPrior(GaussianDiffusionPrior):
    """Counts the images that it sees."""

    images = 0

    def predict(self, noisy: torch.Tensor, timestep: int) -> torch.Tensor:
        self.images += len(noisy)
        return super().predict(noisy, timestep)


@pytest.mark.parametrize(
    "sampling",
    [
        {"steps": 3},
        {"timesteps": (900, 400, 100, 0)},
        {"steps": 2, "auxiliary": "image", "auxiliary_count": 2, "fit": {"model": "affine"}},
    ],
)
def test_evaluations_are_the_images_that_the_prior_sees(sampling: dict[str, Any]) -> None:
    prior = CountingPrior()
    settings = ZeroAIRSettings(preset="proximal").changed(sampling=sampling)
    ZeroAIRRestorer("zeroair", settings, prior=prior).restore(torch.rand(1, 3, 16, 16))
    assert speed_zeroair.evaluations(settings.sampling) == prior.images


@pytest.mark.parametrize("name", ["fast", "proximal"])
def test_presets_need_at_most_a_twentieth_of_the_reference(name: str) -> None:
    assert speed_zeroair.evaluations(preset("reference-dehaze")) == 1000 * 2
    assert 20 * speed_zeroair.evaluations(preset(name)) <= 1000 * 2


def test_bare_sample_asks_as_often_as_the_guided_one() -> None:
    bare, guided = CountingPrior(), CountingPrior()
    sample = speed_zeroair.bare_sample(bare, 32, 3)
    settings = speed_zeroair.restorer_of("proximal", 3).settings
    ZeroAIRRestorer("zeroair", settings, prior=guided).restore(speed_zeroair.noisy_photo(32))
    assert sample.shape == (1, 3, 32, 32)
    assert bare.images == guided.images == 3


def test_work_of_the_prior_is_what_its_description_says() -> None:
    work = speed_zeroair.prior_work(speed_zeroair.shipped_prior(), 256)
    assert work.flops / 2e9 == pytest.approx(7.1, abs=0.05)
    assert work.bytes == pytest.approx(4 * (5.7e6 + 2 * 3 * 256**2), rel=0.01)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_steps() -> None:
    words = speed_zeroair.memory_note(2, 128).split()
    few, many = (float(words[place - 1]) for place, word in enumerate(words) if word == "MB")
    assert 1 < many < 1.25 * few
