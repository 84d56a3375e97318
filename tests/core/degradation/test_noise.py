import numpy as np
import pytest
import torch

from restorekit.core.degradation.chain import degrade_images, parse_degradation
from restorekit.core.image.colour import linear_to_srgb, srgb_to_linear


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noise_of(spec, level=0.5, size=512, seed=0):
    clean = torch.full((1, 3, size, size), level)
    return (degrade_images(clean, spec, generator=generator(seed))[0] - clean)[0]


def lag_correlation(field, lag):
    field = field - field.mean()
    return float((field[..., :-lag] * field[..., lag:]).mean() / field.square().mean())


@pytest.mark.parametrize("sigma", [1, 5, 15, 25, 50])
def test_gaussian_noise_has_the_sigma_it_claims(sigma):
    noise = noise_of(f"noise:sigma={sigma},clip=0") * 255
    assert abs(float(noise.std()) / sigma - 1) < 0.01
    assert abs(float(noise.mean())) < 5 * sigma / noise.numel() ** 0.5


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_unclipped_noise_has_the_same_sigma_at_black_and_white(level):
    assert abs(float(noise_of("noise:sigma=25,clip=0", level).std()) * 255 / 25 - 1) < 0.01


def test_clipped_noise_at_white_only_darkens():
    noise = noise_of("noise:sigma=25", level=1.0)
    assert float(noise.max()) == 0.0
    assert abs(float((noise < 0).float().mean()) - 0.5) < 0.01


def test_gaussian_noise_is_normal():
    values = noise_of("noise:sigma=25,clip=0").flatten().double()
    standard = (values - values.mean()) / values.std()
    assert abs(float(standard.pow(3).mean())) < 0.02
    assert abs(float(standard.pow(4).mean()) - 3) < 0.05


def test_white_noise_is_uncorrelated_between_px_and_channels():
    noise = noise_of("noise:sigma=25,clip=0")
    assert abs(lag_correlation(noise, 1)) < 0.01
    assert abs(lag_correlation(noise.transpose(1, 2), 1)) < 0.01
    assert np.abs(np.corrcoef(noise.flatten(1).numpy()) - np.eye(3)).max() < 0.01


@pytest.mark.parametrize("width", [0.5, 1.0, 2.0, 3.0])
def test_correlated_noise_keeps_sigma_and_has_the_autocorrelation_of_its_filter(width):
    noise = noise_of(f"noise:sigma=25,clip=0,correlation={width}", size=768)
    assert abs(float(noise.std()) * 255 / 25 - 1) < 0.02
    offsets = np.arange(-40, 41)
    taps = np.exp(-0.5 * (offsets / width) ** 2)
    for lag in (1, 2):
        expected = (taps[lag:] * taps[:-lag]).sum() / (taps**2).sum()
        assert abs(lag_correlation(noise, lag) - expected) < 0.02
        assert abs(lag_correlation(noise.transpose(1, 2), lag) - expected) < 0.02


def test_correlated_noise_is_as_strong_at_the_border_as_inside():
    clean = torch.full((64, 3, 32, 32), 0.5)
    noise = degrade_images(clean, "noise:sigma=25,clip=0,correlation=2", generator=generator())[0] - clean
    border = torch.cat([noise[:, :, 0], noise[:, :, -1], noise[..., 0], noise[..., -1]])
    assert abs(float(border.std()) * 255 / 25 - 1) < 0.03


def test_gray_noise_is_the_same_in_every_channel():
    noise = noise_of("noise:sigma=25,clip=0,colour=gray", level=0.0)
    assert torch.equal(noise[0], noise[1])
    assert torch.equal(noise[0], noise[2])


@pytest.mark.parametrize(("shot", "read"), [(0.01, 0.02), (0.002, 0.01), (0.0, 0.03)])
def test_camera_noise_variance_is_a_straight_line_in_the_light(shot, read):
    levels = torch.linspace(0.25, 0.6, 6)
    variances = [
        float(noise_of(f"camera:shot={shot},read={read},linear=0,correlation=0", v, 384).var()) for v in levels
    ]
    slope, intercept = np.polyfit(levels.numpy(), variances, 1)
    assert abs(slope - shot) < 0.02 * shot + 2e-5
    assert abs(intercept - read**2) < 0.05 * read**2 + 2e-5


def test_camera_noise_is_added_in_linear_light():
    light = 0.4
    encoded = float(linear_to_srgb(torch.tensor([light])))
    noise = noise_of("camera:shot=0.001,read=0.005,correlation=0", encoded)
    measured = srgb_to_linear(noise + encoded)
    assert abs(float(measured.mean()) - light) < 1e-4
    assert abs(float(measured.var()) / (0.001 * light + 0.005**2) - 1) < 0.01


def test_linear_light_matches_the_srgb_standard():
    encoded = np.linspace(0, 1, 2001)
    expected = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    light = srgb_to_linear(torch.from_numpy(encoded))
    np.testing.assert_allclose(light.numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(linear_to_srgb(light).numpy(), encoded, atol=1e-6)
    assert srgb_to_linear(torch.tensor([-1.0, 2.0])).tolist() == pytest.approx([0.0, 1.0], abs=1e-6)


def test_noise_repeats_for_same_params_and_differs_between_images(photos):
    noise = parse_degradation("noise:sigma=25,clip=0")
    params = noise.draw(3, generator=generator())
    first = noise.apply(photos, params) - photos
    torch.testing.assert_close(noise.apply(photos * 0, params), first, atol=1e-6, rtol=0)
    assert not torch.allclose(first[0], first[1], atol=0.05)
