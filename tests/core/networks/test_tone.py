"""Tone curves: the formula, and what a fresh toner makes of any photo."""

import numpy as np
import pytest
import torch

from restorekit.core.networks.tone import Thumbnail, Toner, apply_curves, evenly_taught


def test_curves_are_the_formula_and_zero_curves_the_identity() -> None:
    images = torch.rand(2, 3, 4, 4, dtype=torch.float64)
    assert torch.equal(apply_curves(images, torch.zeros(2, 3, 3, dtype=torch.float64)), images)
    curves = torch.tensor([[0.7, 0.1, 0.4]] * 3, dtype=torch.float64).expand(2, 3, 3)
    scaled = np.exp(0.7) * (images.numpy() - 0.1)
    expected = scaled + 0.4 * scaled * (1 - np.clip(scaled, 0, 1))
    np.testing.assert_allclose(apply_curves(images, curves).numpy(), expected, rtol=1e-12)


def test_curves_of_any_size_stay_finite_and_rise() -> None:
    ramp = torch.linspace(0, 1, 64, dtype=torch.float64).expand(1, 3, 1, 64)
    for bend in (-9.0, 9.0):
        toned = apply_curves(ramp, torch.tensor([[[99.0, 0.0, bend]]] * 1, dtype=torch.float64).expand(1, 3, 3))
        assert torch.isfinite(toned).all()
    gentle = apply_curves(ramp, torch.tensor([[[0.0, 0.0, 9.0]]], dtype=torch.float64).expand(1, 3, 3))
    assert (gentle.diff(dim=-1) >= 0).all()


@pytest.mark.parametrize("size", [(7, 9), (48, 48), (200, 131)])
def test_a_fresh_toner_changes_nothing_and_learns_from_the_first_step(size) -> None:
    toner = Toner()
    curves = toner(torch.rand(2, 3, *size))
    assert curves.shape == (2, 3, 3)
    assert not curves.any()
    curves.sum().backward()
    assert toner.curves.weight.grad.abs().max() > 0


def test_a_thumbnail_sees_the_area_average_alone() -> None:
    thumbnail = Thumbnail()
    small = torch.rand(1, 3, 48, 48)
    large = small.repeat_interleave(5, dim=2).repeat_interleave(3, dim=3)
    torch.testing.assert_close(thumbnail(large), thumbnail(small))


def test_half_precision_around_it_changes_nothing() -> None:
    thumbnail, dark = Thumbnail(), torch.rand(1, 3, 48, 48) / 100
    with torch.autocast("cpu", torch.bfloat16):
        half = Toner()(dark)
    assert half.dtype == torch.float32
    assert torch.isfinite(thumbnail(dark)).all()


def test_evenly_taught_curves_have_gradients_of_one_norm_in_their_own_directions() -> None:
    curves = torch.randn(3, 3, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(3, 3, 3, dtype=torch.float64) * torch.tensor([1e-6, 1.0, 0.0])[:, None, None]
    taught = evenly_taught(curves)
    assert torch.equal(taught, curves)
    (taught * weights).sum().backward()
    norms = curves.grad.flatten(1).norm(dim=1)
    torch.testing.assert_close(norms[0], norms[1])
    assert norms[1] > 0 == norms[2]
    for place in (0, 1):
        expected = weights[place] / weights[place].norm()
        torch.testing.assert_close(curves.grad[place] / norms[place], expected)
    with torch.no_grad():
        assert evenly_taught(curves) is curves
