"""Every ablation of table 3 is a switch; each builds, trains a step, has its size and differs from the full setting."""

import cv2
import numpy as np
import pydantic
import pytest
import torch

from restorekit.refine.config import TABLE_3, RefinementConfig
from restorekit.refine.module import RefinementModule
from restorekit.refine.signal_to_noise import snr_map

PUBLISHED = {"compose": "residual", "parity": "official"}

# From the layer table of the released network: what each row leaves out, or widens.
SIZES = {
    "full": 671_735,
    "without_spatial_varying": 487_955,
    "without_channel_attention": 669_943,
    "without_spatial_attention": 359_751,
    "large": 4_035_863,
    "without_position": 647_607,
    "snr_mask": 509_767,
    "concat_1d": 671_735 - 24_128 - 2 * (512 * 256 + 256 * 64) + 2 * 512 * 64,
    "concat_2d": 671_735 - 24_128 - 2 * (512 * 256 + 256 * 64) + 2 * 512 * 64,
}


def count(**options) -> int:
    return sum(weight.numel() for weight in RefinementModule(RefinementConfig(**PUBLISHED | options)).parameters())


def test_table_has_a_switch_for_every_row() -> None:
    assert set(TABLE_3) == set(SIZES)
    assert {name: count(**changes) for name, changes in TABLE_3.items()} == SIZES


def test_other_readings_of_the_table_have_their_sizes() -> None:
    assert count(fusion="sum") == 509_767  # "w/o SP" as a plain sum of the branches
    assert count(**dict(TABLE_3["large"]) | {"width": 16}) == 257_063


@pytest.mark.parametrize("name", TABLE_3)
def test_every_row_trains_and_differs_from_the_full_setting(build, draw, name) -> None:
    changes = dict(TABLE_3[name])
    module = build(**changes)
    prior = (512, 2, 3) if changes.get("prior_use") == "concat_2d" else (512,)
    restored, degraded, vector = draw(2, 16, 16, prior=prior)
    refined = module(restored, degraded, vector)
    refined.square().sum().backward()
    assert [key for key, weight in module.named_parameters() if weight.grad is None or not weight.grad.any()] == []
    with torch.no_grad():
        torch.testing.assert_close(module(restored, degraded, vector), refined, atol=1e-10, rtol=1e-10)
    full = build()(restored, degraded, draw(2, 16, 16)[2])
    assert torch.allclose(refined, full) == (name == "full")


def test_rows_without_a_prior_ignore_it(build, draw) -> None:
    module, (restored, degraded, prior) = build(prior_use="none"), draw(1, 16, 16)
    with torch.no_grad():
        assert torch.equal(module(restored, degraded, prior), module(restored, degraded))


def test_prior_changes_the_result_of_every_row_that_has_one(build, draw) -> None:
    for changes in ({}, {"prior_use": "concat_1d"}, {"channel_attention": False}, {"spatial_attention": False}):
        module, (restored, degraded, prior) = build(**changes), draw(1, 16, 16)
        with torch.no_grad():
            change = module(restored, degraded, prior) - module(restored, degraded, 0 * prior)
        assert change.abs().max() > 1e-3


def test_module_without_any_attention_builds(build, draw) -> None:
    module = build(fusion="none", channel_attention=False, spatial_attention=False)
    assert module(*draw(1, 8, 8)).shape == (1, 3, 8, 8)


@pytest.mark.parametrize("planes", [1, 3])
def test_snr_map_is_the_ratio_of_blurred_light_to_noise(planes) -> None:
    image = np.random.default_rng(0).random((12, 20, planes))
    luma = image @ [0.299, 0.587, 0.114] if planes == 3 else image[..., 0]
    light = cv2.blur(luma, (5, 5))
    ratio = light / (np.abs(luma - light) + 1e-4)
    expected = np.clip(ratio / (ratio.max() + 1e-4), 0, 1)[::4, ::4]
    found = snr_map(torch.from_numpy(image).permute(2, 0, 1)[None])
    np.testing.assert_allclose(found[0, 0].numpy(), expected, rtol=1e-9)


def test_snr_map_takes_the_peak_of_the_whole_image() -> None:
    images = torch.rand(2, 3, 8, 8)
    halved = snr_map(images, peak=torch.full((2,), 1e9))
    assert halved.max() < 1e-4 < snr_map(images).max()


def test_config_names_planes_that_do_not_fit() -> None:
    with pytest.raises(pydantic.ValidationError, match="degraded_planes: expected 3 or 6 beside restored_planes = 3"):
        RefinementConfig(degraded_planes=2)
