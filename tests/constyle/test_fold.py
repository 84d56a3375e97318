"""The cheaper forms equal what the paper writes down, and are cheaper."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from restorekit.constyle.conditioning import CodeFusion
from restorekit.constyle.config import PAPER_UNETS, MaximUNetConfig, UNetConfig
from restorekit.constyle.fold import MergedUp, Up
from restorekit.core.networks.fold import fold

TINY = {"width": 8, "encoder_blocks": (1, 1, 1), "middle_blocks": 1, "decoder_blocks": (1, 1, 1)}


def conditioned_inputs(side):
    maps = tuple(torch.randn(1, 16 * 2**i, side >> i, side >> i) for i in (1, 2, 3))
    return torch.rand(1, 3, side, side), torch.randn(1, 128), maps


def macs(network, *inputs):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(*inputs)
    return counter.get_total_flops() // 2


def test_folded_fusion_equals_concatenation_exactly() -> None:
    fusion = CodeFusion(12, 8).double()
    features, code = torch.randn(3, 12, 5, 7).double(), torch.randn(3, 128).double()
    scale = F.linear(code, fusion.scale.weight, fusion.scale.bias)[:, :, None, None]
    expected = F.conv2d(torch.cat([features, features * scale], dim=1), fusion.fuse.weight)
    assert (fusion(features, code) - expected).abs().max() < 1e-12
    assert macs(fusion, features, code) == 3 * (128 * 12 + 12 * 8 * 5 * 7)  # the concatenation takes 2 x 12 x 8


def test_folded_fusion_has_the_gradients_of_concatenation() -> None:
    fusion = CodeFusion(6, 4).double()
    features, code = torch.randn(2, 6, 3, 4).double(), torch.randn(2, 128).double()
    weights = [fusion.fuse.weight, fusion.scale.weight, fusion.scale.bias]
    scale = fusion.scale(code)[:, :, None, None]
    concatenated = fusion.fuse(torch.cat([features, features * scale], dim=1))
    expected = torch.autograd.grad(concatenated.square().sum(), weights)
    for gradient, reference in zip(
        torch.autograd.grad(fusion(features, code).square().sum(), weights), expected, strict=True
    ):
        torch.testing.assert_close(gradient, reference, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize(("incoming", "skip", "outgoing"), [(3, 3, 4), (8, 4, 6), (9, 3, 6)])
def test_merged_up_equals_up_exactly(incoming, skip, outgoing) -> None:
    up = Up(incoming, skip, outgoing).double()
    features, beside = torch.randn(2, incoming, 5, 3).double(), torch.randn(2, skip, 10, 6).double()
    assert (MergedUp(up)(features, beside) - up(features, beside)).abs().max() < 1e-12


@pytest.mark.parametrize(("incoming", "skip", "outgoing", "ratio"), [(3, 3, 4, 1.14), (4, 2, 3, 0.70), (3, 1, 2, 0.63)])
def test_merged_up_is_cheaper_where_it_says_so(incoming, skip, outgoing, ratio) -> None:
    """The three up-samplings of the paper's U-Nets, deepest first; only the last two get cheaper."""
    up = Up(4 * incoming, 4 * skip, 4 * outgoing)
    inputs = torch.rand(1, 4 * incoming, 4, 4), torch.rand(1, 4 * skip, 8, 8)
    assert macs(MergedUp(up), *inputs) / macs(up, *inputs) == pytest.approx(ratio, abs=0.01)
    assert isinstance(up.folded(), MergedUp) == (ratio < 1)


@pytest.mark.parametrize(("block", "saved"), [("nafnet", 0.072), ("restormer", 0.085)])
def test_folding_saves_what_the_docstring_says(block, saved) -> None:
    with torch.device("meta"):
        network, inputs = PAPER_UNETS[block].build(), conditioned_inputs(128)
        merged = fold(network)
        ratio = macs(merged, *inputs) / macs(network, *inputs)
    assert 1 - ratio == pytest.approx(saved, abs=0.001)


@pytest.mark.parametrize(
    "config",
    [
        UNetConfig(**TINY),
        UNetConfig(**TINY, block="dense", input_stride=2),
        MaximUNetConfig(width=8, windows=(2, 2, 2, 1), groups=1, middle_blocks=1),
    ],
    ids=["nafnet", "dense at stride two", "maxim"],
)
def test_merged_network_restores_the_same(config) -> None:
    torch.manual_seed(0)
    network = config.build()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    merged = fold(network)
    inputs = conditioned_inputs(16)
    expected = network(*inputs)
    torch.testing.assert_close(merged(*inputs), expected, rtol=1e-5, atol=1e-5)
    assert sum(isinstance(module, MergedUp) for module in merged.modules()) >= 2
    assert not any(parameter.requires_grad for parameter in merged.parameters())
    assert network.training
    assert not merged.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_merging_keeps_precision_and_gradients_of_the_original() -> None:
    up = Up(8, 4, 4).to(torch.bfloat16)
    holder = torch.nn.ModuleDict({"up": up})
    merged = fold(holder)["up"]
    assert merged.expand.weight.dtype == torch.bfloat16
    assert up.expand.weight.requires_grad
