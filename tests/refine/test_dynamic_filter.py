"""Every pixel is filtered with its own kernel: against loops, an unfolded form, and kernels that shift."""

import pytest
import torch

from restorekit.refine.dynamic_filter import dynamic_filter


def looped(features, kernels):
    """The definition, one product at a time."""
    channels, height, width = features.shape[1:]
    out = torch.zeros_like(features)
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                for i in range(3):
                    for j in range(3):
                        row, column = min(max(y + i - 1, 0), height - 1), min(max(x + j - 1, 0), width - 1)
                        out[:, c, y, x] += features[:, c, row, column] * kernels[:, 9 * c + 3 * i + j, y, x]
    return out


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 3), (5, 4)])
def test_filter_equals_the_loops_of_its_definition(size) -> None:
    features = torch.randn(2, 3, *size, dtype=torch.float64)
    kernels = torch.randn(2, 27, *size, dtype=torch.float64)
    torch.testing.assert_close(dynamic_filter(features, kernels), looped(features, kernels), atol=1e-12, rtol=0)


def test_filter_equals_the_unfolded_form(released) -> None:
    features, kernels = torch.randn(2, 4, 9, 7).double(), torch.randn(2, 36, 9, 7).double()
    expected = released.unfolded_filter(features, kernels)
    torch.testing.assert_close(dynamic_filter(features, kernels), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("tap", "down", "right"), [(0, 1, 1), (1, 1, 0), (2, 1, -1), (3, 0, 1), (5, 0, -1), (7, -1, 0)]
)
def test_kernel_with_one_weight_shifts_the_features(tap, down, right) -> None:
    features = torch.rand(1, 2, 6, 5)
    kernels = torch.zeros(1, 18, 6, 5)
    kernels[:, [tap, 9 + tap]] = 1
    shifted = torch.roll(features, (down, right), (2, 3))
    inside = (..., slice(1, -1), slice(1, -1))
    assert torch.equal(dynamic_filter(features, kernels)[inside], shifted[inside])


def test_kernels_of_different_channels_are_not_mixed() -> None:
    features = torch.rand(1, 2, 4, 4)
    kernels = torch.zeros(1, 18, 4, 4)
    kernels[:, 9 + 4] = 2  # the middle of the second channel's kernel
    filtered = dynamic_filter(features, kernels)
    assert torch.equal(filtered[:, 0], torch.zeros(1, 4, 4))
    assert torch.equal(filtered[:, 1], 2 * features[:, 1])


def test_borders_are_replicated() -> None:
    filtered = dynamic_filter(torch.ones(1, 1, 3, 3), torch.full((1, 9, 3, 3), 1 / 9))
    torch.testing.assert_close(filtered, torch.ones(1, 1, 3, 3))


def test_filter_has_the_right_gradient() -> None:
    features = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    kernels = torch.randn(1, 18, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(dynamic_filter, (features, kernels))
