"""Position features: those of a tile are part of the whole's."""

import pytest
import torch
import torch.nn.functional as F

from restorekit.core.restorer import Window
from restorekit.refine.position import PositionEmbedding, coordinates


def whole(height, width):
    return Window(0, 0, height, width, full_height=height, full_width=width)


@pytest.fixture
def embedding():
    return PositionEmbedding(4).double().eval()


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (6, 5)])
def test_position_features_are_convolutions_of_a_normalised_grid(embedding, size) -> None:
    rows, columns = (torch.linspace(-1, 1, length, dtype=torch.float64) for length in size)
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None]
    expected = F.conv2d(F.leaky_relu(F.conv2d(grid, embedding.expand.weight, padding=1), 0.1), embedding.mix.weight)
    torch.testing.assert_close(embedding(whole(*size)), expected, atol=1e-12, rtol=0)


def test_coordinates_are_zero_around_the_image() -> None:
    ring = coordinates(whole(2, 3), like=torch.empty(0))
    assert ring.shape == (1, 2, 4, 5)
    assert ring[0, 0].tolist() == [[0] * 5, [0, -1, -1, -1, 0], [0, 1, 1, 1, 0], [0] * 5]
    assert ring[0, 1].tolist() == [[0] * 5, [0, -1, 0, 1, 0], [0, -1, 0, 1, 0], [0] * 5]


@pytest.mark.parametrize("corner", [(0, 0), (3, 2), (5, 4)])
def test_position_features_of_a_tile_are_part_of_the_wholes(embedding, corner) -> None:
    top, left = corner
    tile = embedding(Window(top, left, 4, 6, full_height=9, full_width=10))
    expected = embedding(whole(9, 10))[:, :, top : top + 4, left : left + 6]
    torch.testing.assert_close(tile, expected, atol=1e-12, rtol=0)
