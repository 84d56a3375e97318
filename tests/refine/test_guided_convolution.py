"""The split convolution equals the one convolution of everything concatenated, borders included."""

import pytest
import torch
import torch.nn.functional as F

from restorekit.core.restorer import Window
from restorekit.refine.config import RefinementConfig
from restorekit.refine.guided_convolution import GuidedConv2d, PriorMapping, spread

SIZES = [(1, 1), (1, 5), (2, 2), (3, 1), (3, 3), (6, 5)]


def whole(height, width):
    return Window(0, 0, height, width, full_height=height, full_width=width)


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("batch", [1, 3])
def test_split_convolution_equals_that_of_the_concatenation(size, batch) -> None:
    split = GuidedConv2d(4, 6, 2, 5).double()
    features, guide, window = random(batch, 4, *size), random(batch, 6), whole(*size)
    position = split.embedding(window).expand(batch, -1, -1, -1)
    everything = torch.cat([features, guide[:, :, None, None].expand(-1, -1, *size), position], dim=1)
    expected = F.conv2d(everything, split.weight, padding=1)
    torch.testing.assert_close(split(features, guide, split.position(window)), expected, atol=1e-12, rtol=0)


def test_split_convolution_takes_a_map_as_guide() -> None:
    split = GuidedConv2d(4, 6, 0, 5).double()
    features, guide = random(2, 4, 6, 5), random(2, 6, 6, 5)
    expected = F.conv2d(torch.cat([features, guide], dim=1), split.weight, padding=1)
    torch.testing.assert_close(split(features, guide, None), expected, atol=1e-12, rtol=0)


def test_split_convolution_without_guide_and_position_is_a_plain_one() -> None:
    split, features = GuidedConv2d(4, 0, 0, 5).double(), random(2, 4, 6, 5)
    torch.testing.assert_close(split(features, None, None), F.conv2d(features, split.weight, padding=1))


def test_split_convolution_starts_like_a_convolution() -> None:
    torch.manual_seed(0)
    expected = torch.nn.Conv2d(12, 5, 3, bias=False).weight
    torch.manual_seed(0)
    assert torch.equal(GuidedConv2d(4, 6, 2, 5).weight, expected)


def test_prior_of_zeros_gives_a_guide_of_zeros() -> None:
    mapping = PriorMapping.of(RefinementConfig(prior_dim=8))
    assert torch.equal(mapping(torch.zeros(2, 8)), torch.zeros(2, 64))


def test_mapping_treats_each_place_of_a_map_by_itself() -> None:
    mapping, prior = PriorMapping(8, 3).double(), random(2, 8, 4, 5)
    mapped = mapping(prior)
    assert mapped.shape == (2, 3, 4, 5)
    torch.testing.assert_close(mapped[:, :, 1, 2], mapping(prior[:, :, 1, 2]))


@pytest.mark.parametrize("size", [(7, 7), (3, 20), (1, 1), (12, 5)])
def test_maps_are_resized_bilinearly(size) -> None:
    guide = random(2, 3, 5, 4)
    expected = F.interpolate(guide, size, mode="bilinear", align_corners=False)
    resized = spread(guide, whole(*size))
    torch.testing.assert_close(resized, expected, atol=1e-12, rtol=0)


def test_tiles_of_a_resized_map_are_parts_of_the_whole() -> None:
    guide = random(1, 3, 5, 4)
    resized = spread(guide, whole(12, 16))
    tile = spread(guide, Window(3, 7, 4, 5, full_height=12, full_width=16))
    torch.testing.assert_close(tile, resized[:, :, 3:7, 7:12], atol=1e-12, rtol=0)
