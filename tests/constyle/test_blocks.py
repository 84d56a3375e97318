"""Every named block keeps its shape, and the plain one is what it says."""

from typing import get_args

import pytest
import torch
import torch.nn.functional as F

from restorekit.constyle.blocks import BLOCKS, BlockName, ConvBlock
from restorekit.core.networks.nafnet import NAFBlock
from restorekit.core.networks.restormer import RestormerBlock


def test_every_named_block_can_be_made() -> None:
    assert set(BLOCKS) == set(get_args(BlockName))


@pytest.mark.parametrize("name", BLOCKS)
def test_block_keeps_the_shape(name) -> None:
    features = torch.randn(2, 8, 5, 6)
    kind = BLOCKS[name]
    assert kind.make(8, 2)(features).shape == features.shape
    assert kind.activation(8)(features).shape == features.shape


def test_published_blocks_are_used_unchanged() -> None:
    assert type(BLOCKS["nafnet"].make(8, 1)) is NAFBlock
    restormer = BLOCKS["restormer"].make(48, 4)
    assert type(restormer) is RestormerBlock
    assert restormer.attention.heads == 4
    assert restormer.feedforward.project.in_channels == int(48 * 2.66)


def test_conv_block_is_two_activated_convolutions_and_a_skip() -> None:
    block = ConvBlock(3).double()
    features = torch.randn(2, 3, 4, 5).double()
    first, slope, second, last_slope = block.parameters()
    hidden = F.conv2d(features, first, padding=1)
    hidden = torch.where(hidden > 0, hidden, slope[:, None, None] * hidden)
    result = F.conv2d(hidden, second, padding=1)
    expected = features + torch.where(result > 0, result, last_slope[:, None, None] * result)
    torch.testing.assert_close(block(features), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", BLOCKS)
def test_block_reaches_as_far_as_it_says(name) -> None:
    block = BLOCKS[name].make(4, 1)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.copy_(torch.rand_like(parameter) * 0.1 + 0.1)
    features = torch.rand(1, 4, 1, 41, requires_grad=True)
    block(features)[0, :, 0, 20].sum().backward()
    touched = features.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    reach = BLOCKS[name].reach_px
    assert int(touched.max()) - 20 == (20 if reach is None else reach)
