"""NAFNet has the sizes its authors published, and its blocks start as the identity."""

import pytest
import torch

from restorekit.core.networks import PUBLISHED, build_network, configure, count_macs, count_parameters
from restorekit.core.networks.layer_norm import LayerNorm2d
from restorekit.core.networks.nafnet import NAFBlock, simple_gate


def parameters_by_hand(width, encoder, middle, decoder):
    """Counted from figures 2 and 3 of the paper: weights and biases of each convolution, norm and residual scale."""

    def block(c):
        mixing = (
            2 * c + (c * 2 * c + 2 * c) + (2 * c * 9 + 2 * c) + 2 * (c * c + c) + c
        )  # norm, 1x1, dw, sca, 1x1, beta
        gating = 2 * c + (c * 2 * c + 2 * c) + (c * c + c) + c
        return mixing + gating

    widths = [width * 2**level for level in range(len(encoder))]
    blocks = sum((e + d) * block(c) for c, e, d in zip(widths, encoder, decoder, strict=True))
    resize = sum((c * 2 * c * 4 + 2 * c) + 2 * c * 4 * c for c in widths)
    return (27 * width + width) + (27 * width + 3) + blocks + resize + middle * block(2 * widths[-1])


def macs_by_hand(width, encoder, middle, decoder, side=256):
    def block(c, pixels):
        return pixels * (2 * c * c + 9 * 2 * c + c * c + 2 * c * c + c * c) + c * c  # the last: attention of the mean

    total = side**2 * 2 * 27 * width
    for level, (e, d) in enumerate(zip(encoder, decoder, strict=True)):
        c, pixels = width * 2**level, (side >> level) ** 2
        total += (e + d) * block(c, pixels) + pixels // 4 * (8 * c * c + 8 * c * c)
    return total + middle * block(width * 2 ** len(encoder), (side >> len(encoder)) ** 2)


@pytest.mark.parametrize(
    ("name", "shape", "millions", "giga_macs"),
    [
        ("nafnet-sidd-32", (32, (2, 2, 4, 8), 12, (2, 2, 2, 2)), 29.16, 16.1),
        ("nafnet-gopro-32", (32, (1, 1, 1, 28), 1, (1, 1, 1, 1)), 17.11, 16.0),
        ("nafnet-sidd-64", (64, (2, 2, 4, 8), 12, (2, 2, 2, 2)), 115.98, 63.3),
        ("nafnet-gopro-64", (64, (1, 1, 1, 28), 1, (1, 1, 1, 1)), 67.89, 63.2),
    ],
)
def test_nafnet_has_the_published_size(name, shape, millions, giga_macs) -> None:
    config = configure(*PUBLISHED[name])
    assert round(count_parameters(config) / 1e6, 2) == millions
    assert count_macs(config) / 1e9 == pytest.approx(giga_macs, rel=0.005)  # authors' counter adds norms and pooling
    assert count_parameters(config) == parameters_by_hand(*shape)
    assert count_macs(config) == macs_by_hand(*shape)


def test_nafblock_starts_as_the_identity_and_then_learns() -> None:
    block = NAFBlock(4)
    features = torch.randn(2, 4, 5, 7)
    assert torch.equal(block(features), features)
    block(features).square().sum().backward()
    assert block.beta.grad.abs().min() > 0
    assert block.gamma.grad.abs().min() > 0


def test_simple_gate_multiplies_the_halves() -> None:
    features = torch.arange(1.0, 5.0).reshape(1, 4, 1, 1)
    assert simple_gate(features).flatten().tolist() == [1 * 3, 2 * 4]


def test_layer_norm_makes_each_pixel_mean_zero_and_variance_one() -> None:
    features = 5 + 3 * torch.randn(2, 64, 3, 4, dtype=torch.float64)
    normalised = LayerNorm2d(64).double()(features)
    torch.testing.assert_close(normalised.mean(1), torch.zeros(2, 3, 4, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(
        normalised.var(1, correction=0), torch.ones(2, 3, 4, dtype=torch.float64), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_nafnet_keeps_the_shape_at_any_multiple(channels) -> None:
    options = {"width": 4, "encoder_blocks": [1, 1], "middle_blocks": 1, "decoder_blocks": [1, 1], "channels": channels}
    network = build_network("nafnet", options)
    assert network.config.multiple_of == 4
    images = torch.rand(2, channels, 12, 20)
    assert network(images).shape == images.shape
