"""φ learns a real degradation from a photo that nothing pairs with the degraded one."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from restorekit.core.image.convention import to_images
from restorekit.core.image.files import read_image
from restorekit.zeroair.config import FitSettings
from restorekit.zeroair.fitting import DegradationFit


def photo(name: str) -> Tensor:
    """The middle 256 px of a bundled photo, averaged to 32 px."""
    return F.avg_pool2d(to_images(read_image(f"sample:{name}@256").samples), 8)


def psnr(a: Tensor, b: Tensor) -> float:
    return -10 * math.log10(float((a - b).square().mean()))


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings", [FitSettings(inner_steps=100), FitSettings(model="small", learning_rate=2e-3, inner_steps=150)]
)
def test_phi_learns_haze_from_unpaired_photos(settings: FitSettings) -> None:
    """At least 6 dB nearer to the hazy image than the clean one is, after few updates; other scenes gain less."""
    scene, other = photo("coffee"), photo("astronaut")
    hazy = 0.5 * scene + 0.45
    fit = DegradationFit(settings, None, like=hazy)
    fit.restart(torch.Generator().manual_seed(0))
    fit.learn(torch.cat([scene, other]), hazy)
    with torch.no_grad():
        assert psnr(fit.model(scene), hazy) > psnr(scene, hazy) + 6
        assert psnr(fit.model(other), 0.5 * other + 0.45) > psnr(other, 0.5 * other + 0.45) + 1
