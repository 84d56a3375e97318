"""Folded blocks compute what the blocks of the papers do, whatever their weights, batch and precision."""

import pytest
import torch
from torch import nn

from restorekit.core.networks.fold import Foldable, fold, scaled, with_norm
from restorekit.core.networks.folded_blocks import FoldedNAFBlock, FoldedRestormerBlock
from restorekit.core.networks.layer_norm import BiasFreeLayerNorm2d, LayerNorm2d
from restorekit.core.networks.nafnet import NAFBlock, NAFNetConfig
from restorekit.core.networks.restormer import RestormerBlock

BLOCKS = {
    "nafnet": lambda: NAFBlock(8),
    "restormer": lambda: RestormerBlock(8, heads=2),
    "restormer, bias free norm": lambda: RestormerBlock(8, heads=4, norm="bias_free"),
    "restormer, biased convolutions": lambda: RestormerBlock(8, heads=1, bias=True),
}


@pytest.fixture(params=list(BLOCKS))
def block(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    made = BLOCKS[request.param]()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=0.5)
    return made


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_folded_blocks_equal_theirs(block: nn.Module, batch: int, layout: torch.memory_format) -> None:
    features = torch.randn(batch, 8, 6, 10, dtype=torch.float64).contiguous(memory_format=layout)
    given = features.clone()
    folded = fold(nn.ModuleList([block.double()]))[0]
    assert isinstance(folded, FoldedNAFBlock | FoldedRestormerBlock)
    with torch.no_grad():
        torch.testing.assert_close(folded(features), block(features), rtol=1e-10, atol=1e-10)
    assert torch.equal(features, given)


def test_under_autocast_what_is_added_up_stays_in_float32(block: nn.Module) -> None:
    features = 100 + torch.randn(1, 8, 16, 16)  # bfloat16 knows 100 and 100.5, and nothing between
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.mul_(0.1)
        expected = block(features)
        with torch.autocast("cpu", torch.bfloat16):
            folded = fold(nn.ModuleList([block]))[0](features)
    assert folded.dtype == torch.float32
    assert (folded - expected).abs().max() < 0.05 * max(1.0, float((expected - features).abs().max()))


def test_folded_blocks_take_copies(block: nn.Module) -> None:
    before = {name: value.clone() for name, value in block.state_dict().items()}
    folded = fold(nn.ModuleList([block]))[0]
    for parameter in folded.parameters():
        assert not parameter.requires_grad
        parameter.data.zero_()
    assert all(torch.equal(value, before[name]) for name, value in block.state_dict().items())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("norm", [LayerNorm2d(5), BiasFreeLayerNorm2d(5)])
def test_a_convolution_takes_over_the_norm_before_and_the_scale_behind(norm: nn.Module, bias: bool) -> None:
    convolution, scale = nn.Conv2d(5, 7, 1, bias=bias), torch.randn(1, 7, 1, 1)
    images = torch.randn(2, 5, 3, 4)
    weight, shift = torch.randn(5), torch.randn(5) if isinstance(norm, LayerNorm2d) else None
    moved = weight[:, None, None] * images + (0 if shift is None else shift[:, None, None])
    torch.testing.assert_close(with_norm(convolution, weight, shift)(images), convolution(moved))
    torch.testing.assert_close(scaled(convolution, scale)(images), scale * convolution(images))


def test_a_whole_network_is_folded_and_stays_as_it_was() -> None:
    network = NAFNetConfig(width=4, encoder_blocks=(1, 1), middle_blocks=1, decoder_blocks=(1, 1)).build()
    folded = fold(network)
    assert not any(isinstance(module, Foldable) for module in folded.modules())
    assert sum(isinstance(module, NAFBlock) for module in network.modules()) == 5
    images = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(folded(images), network(images))
