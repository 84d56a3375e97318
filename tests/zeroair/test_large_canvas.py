"""Pieces and crops: the same values and gradients as the whole, and every place of an image in its turn."""

import pytest
import torch
from torch import Tensor, nn

from restorekit.zeroair.config import DegradationKind
from restorekit.zeroair.degradation_model import build_degradation_model, initialise
from restorekit.zeroair.large_canvas import centre_crop, degrade_in_pieces, moving_crop, push_in_pieces

LEARNED: list[DegradationKind] = ["residual", "cnn", "affine"]


def images(*, seed: int = 0) -> Tensor:
    return torch.rand(2, 3, 21, 30, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def model(kind: DegradationKind) -> nn.Module:
    """With values in every layer, so that none is the identity."""
    made = build_degradation_model(kind, like=images()[:1])
    generator = torch.Generator().manual_seed(1)
    initialise(made, generator=generator)
    with torch.no_grad():
        for values in made.parameters():
            values += 0.05 * torch.randn(values.shape, generator=generator, dtype=torch.float64)
    return made


@pytest.mark.parametrize("kind", LEARNED)
def test_pieces_give_the_values_and_the_gradient_of_the_whole(kind: DegradationKind) -> None:
    network, weights = model(kind), images(seed=2)
    found = []
    for piece_px in (8, 1000):
        clean = images().requires_grad_(True)
        made = degrade_in_pieces(network, clean, piece_px=piece_px)
        found.append((made, *torch.autograd.grad((made * weights).sum(), clean)))
    for pieces, whole in zip(*found, strict=True):
        torch.testing.assert_close(pieces, whole, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("kind", LEARNED)
@pytest.mark.parametrize("piece_px", [8, 1000])
def test_push_in_pieces_is_the_directional_derivative(kind: DegradationKind, piece_px: int) -> None:
    """Against a central difference: the networks are linear almost everywhere."""
    network, clean, direction = model(kind), images(), images(seed=3) - 0.5
    step = 1e-6
    with torch.no_grad():
        expected = (network(clean + step * direction) - network(clean - step * direction)) / (2 * step)
    torch.testing.assert_close(
        push_in_pieces(network, clean, direction, piece_px=piece_px), expected, atol=1e-7, rtol=1e-5
    )


def test_networks_of_unknown_reach_are_computed_whole() -> None:
    blur = nn.Conv2d(3, 3, 11, padding=5).double()
    seen: list[tuple[int, ...]] = []
    blur.register_forward_hook(lambda _, inputs, __: seen.append(tuple(inputs[0].shape)))
    degrade_in_pieces(blur, images(), piece_px=8)
    assert seen == [(2, 3, 21, 30)]


def test_crops_visit_all_of_an_image_alike() -> None:
    """1000 crops of a quarter of the sides: inner pixels are seen as often as chance would have it, within a fifth."""
    visits = torch.zeros(1, 1, 64, 64)
    for step in range(1, 1001):
        moving_crop(64, 64, 16, step=step)(visits).add_(1)
    inner = visits[0, 0, 16:48, 16:48]
    torch.testing.assert_close(inner, torch.full_like(inner, 1000 * (16 / 49) ** 2), rtol=0.2, atol=0)
    assert all(bool(visits[0, 0, edge].any()) and bool(visits[0, 0, :, edge].any()) for edge in (0, 63))


def test_crops_of_small_images_are_the_images() -> None:
    small = images()
    assert torch.equal(moving_crop(21, 30, 30, step=7)(small), small)
    assert torch.equal(centre_crop(21, 30, 10)(small), small[..., 6:16, 10:20])
    assert moving_crop(21, 30, 25, step=7)(small).shape == (2, 3, 21, 25)
