"""Shared by the tests of ZeroAIR: a tiny diffusion network, tiny features, a degraded image."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from restorekit.priors.gaussian_diffusion_prior import LINEAR_SCHEDULE, GaussianDiffusionPrior
from restorekit.priors.pixel_diffusion import DiffusersPrior
from restorekit.zeroair.losses import FeatureDistance


def tiny_unet(seed: int = 0, *, out_channels: int = 6) -> nn.Module:
    """A random ``UNet2DModel`` of two levels."""
    from diffusers import UNet2DModel

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return UNet2DModel(
            sample_size=16,
            out_channels=out_channels,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            norm_num_groups=4,
            attention_head_dim=8,
        )


class TinyDenoiser(nn.Module):
    """A random network around the exact denoiser of white images, so that errors of a step shrink as in a real one."""

    def __init__(self) -> None:
        super().__init__()
        self.random = tiny_unet()
        self.exact = GaussianDiffusionPrior(variance=0.25)

    def forward(self, noisy: Tensor, timestep: int) -> SimpleNamespace:
        change, variance = self.random(noisy, timestep).sample.chunk(2, dim=1)
        scale = 0.3 * float(self.exact.alpha_bar[timestep]) ** 0.5
        noise = self.exact.predict(noisy, timestep) + scale * change
        return SimpleNamespace(sample=torch.cat([noise, variance.tanh()], dim=1))


@pytest.fixture(scope="session")
def prior() -> DiffusersPrior:
    config = {**LINEAR_SCHEDULE, "variance_type": "learned_range", "clip_sample": True}
    prior = DiffusersPrior(TinyDenoiser(), config)
    prior.variance_channels = True
    return prior


@pytest.fixture(scope="session")
def features() -> FeatureDistance:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU())
    return FeatureDistance(network)


@pytest.fixture(scope="session")
def degraded() -> Tensor:
    generator = torch.Generator().manual_seed(5)
    coarse = torch.rand(1, 3, 4, 4, generator=generator)
    return 0.5 * nn.functional.interpolate(coarse, size=16, mode="bilinear") + 0.4
