"""Channel-spatial attention: the folded form equals equations 4 to 7 written out."""

import pytest
import torch
import torch.nn.functional as F

from restorekit.core.restorer import Window
from restorekit.refine import strips
from restorekit.refine.channel_spatial import ChannelSpatialAttention
from restorekit.refine.config import RefinementConfig

PLACE = Window(0, 0, 9, 7, full_height=9, full_width=7)


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("kinds", [(True, True), (True, False), (False, True)])
def test_folded_fusion_equals_the_products_of_equation_seven(released, kinds) -> None:
    config = RefinementConfig(prior_dim=8, channel_attention=kinds[0], spatial_attention=kinds[1])
    module = released.shaken(ChannelSpatialAttention(config)).double()
    features, prior = random(2, 16, 9, 7), random(2, 8)
    guide, attended = module.mapping(prior), []
    if kinds[0]:
        attended.append(module.channel(features.mean((2, 3)), guide)[:, :, None, None] * features)
    if kinds[1]:
        attended.append(module.spatial(features, guide, PLACE) * features)
    expected = F.conv2d(torch.cat(attended, dim=1), module.fuse.weight) + features
    torch.testing.assert_close(module(features, prior, PLACE), expected)


@pytest.mark.parametrize("prior_use", ["mapped", "concat_1d", "concat_2d", "none"])
@pytest.mark.parametrize("pixels", [7, 20, 10_000])
def test_spatial_weights_in_strips_equal_those_at_once(released, monkeypatch, prior_use, pixels) -> None:
    config = RefinementConfig(prior_dim=8, prior_use=prior_use)
    module = released.shaken(ChannelSpatialAttention(config)).double()
    features, prior = random(2, 16, 9, 7), random(2, 8, *((2, 3) if prior_use == "concat_2d" else ()))
    expected = module(features, prior, PLACE)
    monkeypatch.setattr(strips, "STRIP_PIXELS", pixels)
    with torch.no_grad():
        torch.testing.assert_close(module(features, prior, PLACE), expected, atol=1e-12, rtol=1e-12)


def test_channel_weights_use_the_means_that_are_given(released) -> None:
    module = released.shaken(ChannelSpatialAttention(RefinementConfig(prior_dim=8, spatial_attention=False))).double()
    features, prior = random(1, 16, 9, 7), random(1, 8)
    own = module(features, prior, PLACE)
    torch.testing.assert_close(module(features, prior, PLACE, features.mean((2, 3))), own)
    assert not torch.allclose(module(features, prior, PLACE, features.mean((2, 3)) + 1), own)


def test_channel_weights_take_the_mean_of_a_map(released) -> None:
    module = released.shaken(ChannelSpatialAttention(RefinementConfig(prior_dim=8, prior_use="concat_2d"))).double()
    pooled, guide = random(2, 16), random(2, 64, 3, 5)
    torch.testing.assert_close(module.channel(pooled, guide), module.channel(pooled, guide.mean((2, 3))))
