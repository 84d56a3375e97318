"""Rain and haze."""

import numpy as np
import pytest
import torch

from restorekit.core.degradation.chain import degrade_images, parse_degradation
from restorekit.core.degradation.haze import plausible_depth
from restorekit.core.degradation.rain import StreakStyle, rain_layer

PLAIN = {
    "angle": 0.0,
    "spread": 0.0,
    "layers": 1.0,
    "length": 40.0,
    "width": 2.0,
    "density": 0.1,
    "brightness": 0.5,
    "variety": 0.0,
    "softness": 0.5,
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def layer(rows=256, columns=256, seed=0, **changes):
    style = StreakStyle(**{**PLAIN, **changes})
    return rain_layer(style, rows, columns, generator(seed), device=torch.device("cpu"))


def shift_between_rows(field, lag):
    """How far to the right, in px, the field moves between rows that are ``lag`` px apart (cross-correlation)."""
    spectrum = np.fft.fft(field.double().numpy() - float(field.mean()), axis=1)
    correlation = np.fft.ifft(spectrum[lag:] * spectrum[:-lag].conj(), axis=1).real.mean(axis=0)
    peak = int(correlation.argmax())
    before, top, after = correlation[[peak - 1, peak, (peak + 1) % len(correlation)]]
    shift = peak + 0.5 * (before - after) / (before - 2 * top + after)
    return shift - len(correlation) if shift > len(correlation) / 2 else shift


@pytest.mark.parametrize("angle", [-40.0, -15.0, 0.0, 25.0])
def test_rain_falls_at_the_angle_it_claims(angle):
    shift = shift_between_rows(layer(512, 512, angle=angle, density=0.2), lag=12)
    assert shift == pytest.approx(12 * np.tan(np.radians(angle)), abs=0.3)


def test_rain_light_grows_with_density_as_its_areas_do():
    sparse, dense = (np.mean([float(layer(density=d, seed=s).mean()) for s in range(6)]) for d in (0.05, 0.2))
    assert dense / sparse == pytest.approx(4.0, rel=0.15)


@pytest.mark.parametrize("width", [1.5, 3.0, 6.0])
def test_streaks_have_the_typical_width_at_half_brightness_they_claim(width):
    widths = []
    for seed in range(60):
        row = layer(8, 300, seed, width=width, length=300.0, density=0.004, softness=0.0)[4].double()
        columns = torch.arange(300, dtype=torch.float64)
        centre = (row * columns).sum() / row.sum()
        spread = ((row * (columns - centre) ** 2).sum() / row.sum()).sqrt()
        if spread < 2 * width and 3 * width < centre < 300 - 3 * width:  # one streak alone, all of it in the picture
            widths.append(float(spread) * 2.355)
    assert len(widths) >= 8
    assert np.median(widths) == pytest.approx(width, rel=0.2)


def test_rain_without_streaks_or_veil_is_the_clean_image(photos):
    degraded, _ = degrade_images(photos, "rain:density=0,veil=0", generator=generator())
    assert torch.equal(degraded, photos)


def test_added_rain_is_gray_and_never_darkens():
    clean = torch.full((2, 3, 64, 64), 0.2)
    degraded, _ = degrade_images(clean, "rain:veil=0,density=1", generator=generator())
    added = degraded - clean
    assert float(added.min()) >= 0
    assert torch.equal(added[:, 0], added[:, 1])


def test_screened_rain_never_saturates_and_veil_is_a_mean_with_gray(photos):
    rain = parse_degradation("rain:density=0,veil=0.3")
    params = rain.draw(3, generator=generator())
    torch.testing.assert_close(rain.apply(photos, params), photos * 0.7 + 0.85 * 0.3)
    added = parse_degradation("rain:veil=0,density=0.5,brightness=0.5,layers=1")
    screened = parse_degradation("rain:veil=0,density=0.5,brightness=0.5,layers=1,blend=screen")
    params = added.draw(3, generator=generator())
    light = added.apply(photos * 0, params)
    torch.testing.assert_close(screened.apply(photos, params), photos + light * (1 - photos))


def test_rain_on_a_large_image_is_as_dense_as_on_a_small_one():
    large = float(layer(1024, 1024, density=0.2).mean())
    small = np.mean([float(layer(64, 64, seed, density=0.2).mean()) for seed in range(60)])
    assert small == pytest.approx(large, rel=0.15)


def test_haze_is_the_scattering_equation(photos):
    haze = parse_degradation("haze")
    params = haze.draw(3, generator=generator())
    hazy, depth, colour = haze.apply(photos, params), haze.depth(photos, params), haze.airlight_colour(params)
    for image in range(3):
        for row, column in ((0, 0), (50, 33), (95, 79)):
            t = np.exp(-float(params["beta"][image]) * float(depth[image, 0, row, column]))
            for channel in range(3):
                a = float(colour[image, channel, 0, 0])
                expected = float(photos[image, channel, row, column]) * t + a * (1 - t)
                assert float(hazy[image, channel, row, column]) == pytest.approx(expected, abs=1e-6)


def test_haze_without_scattering_is_the_clean_image(photos):
    hazy, _ = degrade_images(photos, "haze:beta=0", generator=generator())
    torch.testing.assert_close(hazy, photos)


def test_haze_without_tint_has_a_gray_airlight():
    haze = parse_degradation("haze:tint=0,airlight=0.9")
    assert haze.airlight_colour(haze.draw(2, generator=generator())).unique().tolist() == pytest.approx([0.9])


def test_depth_fills_its_range_and_relief_bounds_it(photos):
    depth = plausible_depth(photos, torch.arange(3))
    assert torch.equal(depth.amin((1, 2, 3)), torch.zeros(3))
    assert torch.equal(depth.amax((1, 2, 3)), torch.ones(3))
    haze = parse_degradation("haze:relief=0.6")
    distance = haze.depth(photos, haze.draw(3, generator=generator()))
    assert float(distance.min()) == pytest.approx(0.4)
    assert float(distance.max()) == pytest.approx(1.0)


def test_depth_is_usually_farther_at_the_top():
    flat = torch.full((200, 3, 32, 32), 0.5)
    depth = plausible_depth(flat, torch.arange(200))
    farther = depth[:, :, :8].mean((1, 2, 3)) > depth[:, :, -8:].mean((1, 2, 3))
    assert 0.7 < float(farther.float().mean()) < 0.99


def test_depth_steps_where_the_image_does():
    picture = torch.full((60, 3, 64, 64), 0.2)
    picture[..., 32:] = 0.8
    depth = plausible_depth(picture, torch.arange(60))
    across = (depth[..., 1:] - depth[..., :-1]).abs().mean((0, 1, 2))
    assert float(across[31]) > 5 * float(across[torch.arange(63) != 31].mean())
