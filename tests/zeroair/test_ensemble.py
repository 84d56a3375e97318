"""Several samples: their mean and deviation are numpy's, their generators do not depend on how many there are."""

import numpy as np
import pytest
import torch
from torch import Tensor

from restorekit.errors import UsageError
from restorekit.priors.gaussian_diffusion_prior import GaussianDiffusionPrior
from restorekit.zeroair.ensemble import draw_ensemble, generator_of_sample
from restorekit.zeroair.restorer import ZeroAIRRestorer
from restorekit.zeroair.settings import ZeroAIRSettings


def noise(index: int, generator: torch.Generator) -> Tensor:
    return torch.randn(1, 3, 4, 5, generator=generator)


def test_mean_and_deviation_are_those_of_numpy() -> None:
    drawn = np.stack([noise(index, generator_of_sample(7, index)).numpy() for index in range(6)])
    ensemble = draw_ensemble(noise, 6, seed=7)
    np.testing.assert_allclose(ensemble.mean, drawn.mean(axis=0), atol=1e-6)
    assert ensemble.deviation is not None
    np.testing.assert_allclose(ensemble.deviation, drawn.std(axis=0, ddof=1), rtol=1e-5)


def test_one_sample_has_no_deviation_and_the_seeds_own_generator() -> None:
    ensemble = draw_ensemble(noise, 1, seed=7)
    assert ensemble.deviation is None
    assert torch.equal(ensemble.mean, torch.randn(1, 3, 4, 5, generator=torch.Generator().manual_seed(7)))


def test_samples_differ() -> None:
    first, second = (noise(index, generator_of_sample(7, index)) for index in (0, 1))
    assert not torch.equal(first, second)


def test_no_sample_is_refused() -> None:
    with pytest.raises(UsageError, match="samples: expected at least 1, got 0"):
        draw_ensemble(noise, 0, seed=0)


def test_deviation_is_that_of_the_distribution_that_is_sampled() -> None:
    """Without guidance, with exact variances: samples are drawn from the prior, N(0.2, 0.09) in [-1, 1].

    768 values of 24 samples: the mean variance has a relative standard error of sqrt(2 / (768 · 23)) = 0.011.
    """
    timesteps = (999, 800, 600, 400, 200, 100, 50, 20, 5, 0)
    prior = GaussianDiffusionPrior(0.2, 0.09, learn_variance=True, timesteps=timesteps)
    sampling = {"timesteps": timesteps, "stages": [{}], "auxiliary": "none", "fit": {"model": "affine"}}
    sampling |= {"estimate": "guided", "proximal": None}
    restorer = ZeroAIRRestorer("zeroair", ZeroAIRSettings(samples=24, sampling=sampling), prior=prior)
    ensemble = restorer.sample(torch.full((1, 3, 16, 16), 0.9), seed=0)
    assert ensemble.deviation is not None
    assert float(ensemble.deviation.square().mean()) == pytest.approx(0.09 / 4, rel=4 * 0.011)
    assert float(ensemble.mean.mean()) == pytest.approx(0.6, abs=4 * 0.15 / (768 * 24) ** 0.5)
