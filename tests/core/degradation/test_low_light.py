import numpy as np
import pytest
import torch

from restorekit.core.degradation.chain import degrade_images, parse_degradation
from restorekit.core.image.colour import srgb_to_linear

QUIET = "shot=0,read=0,black=0,quantise=0"


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_low_light_without_noise_is_exposure_gain_and_gamma_in_linear_light(photos):
    spec = f"low_light:exposure=0.05,gamma=0.8,red=1.2,blue=0.9,{QUIET}"
    dark, _ = degrade_images(photos, spec, generator=generator())
    encoded = photos.double().numpy()
    light = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    expected = 0.05 * np.array([1.2, 1.0, 0.9])[:, None, None] * np.maximum(light, 1e-5) ** 0.8
    np.testing.assert_allclose(srgb_to_linear(dark).numpy(), expected, atol=1e-5)


def test_low_light_noise_has_the_variance_it_claims():
    light, shot, read = 0.02, 1e-4, 5e-4
    clean = torch.ones(1, 3, 256, 256)
    spec = f"low_light:exposure={light},gamma=1,red=1,blue=1,black=0,shot={shot},read={read},correlation=0,quantise=0"
    measured = srgb_to_linear(degrade_images(clean, spec, generator=generator())[0])
    assert float(measured.mean()) == pytest.approx(light, rel=0.01)
    assert float(measured.double().var()) == pytest.approx(shot * light + read**2, rel=0.02)


def test_black_level_lifts_red_and_blue_twice_as_much_as_green():
    black = torch.zeros(1, 3, 8, 8)
    dark, _ = degrade_images(black, "low_light:exposure=0.01,gamma=1,black=4,shot=0,read=0", generator=generator())
    assert (dark * 255).round()[0, :, 0, 0].tolist() == [4, 2, 4]


def test_quantised_low_light_holds_whole_grey_levels(photos):
    dark, _ = degrade_images(photos, "low_light", generator=generator())
    levels = dark * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)


def test_default_low_light_leaves_a_few_percent_of_the_light(photos):
    low_light = parse_degradation("low_light")
    clean = photos.repeat(8, 1, 1, 1)
    dark = low_light.apply(clean, low_light.draw(24, generator=generator()))
    kept = srgb_to_linear(dark).mean((1, 2, 3)) / srgb_to_linear(clean).mean((1, 2, 3))
    assert 0.003 < float(kept.median()) < 0.05
