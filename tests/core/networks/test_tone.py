"""Tone curves: the formula, and what a fresh toner makes of any photo."""

import numpy as np
import pytest
import torch

from restorekit.core.networks.tone import Thumbnail, Toner, apply_curves, auto_levels, evenly_taught


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


@pytest.mark.parametrize("told", [0, 2])
def test_a_toner_with_levels_removes_half_of_a_veil_and_learns_which_photos_wear_one(told: int) -> None:
    photos = torch.stack([0.1 * torch.ones(3, 64, 64), 0.3 * torch.rand(3, 64, 64) + 0.6])
    said = torch.eye(2) if told else None
    toner = Toner(told, levels=True)
    assert toner.share is not None
    half = toner(photos, said)
    torch.testing.assert_close(half[:, :, 1], auto_levels(photos)[:, :, 1] / 2)
    torch.testing.assert_close(half[0], auto_levels(photos)[0])  # what is dark is brought to light, whatever is told
    optimiser = torch.optim.Adam(toner.share.parameters(), lr=0.05)
    for _ in range(100):
        optimiser.zero_grad()
        toner(photos, said)[1].square().sum().backward()  # the bright scene is no veiled one
        optimiser.step()
    learned = toner(photos, said)
    assert 0 < learned[1].abs().max() < 0.1 * half[1].abs().max()
    torch.testing.assert_close(learned[0], half[0])


def test_shares_of_a_veil_leave_that_much_of_it() -> None:
    veiled = 0.5 + 0.5 * torch.rand(3, 3, 48, 48)
    removed = [float(auto_levels(veiled, torch.full((3,), share))[0, 0, 1]) for share in (0.0, 0.25, 1.0)]
    assert removed[0] == 0
    assert removed[1] == pytest.approx(removed[2] / 4)
    assert removed[2] == pytest.approx(0.45, abs=0.02)


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


def test_auto_levels_lift_the_dark_clear_the_veiled_and_leave_the_rest() -> None:
    photo = torch.rand(1, 3, 48, 48).repeat_interleave(3, dim=2).repeat_interleave(3, dim=3)  # sharp in a thumbnail
    assert torch.equal(auto_levels(photo), torch.zeros(1, 3, 3))
    dark = photo / 10
    torch.testing.assert_close(apply_curves(dark, auto_levels(dark)).mean(), torch.tensor(0.35))
    dim = photo * 0.19 / photo.mean()
    torch.testing.assert_close(apply_curves(dim, auto_levels(dim)).mean(), torch.tensor(0.2**2 / 0.19))
    veiled = 0.5 + 0.5 * photo
    cleared = apply_curves(veiled, auto_levels(veiled))
    assert (veiled.amin(), veiled.amax()) > (0.49, 0.99)
    torch.testing.assert_close(cleared.amax(), torch.tensor(1.0), atol=0.01, rtol=0)
    assert cleared.amin() < 0.1
    both = auto_levels(torch.cat([photo, dark, veiled]))
    assert both[0].abs().max() == 0 < both[1:, :, 0].min()
    assert (both[:, 0] == both[:, 1]).all()


def test_evenly_taught_curves_learn_as_much_from_a_dark_photo_as_from_a_bright_one() -> None:
    bright = torch.rand(1, 3, 8, 8)
    photos = torch.cat([bright, bright / 10])
    curves = torch.zeros(2, 3, 3, requires_grad=True)
    for taught, ratio in ((evenly_taught(curves, photos), 1.0), (curves, 10.0)):
        assert torch.equal(taught, curves)
        curves.grad = None
        apply_curves(photos, taught).sum().backward()
        log_gain = curves.grad[:, :, 0]
        torch.testing.assert_close(log_gain[0], ratio * log_gain[1])
    with torch.no_grad():
        assert evenly_taught(curves, photos) is curves
