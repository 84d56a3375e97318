"""Luma and linear light against closed forms and against kornia and scikit-image."""

import kornia
import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr

from restorekit.core.image.colour import linear_to_srgb, luma_full, luma_studio, srgb_to_linear


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand((2, 3, 6, 5), generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(
    ("rgb", "studio", "full"),
    [
        ((0, 0, 0), 16, 0),
        ((1, 1, 1), 235, 1),
        ((1, 0, 0), 81.481, 0.299),
        ((0, 1, 0), 144.553, 0.587),
        ((0, 0, 1), 40.966, 0.114),
    ],
)
def test_luma_of_primaries_is_bt601(rgb: tuple[int, int, int], studio: float, full: float) -> None:
    pixel = torch.tensor(rgb, dtype=torch.float64).view(1, 3, 1, 1)
    assert luma_studio(pixel).item() * 255 == pytest.approx(studio, abs=1e-9)
    assert luma_full(pixel).item() == pytest.approx(full, abs=1e-12)


def test_luma_studio_matches_scikit_image(images: torch.Tensor) -> None:
    expected = rgb2ycbcr(images.permute(0, 2, 3, 1).numpy())[..., 0] / 255
    np.testing.assert_allclose(luma_studio(images)[:, 0].numpy(), expected, atol=1e-6)


def test_luma_full_matches_kornia(images: torch.Tensor) -> None:
    torch.testing.assert_close(luma_full(images), kornia.color.rgb_to_grayscale(images))


def test_transfer_matches_kornia(images: torch.Tensor) -> None:
    torch.testing.assert_close(srgb_to_linear(images), kornia.color.rgb_to_linear_rgb(images))
    torch.testing.assert_close(linear_to_srgb(images), kornia.color.linear_rgb_to_rgb(images))


@pytest.mark.parametrize(
    ("encoded", "linear"), [(0, 0), (1, 1), (0.04045, 0.04045 / 12.92), (0.5, (0.555 / 1.055) ** 2.4)]
)
def test_transfer_has_the_standard_values(encoded: float, linear: float) -> None:
    value = torch.tensor([encoded], dtype=torch.float64)
    assert srgb_to_linear(value).item() == pytest.approx(linear, abs=1e-7)
    assert linear_to_srgb(torch.tensor([linear], dtype=torch.float64)).item() == pytest.approx(encoded, abs=1e-7)


def test_transfer_inverts_itself_and_clamps_beyond_the_range() -> None:
    values = torch.linspace(-0.5, 2, 1001, dtype=torch.float64)
    torch.testing.assert_close(linear_to_srgb(srgb_to_linear(values)), values.clamp(0, 1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("function", [luma_full, luma_studio, srgb_to_linear, linear_to_srgb])
def test_colour_gradients_are_right_and_finite(function: object, images: torch.Tensor) -> None:
    assert torch.autograd.gradcheck(function, (images[:1, :, :2, :2].requires_grad_(),))
    edge = torch.zeros((1, 3, 2, 2), requires_grad=True)
    function(edge - 0.1).sum().backward()
    assert torch.isfinite(edge.grad).all()
