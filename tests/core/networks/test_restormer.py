"""Restormer has the sizes its authors published; dual-pixel and gray variants are the paper's."""

import pytest
import torch

from restorekit.core.networks import PUBLISHED, build_network, configure, count_macs, count_parameters
from restorekit.core.networks.layer_norm import BiasFreeLayerNorm2d
from restorekit.core.networks.restormer import ChannelAttention

TINY = {"width": 4, "blocks": [1, 1, 1, 1], "heads": [1, 2, 2, 4], "refinement_blocks": 1}


def macs_by_hand(side=256, width=48, blocks=(4, 6, 6, 8), heads=(1, 2, 4, 8), refinement=4, planes=3):
    """From figure 2 of the paper: convolutions, and the two matrix products of each attention."""

    def block(c, h, pixels):
        hidden = int(c * 2.66)
        attention = 3 * c * c + 9 * 3 * c + c * c + 2 * c * (c // h)
        return pixels * (attention + 2 * c * hidden + 9 * 2 * hidden + c * hidden)

    total = side**2 * (9 * planes * width + 9 * 2 * width * planes)  # first and last convolution
    total += refinement * block(2 * width, heads[0], side**2)
    for level, (count, h) in enumerate(zip(blocks, heads, strict=True)):
        c, pixels = width * 2**level, (side >> level) ** 2
        total += count * block(c, h, pixels)  # encoder, or latent
        if level < 3:
            total += count * block(2 * c if level == 0 else c, h, pixels)  # decoder; level 1 stays twice as wide
            total += pixels * 9 * c * c // 2 + pixels // 4 * 9 * 2 * c * 4 * c  # down, up
            total += pixels * 2 * c * c if level else 0  # merge
    return total


@pytest.mark.parametrize(
    ("name", "millions", "planes"),
    [("restormer", 26.13, 3), ("restormer-gaussian-colour", 26.11, 3), ("restormer-gaussian-gray", 26.11, 1)],
)
def test_restormer_has_the_published_size(name, millions, planes) -> None:
    config = configure(*PUBLISHED[name])
    assert round(count_parameters(config) / 1e6, 2) == millions
    assert count_macs(config) == macs_by_hand(planes=planes)


def test_restormer_macs_without_attention_products_are_the_papers() -> None:
    products = 0
    for width, blocks, heads, level in [(48, 4, 1, 0), (96, 8, 1, 0), (96, 12, 2, 1), (192, 12, 4, 2), (384, 8, 8, 3)]:
        products += blocks * 2 * width * (width // heads) * (256 >> level) ** 2
    whole = count_macs(configure("restormer"))
    assert (whole - products) / 1e9 == pytest.approx(141.0, rel=0.005)


def test_restormer_dual_pixel_gives_three_planes_of_six() -> None:
    network = build_network("restormer", TINY | {"in_channels": 6, "dual_pixel": True})
    pair = torch.rand(1, 6, 16, 24)
    assert network(pair).shape == (1, 3, 16, 24)
    torch.nn.init.zeros_(network.head.weight)
    assert network(pair).abs().max() == 0  # nothing of the input is added to the result


def test_restormer_adds_its_input_otherwise() -> None:
    network = build_network("restormer", TINY | {"in_channels": 1, "out_channels": 1, "norm": "bias_free"})
    torch.nn.init.zeros_(network.head.weight)
    images = torch.rand(2, 1, 8, 16)
    assert torch.equal(network(images), images)


def test_bias_free_norm_ignores_the_scale_but_not_the_mean() -> None:
    norm = BiasFreeLayerNorm2d(8, eps=0.0).double()
    features = torch.randn(1, 8, 2, 2, dtype=torch.float64) + 3
    torch.testing.assert_close(norm(features * 10), norm(features), atol=1e-5, rtol=1e-5)
    assert norm(features).mean(1).min() > 1  # a mean of 3 standard deviations stays


def test_channel_attention_is_a_mixture_of_values_when_all_channels_agree() -> None:
    """Equal queries and keys in every channel: a uniform softmax, so each output is the mean of its head's values."""
    attention = ChannelAttention(4, heads=2)
    value = torch.randn(4, 4)
    with torch.no_grad():
        attention.expand.weight.copy_(torch.cat([torch.ones(8, 4), value])[:, :, None, None])
        attention.depthwise.weight.zero_()[:, :, 1, 1] = 1
        attention.project.weight.copy_(torch.eye(4)[:, :, None, None])
    features = torch.rand(1, 4, 3, 5)
    values = torch.einsum("oc,bchw->bohw", value, features)
    means = values.reshape(1, 2, 2, 3, 5).mean(2, keepdim=True).expand(1, 2, 2, 3, 5).reshape(1, 4, 3, 5)
    torch.testing.assert_close(attention(features), means)
